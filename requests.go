// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/field"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
)

// What every request goes through, whatever its path, before a handler sees it
// and after: null is left out, texts are cleaned and bounded, names that cannot
// be are refused, panics are recovered, and answers name the mount.

// HandleRequest is the way of every request. It leaves out an answer that says
// nothing, so that Vault answers 204.
func (b *backend) HandleRequest(ctx context.Context, req *logical.Request) (resp *logical.Response, err error) {
	cleaned, err := cleanRequest(req)
	if err != nil {
		return answerAt(req, logical.ErrorResponse("%s", err), nil)
	}
	err = host.Recover(b.Logger(), func() (err error) {
		resp, err = b.Backend.HandleRequest(ctx, cleaned)
		return err
	})
	if resp != nil && resp.Data == nil && resp.Secret == nil && len(resp.Warnings) == 0 {
		resp = nil
	}
	return answerAt(req, resp, err)
}

// cleanRequest returns a request with its fields as the handlers want them. What
// Vault itself asks for comes as it was stored. The error names the field.
func cleanRequest(req *logical.Request) (*logical.Request, error) {
	switch req.Operation {
	case logical.RevokeOperation, logical.RenewOperation, logical.RollbackOperation:
		return req, nil
	}
	if err := field.CheckName(req.Path); err != nil || len(req.Data) == 0 {
		return req, err
	}
	data, err := cleanData(req)
	changed := *req
	changed.Data = data
	return &changed, err
}

// HandleExistenceCheck recovers panics, and looks at the path alone: Vault makes
// a 500 of any error of a plugin's check, so a field or a name that cannot be is
// left for the write to refuse with a 400.
func (b *backend) HandleExistenceCheck(ctx context.Context, req *logical.Request) (checked, exists bool, err error) {
	if field.CheckName(req.Path) != nil {
		return true, false, nil
	}
	check := *req
	check.Data = nil
	err = host.Recover(b.Logger(), func() (err error) {
		checked, exists, err = b.Backend.HandleExistenceCheck(ctx, &check)
		return err
	})
	return checked, exists, err
}

// cleanData returns the fields of a request as the handlers want them. The error
// names the field.
func cleanData(req *logical.Request) (map[string]any, error) {
	switch {
	case req.Path == callbackPath:
		// It answers strangers with a page, whatever they send.
		return req.Data, nil
	case strings.HasPrefix(req.Path, configPath):
		return field.CleanFile(req.Data)
	}
	return field.Clean(req.Data)
}

// answerAt puts the path of the mount into the words of an answer.
func answerAt(req *logical.Request, resp *logical.Response, err error) (*logical.Response, error) {
	var coded logical.HTTPCodedError
	if errors.As(err, &coded) {
		err = logical.CodedError(coded.Code(), advice.At(req.MountPoint, coded.Error()))
	}
	if resp == nil {
		return resp, err
	}
	for i, warning := range resp.Warnings {
		resp.Warnings[i] = advice.At(req.MountPoint, warning)
	}
	if resp.IsError() {
		resp.Data["error"] = advice.At(req.MountPoint, fmt.Sprint(resp.Data["error"]))
	}
	return resp, err
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
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
	if err == nil {
		err = checkTypes(b.Route(req.Path), cleaned)
	}
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
		return onlyTexts(req.Data), nil
	case strings.HasPrefix(req.Path, configPath):
		return field.CleanFile(req.Data)
	}
	return field.Clean(req.Data)
}

// onlyTexts leaves out what is no text: Vault makes a list of a parameter that is
// in an address twice, and the SDK's refusal would repeat it.
func onlyTexts(data map[string]any) map[string]any {
	texts := map[string]any{}
	for name, value := range data {
		if text, ok := value.(string); ok {
			texts[name] = text
		}
	}
	return texts
}

// checkTypes refuses what a field cannot be without repeating it, which the SDK
// would do: it may be a secret in the wrong place.
func checkTypes(path *framework.Path, req *logical.Request) error {
	if path == nil || (req.Operation != logical.CreateOperation && req.Operation != logical.UpdateOperation) {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(req.Data)) {
		one := framework.FieldData{Raw: map[string]any{name: req.Data[name]}, Schema: path.Fields}
		if one.Validate() != nil {
			return advice.Field(name, "must be %s", typeWords(path.Fields[name].Type))
		}
	}
	return nil
}

func typeWords(t framework.FieldType) string {
	switch t {
	case framework.TypeBool:
		return "true or false"
	case framework.TypeInt:
		return "a whole number"
	case framework.TypeDurationSecond:
		return "a duration that is not negative, such as 90s or 24h"
	case framework.TypeString, framework.TypeNameString:
		return "a string"
	}
	return "a list of strings, or a string with commas or spaces"
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

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/field"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
)

// What every request goes through, whatever its path, before a handler sees it
// and after: null is left out, texts are cleaned and bounded, names that cannot
// be are refused, panics are recovered, and answers name the mount.

// maxName is how long the name of a config or a role can be.
const maxName = 128

// textLimits are how many bytes the texts of requests can have, by field. Any
// other field is no text, or not the engine's.
var textLimits = map[string]int{
	"client_id":               256,
	"client_secret":           1 << 10,
	"client_secret_uuid":      64,
	"credential_type":         64,
	"org_id":                  128,
	"redirect_uri":            2 << 10,
	"ims_url":                 512,
	"console_url":             512,
	"console_org_id":          64,
	"credential_id":           64,
	"technical_account_id":    256,
	"technical_account_email": 256,
	"rotation_schedule":       256,
	"config":                  maxName,
	"state":                   512,
	"code":                    8 << 10,
	"error":                   1 << 10,
	"error_description":       4 << 10,
	"refresh_token":           16 << 10,
	"token":                   32 << 10,
}

// fileLimits are those of the texts that are files.
var fileLimits = map[string]int{
	"project": 256 << 10,
	"ca_cert": 64 << 10,
}

const (
	// maxScopes is how many scopes a role can have, and maxScopesText how many
	// bytes they can have together.
	maxScopes     = 256
	maxScopesText = 16 << 10
)

// HandleRequest is the way of every request. It leaves out an answer that says
// nothing, so that Vault answers 204.
func (b *backend) HandleRequest(ctx context.Context, req *logical.Request) (resp *logical.Response, err error) {
	if err := checkName(req.Path); err != nil {
		return answerAt(req, logical.ErrorResponse("%s", err), nil)
	}
	data, err := cleanData(req)
	if err != nil {
		return answerAt(req, logical.ErrorResponse("%s", err), nil)
	}
	cleaned := *req
	cleaned.Data = data
	err = host.Recover(b.Logger(), func() (err error) {
		resp, err = b.Backend.HandleRequest(ctx, &cleaned)
		return err
	})
	if resp != nil && resp.Data == nil && resp.Secret == nil && len(resp.Warnings) == 0 {
		resp = nil
	}
	return answerAt(req, resp, err)
}

// HandleExistenceCheck recovers panics, and looks at the path alone: Vault makes
// a 500 of any error of a plugin's check, so a field or a name that cannot be is
// left for the write to refuse with a 400.
func (b *backend) HandleExistenceCheck(ctx context.Context, req *logical.Request) (checked, exists bool, err error) {
	if checkName(req.Path) != nil {
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

// checkName refuses names that the SDK's pattern lets through and storage does
// not take.
func checkName(path string) error {
	_, name, _ := strings.Cut(path, "/")
	if name, rotate := strings.CutSuffix(name, "/rotate"); rotate {
		return checkOneName(name)
	}
	return checkOneName(name)
}

func checkOneName(name string) error {
	switch {
	case len(name) > maxName:
		return advice.Field("name", "has %d bytes; %d is the limit", len(name), maxName)
	case strings.Contains(name, ".."):
		return advice.Field("name", "%s must not have two dots in a row", field.Describe(name))
	}
	return nil
}

// cleanData returns the fields of a request without those that are null, with
// their texts as the handlers want them. The error names the field.
func cleanData(req *logical.Request) (map[string]any, error) {
	data := maps.Clone(req.Data)
	maps.DeleteFunc(data, func(_ string, value any) bool { return value == nil })
	if strings.HasPrefix(req.Path, configPath) {
		if err := takeFile(data); err != nil {
			return nil, err
		}
	}
	if req.Path == callbackPath {
		return data, nil // answers strangers with a page
	}
	for name, value := range data {
		var err error
		switch limit, isText := textLimits[name]; {
		case isText:
			data[name], err = cleanText(name, value, limit, field.Text)
		case fileLimits[name] > 0:
			data[name], err = cleanText(name, value, fileLimits[name], field.Document)
		case name == "scopes":
			err = checkScopesSize(value)
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// cleanText refuses what is no text without repeating it, which the SDK would do:
// it may be a secret.
func cleanText(name string, value any, limit int, clean func(name, value string, limit int) (string, error)) (any, error) {
	switch v := value.(type) {
	case string:
		return clean(name, v, limit)
	case map[string]any, []any:
		return nil, advice.Field(name, "must be a string")
	}
	return value, nil
}

func checkScopesSize(value any) error {
	count, size := 0, 0
	switch v := value.(type) {
	case string:
		size = len(v)
	case []any:
		count = len(v)
		for _, item := range v[:min(count, maxScopes)] {
			if text, ok := item.(string); ok {
				size += len(text) + 1
			}
		}
	case []string:
		count = len(v)
	}
	switch {
	case count > maxScopes:
		return advice.Field("scopes", "%d are too many; a role can have %d", count, maxScopes)
	case size > maxScopesText:
		return advice.Field("scopes", "has %d bytes; %d is the limit", size, maxScopesText)
	}
	return nil
}

// takeFile puts a file of the Developer Console that was given as the request's
// body, as `vault write adobeims/config/default @project.json` does, in the place
// of the field that is meant for it.
func takeFile(data map[string]any) error {
	file := map[string]any{}
	for name, value := range data {
		switch _, isObject := value.(map[string]any); {
		case name == "project" && isObject, name == "body" && isObject, name == "integration" && isObject,
			name != "" && strings.ToUpper(name) == name:
			file[name] = value
		}
	}
	if len(file) == 0 {
		return nil
	}
	if _, given := data["project"].(string); given {
		return advice.Field("project", "given twice, as a field and as the body of the request; give it once")
	}
	encoded, err := json.Marshal(file)
	if err != nil {
		return advice.Field("project", "is not JSON")
	}
	for name := range file {
		delete(data, name)
	}
	data["project"] = string(encoded)
	return nil
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

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/fleet"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// status/<role>
func (b *backend) pathStatus() *framework.Path {
	return &framework.Path{
		Pattern:         "status/" + framework.GenericNameRegex("role"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "Status of a role's token, never the token.",
		HelpDescription: pathStatusHelpDesc,
		Fields: map[string]*framework.FieldSchema{
			"role": nameField("role"),
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: onActive(operation(b.readStatus, "Read the status of a role's token.", "read", "status", okResponse(statusFields()))),
		},
	}
}

// status/
func (b *backend) pathStatusList() *framework.Path {
	return &framework.Path{
		Pattern:         "status/?$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "The status of every role.",
		HelpDescription: "Lists the roles, with the config, state, expire_time, failures and next_attempt_time of each as key_info.",
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: onActive(operation(b.listStatus, "List the roles with their status.", "list", "status", okResponse(map[string]*framework.FieldSchema{
				"keys":     {Type: framework.TypeStringSlice, Description: "Names of the roles."},
				"key_info": {Type: framework.TypeMap, Description: "By role: config, state, expire_time, failures, next_attempt_time."},
			}))),
		},
	}
}

func statusFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"state":                     {Type: framework.TypeString, Description: "ready, idle (nobody reads the role), unproven (no token yet), degraded (a living token, but no newer one to be had), failing (no living token), or unauthorized."},
		"mint_time":                 {Type: framework.TypeString, Description: "When the current token was minted; absent if there is none."},
		"expire_time":               {Type: framework.TypeString, Description: "When the current token expires."},
		"refresh_time":              {Type: framework.TypeString, Description: "When the current token is due for refresh, if the role is read."},
		"granted_scopes":            {Type: framework.TypeStringSlice, Description: "Scopes of the current token, as far as IMS told; else those that were asked for."},
		"technical_account_id":      {Type: framework.TypeString, Description: "Technical account of the credential, by the config or the current token."},
		"outstanding_tokens":        {Type: framework.TypeInt, Description: "Shared tokens that have not expired."},
		"uninvalidated_tokens":      {Type: framework.TypeInt, Description: "Of these, tokens that IMS could not invalidate."},
		"user_id":                   {Type: framework.TypeString, Description: "Who authorized the role; only for roles of a web app."},
		"authorization_time":        {Type: framework.TypeString, Description: "When a person authorized the role; only for roles of a web app."},
		"authorization_expire_time": {Type: framework.TypeString, Description: "When the authorization lapses unless it is used."},
		"in_use":                    {Type: framework.TypeBool, Description: "Whether the current token has been read."},
		"backing_off":               {Type: framework.TypeBool, Description: "Whether IMS is left alone after a failure, or because it throttles the credential."},
		"next_attempt_time":         {Type: framework.TypeString, Description: "When IMS is asked again."},
		"failures":                  {Type: framework.TypeInt, Description: "Failed mints since the last that succeeded."},
		"last_failure_time":         {Type: framework.TypeString, Description: "When a mint failed last; absent since one succeeded."},
		"last_failure_kind":         {Type: framework.TypeString, Description: "refused, throttled, unavailable, malformed, unreachable or internal."},
		"last_failure_error_code":   {Type: framework.TypeString, Description: "Error code of IMS, if it answered one."},
		"last_failure_debug_id":     {Type: framework.TypeString, Description: "x-debug-id of the answer, which Adobe's support asks for."},
		"last_failure_message":      {Type: framework.TypeString, Description: "The failure in words."},
	}
}

func (b *backend) readStatus(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role").(string)
	s, err := b.fleet.Role(ctx, name)
	if err != nil {
		return respond(err)
	}
	data := map[string]any{
		"state":                s.State(),
		"outstanding_tokens":   s.Outstanding,
		"uninvalidated_tokens": s.Uninvalidated,
		"in_use":               s.InUse,
		"backing_off":          s.BackingOff,
		"failures":             0,
	}
	if t := s.Current; t != nil {
		data["mint_time"] = advice.Time(t.Issued)
		data["expire_time"] = advice.Time(t.Expires)
		data["refresh_time"] = advice.Time(s.RefreshAt)
		data["granted_scopes"] = t.HeldScopes()
	}
	if account := s.Account(); account != "" {
		data["technical_account_id"] = account
	}
	describeFailure(data, s.Failure, req.MountPoint)
	if !s.ThrottledUntil.IsZero() {
		data["backing_off"] = true
	}
	if next := s.NextAttempt(); !next.IsZero() {
		data["next_attempt_time"] = advice.Time(next)
	}
	if s.Authorization.Living() {
		for name, value := range describeAuthorization(s.Authorization) {
			data[name] = value
		}
	}
	return &logical.Response{Data: data}, nil
}

func describeFailure(data map[string]any, f *tokens.Failure, mount string) {
	if f == nil {
		return
	}
	data["failures"] = f.Count
	data["last_failure_time"] = advice.Time(f.At)
	data["last_failure_kind"] = "internal"
	data["last_failure_message"] = advice.At(mount, f.Err.Error())
	var refused *authorization.Unauthorized
	if errors.As(f.Err, &refused) {
		data["last_failure_kind"] = string(ims.Refused)
	}
	var failed *ims.Error
	if !errors.As(f.Err, &failed) {
		return
	}
	data["last_failure_kind"] = string(failed.Kind)
	if failed.Code != "" {
		data["last_failure_error_code"] = failed.Code
	}
	if failed.RequestID != "" {
		data["last_failure_debug_id"] = failed.RequestID
	}
}

// listStatus answers for the whole mount.
func (b *backend) listStatus(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, statuses, err := b.fleet.AllRoles(ctx)
	if err != nil {
		return nil, err
	}
	info := make(map[string]any, len(names))
	for i, name := range names {
		info[name] = statusLine(statuses[i], req.MountPoint)
	}
	return logical.ListResponseWithInfo(names, info), nil
}

// statusLine is a role's in the list.
func statusLine(s fleet.Role, mount string) map[string]any {
	if s.Err != nil {
		return map[string]any{"state": "unknown", "error": advice.At(mount, s.Err.Error())}
	}
	info := map[string]any{"state": s.State(), "config": s.Config, "failures": 0}
	if s.Current != nil {
		info["expire_time"] = advice.Time(s.Current.Expires)
	}
	if s.Failure != nil {
		info["failures"] = s.Failure.Count
	}
	if next := s.NextAttempt(); !next.IsZero() {
		info["next_attempt_time"] = advice.Time(next)
	}
	return info
}

const pathStatusHelpDesc = `
When the current token was minted, when it expires and when it is due for refresh,
how many tokens are outstanding, and what the last failure was. It is kept by the
active node and, but for the token itself, starts anew with it.

  $ vault read adobeims/status/firefly
`

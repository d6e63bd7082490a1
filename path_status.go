// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// status/<role>
func (b *backend) pathStatus() *framework.Path {
	return &framework.Path{
		Pattern:         "status/" + framework.GenericNameRegex("role"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "How a role's token fares, never the token.",
		HelpDescription: pathStatusHelpDesc,
		Fields: map[string]*framework.FieldSchema{
			"role": {Type: framework.TypeString, Description: "Name of the role."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.readStatus,
				Summary:  "Read how a role's token fares.",
				// Only the active node mints, so only it knows.
				ForwardPerformanceStandby: true,
				DisplayAttrs:              &framework.DisplayAttributes{OperationVerb: "read", OperationSuffix: "status"},
				Responses:                 answers(statusAnswerFields()),
			},
		},
	}
}

func statusAnswerFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"mint_time":                 {Type: framework.TypeString, Description: "When the current token was minted; absent if there is none."},
		"expire_time":               {Type: framework.TypeString, Description: "When the current token expires."},
		"refresh_time":              {Type: framework.TypeString, Description: "When the current token is due for refresh, if the role is read."},
		"outstanding_tokens":        {Type: framework.TypeInt, Description: "Shared tokens that have not expired."},
		"uninvalidated_tokens":      {Type: framework.TypeInt, Description: "Of these, tokens that IMS could not invalidate."},
		"authorization_time":        {Type: framework.TypeString, Description: "When a person authorized the role; only for roles of a web app."},
		"authorization_expire_time": {Type: framework.TypeString, Description: "When the authorization lapses unless it is used."},
		"in_use":                    {Type: framework.TypeBool, Description: "Whether the current token has been read."},
		"backing_off":               {Type: framework.TypeBool, Description: "Whether IMS is left alone after a failure."},
		"next_attempt_time":         {Type: framework.TypeString, Description: "When IMS is asked again after a failure."},
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
	r, c, err := b.resolve(ctx, req.Storage, name)
	if err != nil {
		return respond(err)
	}
	data, err := b.tokens.status(ctx, name, r, c)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: data}, nil
}

func (s *tokenStore) status(ctx context.Context, name string, r *role, c *config) (map[string]any, error) {
	st := s.of(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := s.load(ctx, st, r); err != nil {
		return nil, err
	}
	now := s.clock.Now()
	condemned := 0
	outstanding := st.record.living(now)
	for _, t := range outstanding.Tokens {
		if t.Condemned {
			condemned++
		}
	}
	data := map[string]any{
		"outstanding_tokens":   len(outstanding.Tokens),
		"uninvalidated_tokens": condemned,
		"backing_off":          st.failure.of(r, c).backsOff(now),
		"failures":             0,
		"in_use":               false,
	}
	if t := outstanding.newest(); t != nil && t.fits(r, c) {
		data["mint_time"] = timestamp(t.Issued)
		data["expire_time"] = timestamp(t.Expires)
		data["refresh_time"] = timestamp(st.refreshAt)
		data["in_use"] = st.used
	}
	st.failure.of(r, c).describe(data)
	a, err := s.authorizations.get(ctx, s.storage, name)
	if err == nil && a != nil && !a.Condemned {
		data["authorization_time"] = timestamp(a.Granted)
		data["authorization_expire_time"] = timestamp(a.Expires)
	}
	return data, err
}

func (f *failure) describe(data map[string]any) {
	if f == nil {
		return
	}
	data["failures"] = f.count
	data["next_attempt_time"] = timestamp(f.retryAt)
	data["last_failure_time"] = timestamp(f.at)
	data["last_failure_kind"] = "internal"
	data["last_failure_message"] = f.err.Error()
	var unauthorized *authorizationError
	if errors.As(f.err, &unauthorized) {
		data["last_failure_kind"] = string(ims.Refused)
	}
	var failed *ims.Error
	if errors.As(f.err, &failed) {
		data["last_failure_kind"] = string(failed.Kind)
		data["last_failure_error_code"] = failed.Code
		data["last_failure_debug_id"] = failed.DebugID
	}
}

const pathStatusHelpDesc = `
When the current token was minted, when it expires and when it is due for refresh,
how many tokens are outstanding, and what the last failure was. It is kept by the
active node and, but for the token itself, starts anew with it.

  $ vault read adobeims/status/firefly
`

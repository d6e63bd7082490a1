// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
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
	s, err := b.statusOf(ctx, name)
	if err != nil {
		return respond(err)
	}
	data := map[string]any{
		"state":                s.state(),
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
	if account := s.account(); account != "" {
		data["technical_account_id"] = account
	}
	describeFailure(data, s.Failure, req.MountPoint)
	if !s.throttledUntil.IsZero() {
		data["backing_off"] = true
	}
	if next := s.nextAttempt(); !next.IsZero() {
		data["next_attempt_time"] = advice.Time(next)
	}
	if s.authorization.Living() {
		for name, value := range describeAuthorization(s.authorization) {
			data[name] = value
		}
	}
	return &logical.Response{Data: data}, nil
}

// roleStatus is how a role is served, and what with.
type roleStatus struct {
	tokens.Status
	config        string // its name
	credential    *credential.Credential
	authorization *authorization.Authorization // nil for a role that is no person's
	err           error                        // why nothing is known

	// throttledUntil is until when IMS is left alone with the credential, for any
	// of its roles; zero if it is not.
	throttledUntil time.Time
}

func (b *backend) statusOf(ctx context.Context, name string) (roleStatus, error) {
	spec, err := b.roles.Lookup(ctx, name)
	if err != nil {
		return roleStatus{}, err
	}
	c, err := b.credentials.Get(ctx, spec.Config)
	if err != nil || c.Value == nil {
		return roleStatus{}, err
	}
	s := roleStatus{config: spec.Config, credential: c.Value}
	if until := b.pool.Quiet(c.Value.IMSURL, c.Value.ClientID); until.After(b.host.Clock.Now()) {
		s.throttledUntil = until
	}
	if c.Value.Type == credential.WebApp {
		if s.authorization, err = b.authorizations.Get(ctx, name); err != nil {
			return s, err
		}
	}
	s.Status, err = b.tokens.Status(ctx, spec)
	return s, err
}

// unauthorized is the state of a person's role that no person has authorized.
const unauthorized = "unauthorized"

func (s roleStatus) state() string {
	var refused *authorization.Unauthorized
	if s.credential.Type == credential.WebApp && s.Current == nil &&
		(!s.authorization.Living() || s.Failure != nil && errors.As(s.Failure.Err, &refused)) {
		return unauthorized
	}
	return string(s.Condition)
}

// nextAttempt is when IMS is asked again after a failure or a throttle; zero if
// there was none.
func (s roleStatus) nextAttempt() time.Time {
	if s.Failure != nil && s.Failure.RetryAt.After(s.throttledUntil) {
		return s.Failure.RetryAt
	}
	return s.throttledUntil
}

// account is the technical account whose rights the role's tokens have.
func (s roleStatus) account() string {
	switch {
	case s.credential.Type == credential.WebApp:
		return ""
	case s.credential.TechnicalAccountID != "":
		return s.credential.TechnicalAccountID
	case s.Current != nil:
		return s.Current.AccountID
	}
	return ""
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

// maxLooking is how many roles are looked up at a time for the list: those that
// nobody has read since the mount was set up come from storage.
const maxLooking = 16

// allStatus looks at every role. What is wrong with one does not take the others
// away.
func (b *backend) allStatus(ctx context.Context) ([]string, []roleStatus, error) {
	names, err := b.roles.List(ctx)
	if err != nil {
		return nil, nil, err
	}
	statuses := make([]roleStatus, len(names))
	next := make(chan int)
	var group sync.WaitGroup
	for range min(maxLooking, len(names)) {
		group.Go(func() {
			for i := range next {
				status, err := b.statusOf(ctx, names[i])
				status.err = err
				statuses[i] = status
			}
		})
	}
	for i := range names {
		next <- i
	}
	close(next)
	group.Wait()
	return names, statuses, ctx.Err()
}

// listStatus answers for the whole mount.
func (b *backend) listStatus(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, statuses, err := b.allStatus(ctx)
	if err != nil {
		return nil, err
	}
	info := make(map[string]any, len(names))
	for i, name := range names {
		info[name] = statuses[i].line(req.MountPoint)
	}
	return logical.ListResponseWithInfo(names, info), nil
}

// line is a role's in the list.
func (s roleStatus) line(mount string) map[string]any {
	if s.err != nil {
		return map[string]any{"state": "unknown", "error": advice.At(mount, s.err.Error())}
	}
	info := map[string]any{"state": s.state(), "config": s.config, "failures": 0}
	if s.Current != nil {
		info["expire_time"] = advice.Time(s.Current.Expires)
	}
	if s.Failure != nil {
		info["failures"] = s.Failure.Count
	}
	if next := s.nextAttempt(); !next.IsZero() {
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

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/roles"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// authorize/<role>
func (b *backend) pathAuthorize() *framework.Path {
	return &framework.Path{
		Pattern:         "authorize/" + framework.GenericNameRegex("role"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "A person's authorization of a role.",
		HelpDescription: pathAuthorizeHelpDesc,
		Fields: map[string]*framework.FieldSchema{
			"role":          nameField("role"),
			"code":          {Type: framework.TypeString, Description: "The code that Adobe gave to the redirect URI.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			"state":         {Type: framework.TypeString, Description: "The state that Adobe gave to the redirect URI."},
			"refresh_token": {Type: framework.TypeString, Description: "Instead of code and state: a refresh token obtained elsewhere with the same credential and scopes.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			"replace":       {Type: framework.TypeBool, Description: "Let the authorization take the place of another person's. That is revoked."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: onActive(operation(b.readAuthorize, "Read whose authorization the role has, since when and until when.", "read", "authorization", okResponse(authorizationFields()))),
			logical.UpdateOperation: onActive(operation(b.writeAuthorize, "Begin a sign-in; or authorize the role with a code and its state, or with a refresh token.", "write", "authorization", okResponse(map[string]*framework.FieldSchema{
				"authorize_url":             {Type: framework.TypeString, Description: "Where the person signs in and consents."},
				"state":                     {Type: framework.TypeString, Description: "The state in the address: works once."},
				"expire_time":               {Type: framework.TypeString, Description: "When the address lapses, RFC 3339."},
				"authorization_expire_time": {Type: framework.TypeString, Description: "With code or refresh_token: when the authorization lapses unless it is used, RFC 3339. The engine uses it in time."},
			}))),
			logical.DeleteOperation: onActive(operation(b.deleteAuthorize, "Revoke the authorization and its tokens at IMS and forget them.", "revoke", "authorization", noContent())),
		},
	}
}

func authorizationFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"user_id":                   {Type: framework.TypeString, Description: "Who authorized the role, as IMS told: sub or user_id. Absent if it did not."},
		"authorization_time":        {Type: framework.TypeString, Description: "When the person consented, RFC 3339."},
		"authorization_expire_time": {Type: framework.TypeString, Description: "When the authorization lapses unless it is used, RFC 3339."},
		"scopes":                    {Type: framework.TypeStringSlice, Description: "Scopes that the person consented to."},
		"client_id":                 {Type: framework.TypeString, Description: "The credential that was authorized."},
	}
}

// readAuthorize describes the authorization. It changes nothing.
func (b *backend) readAuthorize(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role").(string)
	if _, err := b.roles.Lookup(ctx, name); err != nil {
		return respond(err)
	}
	a, err := b.authorizations.Get(ctx, name)
	if err != nil || !a.Living() {
		return nil, err
	}
	data := describeAuthorization(a)
	data["scopes"], data["client_id"] = a.Scopes, a.ClientID
	return &logical.Response{Data: data}, nil
}

// describeAuthorization tells whose it is, since when and until when.
func describeAuthorization(a *authorization.Authorization) map[string]any {
	data := map[string]any{
		"authorization_time":        advice.Time(a.Granted),
		"authorization_expire_time": advice.Time(a.Expires),
	}
	if a.Subject != "" {
		data["user_id"] = a.Subject
	}
	return data
}

func (b *backend) writeAuthorize(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name, replace := d.Get("role").(string), d.Get("replace").(bool)
	code, state, refreshToken := d.Get("code").(string), d.Get("state").(string), d.Get("refresh_token").(string)
	spec, err := b.roles.Lookup(ctx, name)
	if err != nil {
		return respond(err)
	}
	var granted *authorization.Authorization
	switch {
	case code == "" && state == "" && refreshToken == "":
		return b.beginSignIn(ctx, spec, replace)
	case refreshToken != "" && code == "" && state == "":
		granted, err = inTime(ctx, func(ctx context.Context) (*authorization.Authorization, error) {
			return b.authorizations.Import(ctx, spec, secret.Secret(refreshToken), replace)
		})
	case code != "" && state != "" && refreshToken == "":
		granted, err = inTime(ctx, func(ctx context.Context) (*authorization.Authorization, error) {
			_, a, err := b.authorizations.Redeem(ctx, state, code, name, replace)
			return a, err
		})
	default:
		return refuse("code, state: both are required, from the address that Adobe sent the browser to; or refresh_token alone; or none, to begin a sign-in")
	}
	if err != nil {
		return respond(err)
	}
	return &logical.Response{Data: map[string]any{"authorization_expire_time": advice.Time(granted.Expires)}}, nil
}

// inTime limits what is not given up when whoever asked goes away: a code and a
// refresh token are good for one use.
func inTime[T any](ctx context.Context, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokens.ReaderLimit)
	defer cancel()
	return do(ctx)
}

func (b *backend) beginSignIn(ctx context.Context, spec tokens.Spec, replace bool) (*logical.Response, error) {
	in, err := b.authorizations.Begin(ctx, spec, replace)
	if err != nil {
		return respond(err)
	}
	resp := &logical.Response{Data: map[string]any{
		"authorize_url": in.URL,
		"state":         in.State,
		"expire_time":   advice.Time(in.Expires),
	}}
	if !slices.Contains(spec.Role.Scopes, "offline_access") {
		resp.AddWarning(roles.WithoutRefresh)
	}
	return resp, nil
}

// deleteAuthorize revokes what a person granted, and ends the tokens of it. A role
// that was deleted can have left an authorization behind that IMS did not revoke
// then.
func (b *backend) deleteAuthorize(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role").(string)
	a, err := b.authorizations.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	if a == nil {
		if err := b.checkPerson(ctx, name); err != nil {
			return respond(err)
		}
	}
	// Both condemn at once. Neither waits for the other's answers of IMS.
	var left []authorization.Left
	var revoked, killed error
	var group sync.WaitGroup
	group.Go(func() { left, revoked = b.authorizations.Revoke(ctx, name) })
	group.Go(func() { _, killed = b.tokens.Kill(ctx, name) })
	group.Wait()
	if err := cmp.Or(revoked, killed); err != nil {
		b.Logger().Warn("an authorization could not be revoked", "role", name, "error", err)
		return respond(err)
	}
	resp := &logical.Response{}
	for _, l := range left {
		resp.AddWarning(leftWords(l))
	}
	return resp, nil
}

// leftWords warns of what nobody but the person can end.
func leftWords(l authorization.Left) string {
	return fmt.Sprintf("IMS was not asked to revoke: no config has the credential %s any more that the person authorized. The authorization lives until %s, unless the person ends it on Adobe's page of connected applications",
		l.ClientID, advice.Time(l.Expires))
}

// checkPerson refuses a role that no person authorizes.
func (b *backend) checkPerson(ctx context.Context, name string) error {
	spec, err := b.roles.Lookup(ctx, name)
	if err != nil {
		return err
	}
	c, err := b.credentials.Get(ctx, spec.Config)
	if err == nil && c.Value != nil && c.Value.Type != credential.WebApp {
		return advice.New("role %q needs no authorization: the credential_type of its config %q is %s", name, spec.Config, c.Value.Type)
	}
	return err
}

const pathAuthorizeHelpDesc = `
For roles on a config with credential_type=oauth_web_app, which serve a person's
token. To begin a sign-in:

  $ vault write -f adobeims/authorize/designer

The person opens the authorize_url, signs in at Adobe and consents. If the config's
redirect_uri is the callback of this mount, that is all. Otherwise write what Adobe
gave to the redirect URI:

  $ vault write adobeims/authorize/designer code=... state=...

A living authorization of another person is replaced only with replace=true. Read
it to see whose it is, since when and until when. It is refreshed in time, whether
the role is read or not. Delete it to revoke it at Adobe.
`

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// authorize/<role>
func (b *backend) pathAuthorize() *framework.Path {
	expiry := answers(map[string]*framework.FieldSchema{
		"authorization_expire_time": {Type: framework.TypeString, Description: "When the authorization lapses unless it is used, RFC 3339. The engine uses it in time."},
	})
	return &framework.Path{
		Pattern:         "authorize/" + framework.GenericNameRegex("role"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "A person's authorization of a role.",
		HelpDescription: pathAuthorizeHelpDesc,
		Fields: map[string]*framework.FieldSchema{
			"role":          {Type: framework.TypeString, Description: "Name of the role."},
			"code":          {Type: framework.TypeString, Description: "The code that Adobe gave to the redirect URI.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			"state":         {Type: framework.TypeString, Description: "The state that Adobe gave to the redirect URI."},
			"refresh_token": {Type: framework.TypeString, Description: "Instead of code and state: a refresh token obtained elsewhere with the same credential and scopes.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback:                  b.readAuthorize,
				Summary:                   "Get the address at which a person signs in and consents.",
				ForwardPerformanceStandby: true,
				DisplayAttrs:              &framework.DisplayAttributes{OperationVerb: "begin", OperationSuffix: "authorization"},
				Responses: answers(map[string]*framework.FieldSchema{
					"authorize_url": {Type: framework.TypeString, Description: "Where the person signs in and consents."},
					"state":         {Type: framework.TypeString, Description: "The state in the address: works once."},
					"expire_time":   {Type: framework.TypeString, Description: "When the address lapses, RFC 3339."},
				}),
			},
			logical.UpdateOperation: &framework.PathOperation{
				Callback:                  b.writeAuthorize,
				Summary:                   "Authorize the role with a code and its state, or with a refresh token.",
				ForwardPerformanceStandby: true,
				DisplayAttrs:              &framework.DisplayAttributes{OperationVerb: "complete", OperationSuffix: "authorization"},
				Responses:                 expiry,
			},
			logical.DeleteOperation: &framework.PathOperation{
				Callback:                  b.deleteAuthorize,
				Summary:                   "Revoke the authorization and its tokens at IMS and forget them.",
				ForwardPerformanceStandby: true,
				DisplayAttrs:              &framework.DisplayAttributes{OperationVerb: "revoke", OperationSuffix: "authorization"},
				Responses:                 answersNothing(),
			},
		},
	}
}

func (b *backend) readAuthorize(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role").(string)
	r, c, err := b.resolveWebApp(ctx, req.Storage, name)
	if err != nil {
		return respond(err)
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	state := base64.RawURLEncoding.EncodeToString(random)
	in := signIn{Role: name, Verifier: ims.NewVerifier(), Expires: b.tokens.clock.Now().Add(stateLife)}
	if err := b.beginSignIn(ctx, req.Storage, state, in); err != nil {
		return nil, err
	}
	resp := &logical.Response{Data: map[string]any{
		"authorize_url": c.client.AuthorizeURL(c.ClientID, c.RedirectURI, r.Scopes, state, in.Verifier),
		"state":         state,
		"expire_time":   timestamp(in.Expires),
	}}
	warnWithoutRefresh(resp, r)
	return resp, nil
}

// warnWithoutRefresh warns of a role that no person can authorize for long.
func warnWithoutRefresh(resp *logical.Response, r *role) {
	if !slices.Contains(r.Scopes, "offline_access") {
		resp.AddWarning("scopes: without offline_access IMS gives no refresh token, and the role cannot be authorized")
	}
}

func (b *backend) writeAuthorize(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role").(string)
	code, _ := givenText(d, "code")
	state, _ := givenText(d, "state")
	refreshToken, _ := givenText(d, "refresh_token")

	var granted *authorization
	var err error
	switch {
	case refreshToken != "" && code == "" && state == "":
		granted, err = b.importAuthorization(ctx, req.Storage, name, ims.Secret(refreshToken))
	case code != "" && state != "" && refreshToken == "":
		_, granted, err = b.redeem(ctx, req.Storage, state, code, name)
	default:
		return refuse("code, state: both are required, from the address that Adobe sent the browser to; or refresh_token alone")
	}
	if errors.Is(err, errStaleState) {
		return refuse("%s", err)
	}
	if err != nil {
		return respond(err)
	}
	return &logical.Response{Data: map[string]any{"authorization_expire_time": timestamp(granted.Expires)}}, nil
}

// redeem authorizes a role with the code that came back with a state. An empty
// name takes the role of the state, which is returned as far as it is known.
func (b *backend) redeem(ctx context.Context, s logical.Storage, state, code, name string) (string, *authorization, error) {
	in, err := b.takeSignIn(ctx, s, state, name)
	if err != nil {
		return "", nil, err
	}
	r, c, err := b.resolveWebApp(ctx, s, in.Role)
	if err != nil {
		return in.Role, nil, err
	}
	a, err := b.authorize(ctx, in.Role, "code", r, c, func(ctx context.Context) (*ims.Grant, error) {
		return c.client.Exchange(ctx, c.credential(), c.RedirectURI, code, in.Verifier)
	})
	return in.Role, a, err
}

func (b *backend) importAuthorization(ctx context.Context, s logical.Storage, name string, refreshToken ims.Secret) (*authorization, error) {
	r, c, err := b.resolveWebApp(ctx, s, name)
	if err != nil {
		return nil, err
	}
	return b.authorize(ctx, name, "refresh token", r, c, func(ctx context.Context) (*ims.Grant, error) {
		return c.client.Refresh(ctx, c.credential(), refreshToken)
	})
}

func (b *backend) authorize(ctx context.Context, name, what string, r *role, c *config, exchange func(context.Context) (*ims.Grant, error)) (*authorization, error) {
	// Whoever asked may go away; the code is good for one use.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	a, err := b.tokens.authorize(ctx, name, r, c, exchange)
	if err != nil {
		if isRefusedGrant(err) {
			return nil, &operatorError{fmt.Sprintf("IMS does not accept the %s (%s). Nothing was changed; read authorize/%s for a new authorize_url", what, err, name)}
		}
		return nil, err
	}
	b.event(ctx, "authorization-write", "authorize/"+name, "role", name)
	return a, nil
}

func (b *backend) deleteAuthorize(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role").(string)
	r, err := b.roles.get(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	// A role that was deleted can have left an authorization behind that IMS did
	// not revoke then.
	a, err := b.tokens.authorizations.get(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if r == nil && a == nil {
		return respond(missingRole(name))
	}
	if a == nil {
		if _, _, err := b.resolveWebApp(ctx, req.Storage, name); err != nil {
			return respond(err)
		}
	}
	stray := false
	if a != nil {
		c, err := b.configs.get(ctx, req.Storage, a.Config)
		if err != nil {
			return nil, err
		}
		stray = !a.revocable(c)
	}
	ctx, cancel := context.WithTimeout(ctx, invalidationTimeout)
	defer cancel()
	if err := b.tokens.revokeAuthorization(ctx, name); err != nil {
		b.Logger().Warn("an authorization could not be revoked", "role", name, "error", err)
		return respond(fmt.Errorf("%w. The authorization serves nobody any more and stays on record: delete authorize/%s again to try again", err, name))
	}
	b.event(ctx, "authorization-delete", "authorize/"+name, "role", name)
	resp := &logical.Response{}
	if stray {
		resp.AddWarning("IMS was not asked to revoke: the credential that the person authorized is gone from the role's config. The authorization lives until " +
			timestamp(a.Expires) + " unless the person ends it on Adobe's page of connected applications")
	}
	return resp, nil
}

// resolveWebApp looks up a role that a person authorizes, and its config.
func (b *backend) resolveWebApp(ctx context.Context, s logical.Storage, name string) (*role, *config, error) {
	r, c, err := b.resolve(ctx, s, name)
	if err == nil && c.CredentialType != webApp {
		return nil, nil, &missingError{fmt.Sprintf("role %q needs no authorizing: the credential_type of its config %q is %s", name, r.Config, c.CredentialType)}
	}
	return r, c, err
}

const pathAuthorizeHelpDesc = `
For roles on a config with credential_type=oauth_web_app, which serve a person's
token.

  $ vault read adobeims/authorize/designer

The person opens the authorize_url, signs in at Adobe and consents. If the config's
redirect_uri is the callback of this mount, that is all. Otherwise write what Adobe
gave to the redirect URI:

  $ vault write adobeims/authorize/designer code=... state=...

The authorization is refreshed in time, whether the role is read or not. Delete it
to revoke it at Adobe.
`

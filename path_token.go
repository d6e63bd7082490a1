// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// token/<role>
func (b *backend) pathToken() *framework.Path {
	return &framework.Path{
		Pattern:         "token/" + framework.GenericNameRegex("role"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    pathTokenHelpSyn,
		HelpDescription: pathTokenHelpDesc,
		Fields: map[string]*framework.FieldSchema{
			"role": {Type: framework.TypeString, Description: "Name of the role."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback:     b.readToken,
				Summary:      "Get an access token with the role's scopes.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read", OperationSuffix: "token"},
				Responses:    answers(tokenAnswerFields()),
			},
			logical.UpdateOperation: &framework.PathOperation{
				Callback:     b.readToken,
				Summary:      "Get an access token with the role's scopes, for clients that read by POST.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read", OperationSuffix: "token-by-post"},
				Responses:    answers(tokenAnswerFields()),
			},
			logical.DeleteOperation: &framework.PathOperation{
				Callback:                  b.deleteTokens,
				Summary:                   "Invalidate every outstanding token of the role at IMS.",
				ForwardPerformanceStandby: true,
				DisplayAttrs:              &framework.DisplayAttributes{OperationVerb: "invalidate", OperationSuffix: "tokens"},
				Responses:                 answersNothing(),
			},
		},
	}
}

func tokenAnswerFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"access_token":        {Type: framework.TypeString, Description: "The access token.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"token_type":          {Type: framework.TypeString, Description: "Bearer."},
		"expires_in":          {Type: framework.TypeInt64, Description: "Seconds that the token has left to live."},
		"expire_time":         {Type: framework.TypeString, Description: "When the token expires, RFC 3339, UTC."},
		"scopes":              {Type: framework.TypeStringSlice, Description: "Scopes the token was asked for."},
		"client_id":           {Type: framework.TypeString, Description: "Value of the x-api-key header of Adobe's APIs."},
		"org_id":              {Type: framework.TypeString, Description: "Value of the x-gw-ims-org-id header; only if the config has one."},
		"ttl":                 {Type: framework.TypeInt64, Description: "Seconds until there is a newer token; only with leased=false."},
		"rotation_period":     {Type: framework.TypeInt64, Description: "Seconds from one token to the next; only with leased=false."},
		"last_vault_rotation": {Type: framework.TypeString, Description: "When the token was minted, RFC 3339 with nanoseconds; only with leased=false."},
	}
}

func (b *backend) readToken(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role").(string)
	r, c, err := b.resolve(ctx, req.Storage, name)
	if err != nil {
		return respond(err)
	}
	// A lease can only be given by the active node: OpenBao's standbys refuse,
	// Vault's performance standbys would have to ask it.
	if r.Leased && b.System().ReplicationState().HasState(consts.ReplicationPerformanceStandby) {
		return nil, logical.ErrReadOnly
	}
	if r.Exclusive {
		token, err := b.tokens.mintExclusive(ctx, name, r, c)
		if err != nil {
			return respond(err)
		}
		now := b.tokens.clock.Now()
		return b.lease(token.answer(now), token, r, now), nil
	}

	h, err := b.tokens.read(ctx, name)
	if err != nil {
		return respond(err)
	}
	now := b.tokens.clock.Now()
	data := h.token.answer(now)
	resp := &logical.Response{Data: data}
	if r.Leased {
		resp = b.lease(data, h.token, r, now)
	} else {
		h.describeRotation(data, now)
	}
	resp.Warnings = h.warnings
	return resp, nil
}

func (t *mintedToken) answer(now time.Time) map[string]any {
	data := map[string]any{
		"access_token": string(t.AccessToken),
		"token_type":   "Bearer",
		"expires_in":   wholeSeconds(t.remaining(now)),
		"expire_time":  timestamp(t.Expires),
		"scopes":       t.Scopes,
		"client_id":    t.ClientID,
	}
	if t.OrgID != "" {
		data["org_id"] = t.OrgID
	}
	return data
}

// describeRotation adds what Vault Agent and the Vault Secrets Operator take a
// static role's rotation from: they read again once ttl is over.
func (h *handout) describeRotation(data map[string]any, now time.Time) {
	roundUp := func(d time.Duration) int64 { return max(wholeSeconds(d+time.Second-1), 1) }
	data["ttl"] = roundUp(h.until.Sub(now))
	data["rotation_period"] = roundUp(h.until.Sub(h.token.Issued))
	data["last_vault_rotation"] = h.token.Issued.UTC().Format(time.RFC3339Nano)
}

// deleteTokens is the kill switch for a role whose tokens have leaked.
func (b *backend) deleteTokens(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role").(string)
	r, err := b.roles.get(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		left, err := b.tokens.outstanding(ctx, name)
		if err != nil {
			return nil, err
		}
		if left == 0 {
			return respond(missingRole(name))
		}
	}
	if err := b.tokens.kill(ctx, name); err != nil {
		return respond(err)
	}
	// Shared tokens from before the role was exclusive are gone by now.
	if r != nil && r.Exclusive {
		return refuse("the tokens of role %q are exclusive, each with a lease of its own: invalidate them with vault lease revoke -prefix %stoken/%s", name, req.MountPoint, name)
	}
	return nil, nil
}

const pathTokenHelpSyn = `An access token with the scopes of a role.`

const pathTokenHelpDesc = `
Read it to get a token. All readers of a role get the same one, under a lease
that lasts as long as the token. It is replaced when half of its life is over, so
read again before the lease ends. Revoking a lease leaves the token alive for the
others; with exclusive=true on the role, it invalidates the token.

  $ vault read adobeims/token/firefly

Delete it to invalidate every outstanding token of the role at IMS. The next read
gets a new one.

  $ vault delete adobeims/token/firefly
`

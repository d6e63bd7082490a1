// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/roles"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// token/<role>
func (b *backend) pathToken() *framework.Path {
	return &framework.Path{
		Pattern:         "token/" + framework.GenericNameRegex("role"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    pathTokenHelpSyn,
		HelpDescription: pathTokenHelpDesc,
		Fields: map[string]*framework.FieldSchema{
			"role": nameField("role"),
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation:   operation(b.readToken, "Get an access token with the role's scopes.", "read", "token", okResponse(tokenAnswerFields())),
			logical.UpdateOperation: operation(b.readToken, "Get an access token with the role's scopes, for clients that read by POST.", "read", "token-by-post", okResponse(tokenAnswerFields())),
			logical.DeleteOperation: onActive(operation(b.deleteTokens, "Invalidate every outstanding token of the role at IMS.", "invalidate", "tokens", noContent())),
		},
	}
}

func tokenAnswerFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"access_token":        {Type: framework.TypeString, Description: "The access token.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"token_type":          {Type: framework.TypeString, Description: "Bearer."},
		"expires_in":          {Type: framework.TypeInt64, Description: "Seconds that the token has left to live."},
		"expire_time":         {Type: framework.TypeString, Description: "When the token expires, RFC 3339, UTC."},
		"scopes":              {Type: framework.TypeStringSlice, Description: "Scopes that IMS granted, as far as it told; else those that were asked for."},
		"client_id":           {Type: framework.TypeString, Description: "Value of the x-api-key header of Adobe's APIs."},
		"org_id":              {Type: framework.TypeString, Description: "Value of the x-gw-ims-org-id header; only if the config has one."},
		"ttl":                 {Type: framework.TypeInt64, Description: "Seconds until it is worth reading again; only with leased=false."},
		"rotation_period":     {Type: framework.TypeInt64, Description: "Seconds from one token to the next; only with leased=false."},
		"last_vault_rotation": {Type: framework.TypeString, Description: "When the token was minted, RFC 3339 with nanoseconds; only with leased=false."},
	}
}

func (b *backend) readToken(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	answer, err := b.tokens.Read(ctx, d.Get("role").(string))
	if err != nil {
		return respond(err)
	}
	now := b.host.Clock.Now()
	data := tokenData(answer.Token, now)
	resp := &logical.Response{Data: data}
	if answer.Role.Leased {
		resp = b.lease(data, answer, now)
	} else {
		describeRotation(data, answer, now, rand.Float64()) //nolint:gosec // jitter, not a secret
	}
	resp.Warnings = tokenWarnings(answer, now)
	return b.handOver(ctx, d.Get("role").(string), answer, resp)
}

// handOver answers a reader that is still there. Vault keeps no lease for one that
// has hung up, so nobody could end an exclusive token.
func (b *backend) handOver(ctx context.Context, role string, answer tokens.Answer, resp *logical.Response) (*logical.Response, error) {
	err := ctx.Err()
	if err == nil || !answer.Role.Exclusive {
		return resp, nil
	}
	b.tokens.EndStray(context.WithoutCancel(ctx), role, answer.Token)
	return nil, err
}

func tokenData(t *tokens.Token, now time.Time) map[string]any {
	data := map[string]any{
		"access_token": string(t.AccessToken),
		"token_type":   "Bearer",
		"expires_in":   wholeSeconds(t.Remaining(now)),
		"expire_time":  advice.Time(t.Expires),
		"scopes":       t.HeldScopes(),
		"client_id":    t.ClientID,
	}
	if t.OrgID != "" {
		data["org_id"] = t.OrgID
	}
	return data
}

// tokenWarnings are what the token's reader should know.
func tokenWarnings(a tokens.Answer, now time.Time) (warnings []string) {
	minTTL, t := a.Role.MinTTL, a.Token
	switch {
	case a.Failure != nil:
		warnings = append(warnings, fmt.Sprintf("This token is still good, but the last attempt to get a newer one failed at %s: %s. IMS is asked again from %s",
			advice.Time(a.Failure.At), a.Failure.Err, advice.Time(a.Failure.RetryAt)))
	case !a.MintingSince.IsZero() && now.Sub(a.MintingSince) >= slowMint:
		warnings = append(warnings, fmt.Sprintf("This token is still good, but IMS has been asked for a newer one since %s and has not answered yet", advice.Time(a.MintingSince)))
	case minTTL > t.Life()*9/10:
		warnings = append(warnings, fmt.Sprintf("min_ttl is %s, but IMS's tokens live for %s: it counts as nine tenths of that", advice.Span(minTTL), advice.Span(t.Life())))
	case t.Remaining(now) < minTTL:
		warnings = append(warnings, fmt.Sprintf("This token has less than min_ttl (%s) left; a newer one is not available yet", advice.Span(minTTL)))
	}
	if warning := t.ScopesWarning(); warning != "" {
		warnings = append(warnings, warning)
	}
	return warnings
}

// slowMint is after how long a mint under way is worth a warning.
const slowMint = 2 * time.Second

// describeRotation adds what Vault Agent and the Vault Secrets Operator take a
// static role's rotation from: they read again once ttl is over.
func describeRotation(data map[string]any, a tokens.Answer, now time.Time, jitter float64) {
	roundUp := func(d time.Duration) int64 { return max(wholeSeconds(d+time.Second-1), 1) }
	data["ttl"] = roundUp(a.ComeBack(now, jitter))
	data["rotation_period"] = roundUp(a.Until.Sub(a.Token.Issued))
	data["last_vault_rotation"] = a.Token.Issued.UTC().Format(time.RFC3339Nano)
}

// deleteTokens is the kill switch for a role whose tokens have leaked.
func (b *backend) deleteTokens(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role").(string)
	r, err := b.roles.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	kill := b.tokens.Kill
	if r.Value == nil {
		// A role that was deleted can have left tokens that IMS did not end then.
		left, err := b.tokens.Outstanding(ctx, name)
		if err != nil {
			return nil, err
		}
		if left == 0 {
			return respond(roles.Missing(name))
		}
		kill = b.tokens.Delete
	}
	if _, err := kill(ctx, name); err != nil {
		return respond(err)
	}
	// Shared tokens from before the role was exclusive are gone by now.
	if r.Value != nil && r.Value.Exclusive {
		return refuse("the tokens of role %q are exclusive, each with a lease of its own. To invalidate them: vault lease revoke -prefix %stoken/%s", name, req.MountPoint, name)
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

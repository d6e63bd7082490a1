// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/fleet"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// lookup
func (b *backend) pathLookup() *framework.Path {
	return &framework.Path{
		Pattern:         "lookup$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "Where a token comes from that somebody found.",
		HelpDescription: pathLookupHelpDesc,
		Fields: map[string]*framework.FieldSchema{
			"token": {Type: framework.TypeString, Description: "The access token that was found, such as token=@found.txt.", Required: true, DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			// Only the active node knows every record.
			logical.UpdateOperation: onActive(operation(b.lookUpToken, "Find out which role a token is of, and how to end it.", "look-up", "token", okResponse(lookupFields()))),
		},
	}
}

func lookupFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"on_record":   {Type: framework.TypeBool, Description: "Whether the token is a shared token on record, or a person's refresh token."},
		"role":        {Type: framework.TypeString, Description: "Role of the token; only if it is on record."},
		"config":      {Type: framework.TypeString, Description: "Config of the role; only if it is on record."},
		"standing":    {Type: framework.TypeString, Description: "current, former, or condemned: nobody gets it, and IMS has not invalidated it yet. Only if it is on record."},
		"roles":       {Type: framework.TypeStringSlice, Description: "Exclusive roles of these configs, whose tokens are on no record; only if it is not on record."},
		"configs":     {Type: framework.TypeStringSlice, Description: "Configs with the token's client ID; only if it is not on record."},
		"client_id":   {Type: framework.TypeString, Description: "Client ID of the token."},
		"token_type":  {Type: framework.TypeString, Description: "refresh_token for one; else the type by the token's own claims, only if it is not on record."},
		"scopes":      {Type: framework.TypeStringSlice, Description: "Scopes of the token."},
		"mint_time":   {Type: framework.TypeString, Description: "When the token was minted, RFC 3339."},
		"expire_time": {Type: framework.TypeString, Description: "When the token expires, RFC 3339."},
		"command":     {Type: framework.TypeString, Description: "What ends the token."},
	}
}

func (b *backend) lookUpToken(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	token := bareToken(d.Get("token").(string))
	if token == "" {
		return refuse("token: required, such as token=@found.txt")
	}
	found, err := b.tokens.Find(ctx, token)
	if err != nil {
		return nil, err
	}
	if found != nil {
		return &logical.Response{Data: describeFound(found, req.MountPoint)}, nil
	}
	grant, err := b.fleet.FindGrant(ctx, token)
	if err != nil {
		return nil, err
	}
	if grant != nil {
		return &logical.Response{Data: describeGrant(grant, req.MountPoint)}, nil
	}
	claims, ok := ims.ReadClaims(string(token))
	if !ok {
		return respond(b.fleet.NoToken(ctx, token))
	}
	return b.describeUnknown(ctx, claims, req.MountPoint)
}

// bareToken takes a token out of the header or the quotes that it was copied with.
func bareToken(text string) secret.Secret {
	words := strings.Fields(strings.Trim(text, `"',; `))
	if n := len(words); n > 1 && strings.EqualFold(words[n-2], "Bearer") {
		return secret.Secret(words[n-1])
	}
	return secret.Secret(strings.Join(words, " "))
}

func describeFound(f *tokens.Found, mount string) map[string]any {
	return map[string]any{
		"on_record":   true,
		"role":        f.Role,
		"config":      f.Token.Config,
		"standing":    string(f.Standing),
		"client_id":   f.Token.ClientID,
		"scopes":      f.Token.HeldScopes(),
		"mint_time":   advice.Time(f.Token.Issued),
		"expire_time": advice.Time(f.Token.Expires),
		"command":     fmt.Sprintf("vault delete %stoken/%s", mount, f.Role),
	}
}

func describeGrant(f *fleet.FoundGrant, mount string) map[string]any {
	return map[string]any{
		"on_record":   true,
		"role":        f.Role,
		"config":      f.Grant.Config,
		"standing":    string(f.Standing),
		"client_id":   f.Grant.ClientID,
		"token_type":  "refresh_token",
		"mint_time":   advice.Time(f.Grant.Refreshed),
		"expire_time": advice.Time(f.Grant.Expires),
		"command":     fmt.Sprintf("vault delete %sauthorize/%s", mount, f.Role),
	}
}

// describeUnknown tells what a token says of itself that is on no record.
func (b *backend) describeUnknown(ctx context.Context, claims ims.Claims, mount string) (*logical.Response, error) {
	configs, exclusive, err := b.fleet.OfClient(ctx, claims.ClientID)
	if err != nil {
		return nil, err
	}
	data := map[string]any{
		"on_record":  false,
		"configs":    configs,
		"roles":      exclusive,
		"client_id":  claims.ClientID,
		"token_type": claims.Type,
		"scopes":     claims.Scopes,
	}
	if !claims.Created.IsZero() {
		data["mint_time"] = advice.Time(claims.Created)
	}
	if !claims.Expires.IsZero() {
		data["expire_time"] = advice.Time(claims.Expires)
	}
	resp := &logical.Response{Data: data}
	warn := func(format string, args ...any) {
		resp.AddWarning(fmt.Sprintf(format, args...) + ". Its claims are its own words; nobody has proven them")
	}
	if !claims.Expires.IsZero() && !claims.Expires.After(b.host.Clock.Now()) {
		warn("The token has expired")
		return resp, nil
	}
	if len(configs) == 0 {
		warn("The token is on no record, and no config has its client ID: it was minted elsewhere")
		return resp, nil
	}
	elsewhere := fmt.Sprintf("of another cluster, where to look it up; or minted elsewhere with a secret of the client: then rotate it with vault write -f %sconfig/%s/rotate, and ask Adobe's support to end the token",
		mount, configs[0])
	switch len(exclusive) {
	case 0:
		warn("The token is on no record. It is %s", elsewhere)
		return resp, nil
	case 1:
		data["command"] = fmt.Sprintf("vault lease revoke -prefix %stoken/%s", mount, exclusive[0])
	default:
		data["command"] = fmt.Sprintf("vault lease revoke -prefix %stoken/<role>", mount)
	}
	warn("The token is on no record. It is an exclusive one, which the command ends with the role's other leases; or %s", elsewhere)
	return resp, nil
}

const pathLookupHelpDesc = `
Somebody found a token, in a log perhaps. This tells which role and config it is of,
whether readers still get it, and the command that ends it. The token shows in no
answer and no log.

  $ vault write adobeims/lookup token=@found.txt

A token that is on no record is read: its own claims tell the client ID, and so the
configs that it may come from. What is a client secret of a config is refused with
the config's name.
`

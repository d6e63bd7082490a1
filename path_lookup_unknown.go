// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// foundGrant is a person's refresh token on record.
type foundGrant struct {
	role     string
	grant    authorization.Grant
	standing tokens.Standing // current or condemned
}

// findGrant looks a refresh token up on the records of all roles.
func (b *backend) findGrant(ctx context.Context, token secret.Secret) (*foundGrant, error) {
	names, err := b.authorizations.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		a, err := b.authorizations.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		if a == nil {
			continue
		}
		standing := tokens.Current
		if a.Condemned {
			standing = tokens.Condemned
		}
		if same(a.RefreshToken, token) {
			return &foundGrant{name, a.Grant, standing}, nil
		}
		for _, former := range a.Unrevoked {
			if same(former.RefreshToken, token) {
				return &foundGrant{name, former, tokens.Condemned}, nil
			}
		}
	}
	return nil, ctx.Err()
}

func same(a, b secret.Secret) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (f *foundGrant) describe(mount string) map[string]any {
	return map[string]any{
		"on_record":   true,
		"role":        f.role,
		"config":      f.grant.Config,
		"standing":    string(f.standing),
		"client_id":   f.grant.ClientID,
		"token_type":  "refresh_token",
		"mint_time":   advice.Time(f.grant.Refreshed),
		"expire_time": advice.Time(f.grant.Expires),
		"command":     fmt.Sprintf("vault delete %sauthorize/%s", mount, f.role),
	}
}

// noToken says of what is no token whether it is a client secret: that is found in
// logs too, and who finds it has to know whose it is.
func (b *backend) noToken(ctx context.Context, found secret.Secret) error {
	names, err := b.credentials.List(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		c, err := b.credentials.Get(ctx, name)
		if err != nil {
			return err
		}
		if c.Value == nil {
			continue
		}
		if problem := clientSecretFound(name, c.Value, found); problem != nil {
			return problem
		}
	}
	return advice.Field("token", "is not on record, and no token of IMS by its form; check that the whole of it was given")
}

// clientSecretFound is the advice about a client secret of a config; nil if it is
// none.
func clientSecretFound(name string, c *credential.Credential, found secret.Secret) *advice.Error {
	isFound := func(value secret.Secret) bool { return same(value, found) }
	const is = "is no token, but "
	switch when, former := c.Recognises(found); {
	case isFound(c.Current) && c.CanRotate():
		return advice.Field("token", is+"the client secret of config/%s. To put another in its place, and have it removed at Adobe once previous_secret_ttl is over", name).
			Run("vault write -f %sconfig/%s/rotate", advice.Mount, name)
	case isFound(c.Current):
		return advice.Field("token", is+"the client secret of config/%s. Add another in the Developer Console, delete this one there, and write the new one", name).
			Run("vault write %sconfig/%s client_secret=@secret.txt", advice.Mount, name)
	case slices.ContainsFunc(c.Values(), isFound):
		return advice.Field("token", is+"a client secret of config/%s beside the current one. It works until it is removed at Adobe; previous_client_secrets says when", name).
			Run("vault read %sconfig/%s", advice.Mount, name)
	case former:
		return advice.Field("token", is+"a former client secret of config/%s: a rotation replaced it at %s, and it was removed at Adobe", name, advice.Time(when))
	}
	return nil
}

// describeUnknown tells what a token says of itself that is on no record.
func (b *backend) describeUnknown(ctx context.Context, claims ims.Claims, mount string) (*logical.Response, error) {
	configs, exclusive, err := b.ofClient(ctx, claims.ClientID)
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

// ofClient names the configs of a client ID, and their exclusive roles, whose
// tokens are on no record.
func (b *backend) ofClient(ctx context.Context, clientID string) (configs, exclusive []string, err error) {
	configs, exclusive = []string{}, []string{}
	names, err := b.credentials.List(ctx)
	if err != nil || clientID == "" {
		return configs, exclusive, err
	}
	for _, name := range names {
		c, err := b.credentials.Get(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		if c.Value == nil || c.Value.ClientID != clientID {
			continue
		}
		configs = append(configs, name)
		of, err := b.roles.Of(ctx, name, func(r *tokens.Role) bool { return r.Exclusive })
		if err != nil {
			return nil, nil, err
		}
		exclusive = append(exclusive, of...)
	}
	slices.Sort(exclusive)
	return configs, exclusive, nil
}

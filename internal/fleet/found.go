// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"context"
	"crypto/subtle"
	"slices"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// FoundGrant is a person's refresh token on record.
type FoundGrant struct {
	Role     string
	Grant    authorization.Grant
	Standing tokens.Standing // current or condemned
}

// FindGrant looks a refresh token up on the records of all roles.
func (f *Fleet) FindGrant(ctx context.Context, token secret.Secret) (*FoundGrant, error) {
	names, err := f.Authorizations.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		a, err := f.Authorizations.Get(ctx, name)
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
			return &FoundGrant{name, a.Grant, standing}, nil
		}
		for _, former := range a.Unrevoked {
			if same(former.RefreshToken, token) {
				return &FoundGrant{name, former, tokens.Condemned}, nil
			}
		}
	}
	return nil, ctx.Err()
}

func same(a, b secret.Secret) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// NoToken says of what is no token whether it is a client secret: that is found in
// logs too, and who finds it has to know whose it is.
func (f *Fleet) NoToken(ctx context.Context, found secret.Secret) error {
	names, err := f.Credentials.List(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		c, err := f.Credentials.Get(ctx, name)
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

// OfClient names the configs of a client ID, and their exclusive roles, whose
// tokens are on no record.
func (f *Fleet) OfClient(ctx context.Context, clientID string) (configs, exclusive []string, err error) {
	configs, exclusive = []string{}, []string{}
	names, err := f.Credentials.List(ctx)
	if err != nil || clientID == "" {
		return configs, exclusive, err
	}
	for _, name := range names {
		c, err := f.Credentials.Get(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		if c.Value == nil || c.Value.ClientID != clientID {
			continue
		}
		configs = append(configs, name)
		of, err := f.Roles.Of(ctx, name, func(r *tokens.Role) bool { return r.Exclusive })
		if err != nil {
			return nil, nil, err
		}
		exclusive = append(exclusive, of...)
	}
	slices.Sort(exclusive)
	return configs, exclusive, nil
}

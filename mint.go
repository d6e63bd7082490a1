// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"fmt"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// lookup tells what a role and its config are now. It implements tokens.Lookup.
func (b *backend) lookup(ctx context.Context, name string) (tokens.Spec, error) {
	r, err := b.roles.Get(ctx, name)
	if err != nil {
		return tokens.Spec{}, err
	}
	if r.Value == nil {
		return tokens.Spec{}, missingRole(name)
	}
	c, err := b.credentials.Get(ctx, r.Value.Config)
	if err != nil {
		return tokens.Spec{}, err
	}
	if c.Value == nil {
		return tokens.Spec{}, advice.Missing("config %q of role %q does not exist. To write it", r.Value.Config, name).
			Run("vault write %sconfig/%s client_id=... client_secret=@secret.txt", advice.Mount, r.Value.Config)
	}
	return specOf(name, r.Value, c.Value, max(r.Revision, c.Revision)), nil
}

func specOf(name string, r *tokens.Role, c *credential.Credential, revision uint64) tokens.Spec {
	return tokens.Spec{
		Name:     name,
		Role:     r,
		Identity: tokens.Identity{Config: r.Config, ClientID: c.ClientID, IMSURL: c.IMSURL, OrgID: c.OrgID},
		Revision: revision,
	}
}

// Mint implements tokens.Minter: a person's token comes from their authorization,
// any other from the credential itself.
func (b *backend) Mint(ctx context.Context, spec tokens.Spec, order tokens.Order) (*tokens.Token, error) {
	c, err := b.credentials.Get(ctx, spec.Config)
	switch {
	case err != nil:
		return nil, err
	case c.Value == nil:
		return nil, advice.Missing("config %q does not exist", spec.Config)
	}
	if order.Background {
		ctx = ims.WithoutRetries(ctx)
	}
	ctx = ims.WithProceed(ctx, order.Proceed)
	var token *tokens.Token
	if c.Value.Type == credential.WebApp {
		token, err = b.authorizations.Mint(ctx, spec, order)
	} else {
		token, err = b.mintWith(ctx, spec, c.Value)
	}
	if err == nil {
		err = usable(token, b)
	}
	return token, err
}

// mintWith obtains a token for the credential itself.
func (b *backend) mintWith(ctx context.Context, spec tokens.Spec, c *credential.Credential) (*tokens.Token, error) {
	var granted *ims.Token
	_, err := b.credentials.Use(ctx, spec.Config, c, func(client *ims.Client, cred ims.Credential) (err error) {
		granted, err = client.ClientCredentials(ctx, cred, spec.Role.Scopes)
		return err
	})
	if granted == nil {
		return nil, err
	}
	return tokenOf(specOf(spec.Name, spec.Role, c, spec.Revision), granted), err
}

// unknownLife is how long a token may live that does not tell. It is handed to
// nobody, but it has to be ended.
const unknownLife = 24 * time.Hour

// tokenOf is what IMS granted to a role.
func tokenOf(spec tokens.Spec, granted *ims.Token) *tokens.Token {
	expires := granted.Expires
	if expires.IsZero() {
		expires = granted.Issued.Add(unknownLife)
	}
	return &tokens.Token{
		AccessToken: granted.AccessToken,
		Issued:      granted.Issued,
		Expires:     expires,
		Identity:    spec.Identity,
		Scopes:      spec.Role.Scopes,
		Granted:     granted.Scopes,
		AccountID:   granted.UserID,
	}
}

// usable refuses a token that could not be handed out or not be kept.
func usable(t *tokens.Token, b *backend) error {
	malformed := func(format string, args ...any) error {
		return &ims.Error{Service: "IMS", Op: "token request", Kind: ims.Malformed, Err: fmt.Errorf(format, args...)}
	}
	switch {
	case t.Remaining(b.host.Clock.Now()) < tokens.MinLife:
		return malformed("the token lives for less than a second")
	case len(t.AccessToken) > tokens.MaxToken:
		return malformed("the token has %d bytes; %d is the limit", len(t.AccessToken), tokens.MaxToken)
	}
	return nil
}

// End implements tokens.Ender.
func (b *backend) End(ctx context.Context, t *tokens.Token) error {
	return b.credentials.End(ctx, credential.Issued{
		Config: t.Config, ClientID: t.ClientID, IMSURL: t.IMSURL, Token: t.AccessToken, Expires: t.Expires,
	})
}

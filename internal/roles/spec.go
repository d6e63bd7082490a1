// SPDX-License-Identifier: MPL-2.0

package roles

import (
	"context"
	"fmt"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// WithoutRefresh warns of a role that no person can authorize for long.
const WithoutRefresh = "scopes: without offline_access IMS gives no refresh token, and the role cannot be authorized"

// Missing is the advice about a role that does not exist.
func Missing(name string) *advice.Error {
	return advice.Missing("role %q does not exist. To list those that do", name).Run("vault list %sroles", advice.Mount)
}

// Lookup tells what a role and its config are now. It implements tokens.Lookup.
func (s *Store) Lookup(ctx context.Context, name string) (tokens.Spec, error) {
	for {
		r, err := s.Get(ctx, name)
		if err != nil {
			return tokens.Spec{}, err
		}
		if r.Value == nil {
			return tokens.Spec{}, Missing(name)
		}
		c, err := s.credentials.Get(ctx, r.Value.Config)
		if err != nil {
			return tokens.Spec{}, err
		}
		// The role may have got another config while this one was waited for, whose
		// revision then says nothing of the role.
		now, err := s.Get(ctx, name)
		switch {
		case err != nil:
			return tokens.Spec{}, err
		case now.Revision != r.Revision && ctx.Err() == nil:
			continue
		case now.Revision != r.Revision:
			return tokens.Spec{}, ctx.Err()
		case c.Value == nil:
			return tokens.Spec{}, advice.Missing("config %q of role %q does not exist. To write it", r.Value.Config, name).
				Run("vault write %sconfig/%s client_id=... client_secret=@secret.txt", advice.Mount, r.Value.Config)
		}
		return specOf(name, r.Value, c.Value, max(r.Revision, c.Revision)), nil
	}
}

func specOf(name string, r *tokens.Role, c *credential.Credential, revision uint64) tokens.Spec {
	return tokens.Spec{
		Name:     name,
		Role:     r,
		Identity: tokens.Identity{Config: r.Config, ClientID: c.ClientID, IMSURL: c.IMSURL, OrgID: c.OrgID},
		Revision: revision,
	}
}

// Mint obtains a token for the credential itself. It may return one beside an error:
// it must not be handed out.
func (s *Store) Mint(ctx context.Context, spec tokens.Spec, c *credential.Credential) (*tokens.Token, error) {
	var granted *ims.Token
	_, err := s.credentials.Use(ctx, spec.Config, c, func(client *ims.Client, cred ims.Credential) (err error) {
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

// Usable refuses a token that could not be handed out or not be kept.
func (s *Store) Usable(t *tokens.Token) error {
	malformed := func(format string, args ...any) error {
		return &ims.Error{Service: "IMS", Op: "token request", Kind: ims.Malformed, Err: fmt.Errorf(format, args...)}
	}
	switch {
	case t.Remaining(s.host.Clock.Now()) < tokens.MinLife:
		return malformed("the token lives for less than a second")
	case len(t.AccessToken) > tokens.MaxToken:
		return malformed("the token has %d bytes; %d is the limit", len(t.AccessToken), tokens.MaxToken)
	}
	return nil
}

// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"context"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// maxScopeProbes is how many tokens are asked for to find out which scopes IMS
// refuses.
const maxScopeProbes = 16

// Grants is what IMS says to a set of scopes.
type Grants struct {
	// Token has the scopes that IMS granted; nil if it refused them. It is the
	// caller's to use or to end.
	Token *ims.Token

	// Refused are the scopes that IMS does not grant, as far as could be found
	// out with a few requests. Unsure is set if there may be others.
	Refused []string
	Unsure  bool
}

// Grants asks IMS for a token with the scopes. If it answers invalid_scope, the
// scopes are told apart by asking for parts of them, and the error is that answer;
// tokens obtained for that are ended.
func (s *Store) Grants(ctx context.Context, name string, c *Credential, scopes []string) (Grants, error) {
	token, err := s.obtain(ctx, name, c, scopes)
	if !ims.RefusedWith(err, ims.CodeInvalidScope) {
		return Grants{Token: token}, err
	}
	probes := maxScopeProbes
	refused := s.refused(ctx, name, c, scopes, &probes)
	return Grants{Refused: refused, Unsure: probes < 0}, err
}

func (s *Store) obtain(ctx context.Context, name string, c *Credential, scopes []string) (token *ims.Token, err error) {
	_, err = s.Use(ctx, name, c, func(client *ims.Client, credential ims.Credential) (err error) {
		token, err = client.ClientCredentials(ctx, credential, scopes)
		return err
	})
	return token, err
}

// refused asks for half of the scopes at a time. IMS refuses them together.
func (s *Store) refused(ctx context.Context, name string, c *Credential, scopes []string, probes *int) (refused []string) {
	if len(scopes) == 1 {
		return scopes
	}
	half := len(scopes) / 2
	for _, part := range [][]string{scopes[:half], scopes[half:]} {
		if *probes--; *probes < 0 {
			break
		}
		token, err := s.obtain(ctx, name, c, part)
		if token != nil {
			s.endUnneeded(ctx, c, func(ctx context.Context) error {
				return s.End(ctx, Issued{Config: name, ClientID: c.ClientID, IMSURL: c.IMSURL, Token: token.AccessToken, Expires: token.Expires})
			})
		}
		if ims.RefusedWith(err, ims.CodeInvalidScope) {
			refused = append(refused, s.refused(ctx, name, c, part, probes)...)
		}
	}
	return refused
}

// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// Redeem authorizes a role with the code that came back with a state. An empty
// role takes that of the state; the one returned is known as soon as the state
// is. For advice that the sign-in is of no use any more, errors.Is(err, ErrStale)
// holds.
//
// What is Unrevoked of the result could not be revoked yet.
func (s *Service) Redeem(ctx context.Context, state, code, role string, replace bool) (string, *Authorization, error) {
	if err := checkLength("code", secret.Secret(code), maxCode); err != nil {
		return "", nil, err.Because(ErrStale)
	}
	in, err := s.takeSignIn(ctx, state, role)
	if err != nil {
		return "", nil, err
	}
	a, err := s.redeem(ctx, in, secret.Secret(code), replace)
	return in.Role, a, err
}

func (s *Service) redeem(ctx context.Context, in *signIn, code secret.Secret, replace bool) (*Authorization, error) {
	m := s.join(in.Role)
	defer s.leave(in.Role, m)
	c := &consent{role: in.Role, basis: in.Basis, replace: in.Replace || replace, began: s.endedAt(m), memory: m}
	p, err := s.stillHolds(ctx, c)
	if err != nil {
		return nil, err
	}
	return s.obtain(ctx, c, p, "code",
		func(ctx context.Context, client *ims.Client, cred ims.Credential) (*ims.Grant, error) {
			return client.Exchange(ctx, cred, in.Basis.RedirectURI, code, in.Verifier)
		})
}

// Import authorizes a role with a refresh token that was obtained elsewhere. It
// is proven by using it, which makes an end of it. The result is as for Redeem.
func (s *Service) Import(
	ctx context.Context, spec tokens.Spec, refreshToken secret.Secret, replace bool,
) (*Authorization, error) {
	if err := checkLength("refresh_token", refreshToken, maxRefreshToken); err != nil {
		return nil, err
	}
	m := s.join(spec.Name)
	defer s.leave(spec.Name, m)
	c := &consent{role: spec.Name, replace: replace, Spent: refreshToken, began: s.endedAt(m), memory: m}
	p, err := s.person(ctx, spec)
	if err != nil {
		return nil, err
	}
	c.basis = p.basis
	unlock, err := s.uses.Lock(ctx, string(refreshToken))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.spareRefreshToken(ctx, c); err != nil {
		return nil, err
	}
	return s.obtain(ctx, c, p, "refresh token",
		func(ctx context.Context, client *ims.Client, cred ims.Credential) (*ims.Grant, error) {
			return client.Refresh(ctx, cred, refreshToken)
		})
}

// spareRefreshToken returns an error if it is known already that a refresh token
// that is to be imported would be spent for nothing: it says of itself that it is
// somebody's who may not take the place, or storage takes no write.
func (s *Service) spareRefreshToken(ctx context.Context, c *consent) error {
	now, err := s.load(ctx, c.role)
	if err != nil {
		return err
	}
	if claims, _ := ims.ReadClaims(string(c.Spent)); claims.UserID != "" {
		if err := c.check(now, Grant{Subject: claims.UserID}, s.host.Clock.Now()); err != nil {
			return err
		}
	}
	// What a crash leaves of this is swept like a sign-in that nobody completed.
	const probe = StatePrefix + "probe"
	if err := put(ctx, s.host.Storage, probe, signIn{}); err != nil {
		return err
	}
	return s.host.Storage.Delete(ctx, probe)
}

// checkLength returns advice if a text from a request is empty or too long.
func checkLength(field string, value secret.Secret, limit int) *advice.Error {
	switch {
	case value == "":
		return advice.Field(field, "empty")
	case len(value) > limit:
		return advice.Field(field, "longer than %d bytes, which is more than Adobe's are", limit)
	}
	return nil
}

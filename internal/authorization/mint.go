// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"
	"slices"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// Mint implements tokens.Minter: it uses the role's refresh token for a new access
// token. IMS gives a new refresh token with it, which is stored first.
//
// An error for which errors.As finds an *Unauthorized means that a person has to
// authorize the role.
func (s *Service) Mint(ctx context.Context, spec tokens.Spec, order tokens.Order) (*tokens.Token, error) {
	m := s.join(spec.Name)
	defer s.leave(spec.Name, m)
	u := &use{role: spec.Name, began: s.endedAt(m), memory: m}
	p, err := s.person(ctx, spec)
	if err != nil {
		return nil, err
	}
	if p.basis.ClientID != spec.ClientID || p.basis.IMSURL != spec.IMSURL {
		return nil, errChanged
	}
	used, unlock, err := s.takeRefreshToken(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer unlock()
	u.Token = used.RefreshToken
	if used, err = s.proveStorage(ctx, u); err != nil {
		return nil, err
	}
	granted, err := s.refresh(ctx, u, p, order)
	if granted == nil {
		if isRefusedGrant(err) {
			err = unauthorizedAgain(spec.Name, "IMS does not accept the refresh token any more ("+err.Error()+")", err)
		}
		return nil, err
	}
	// From here on the refresh token that was used is dead, and nothing of what
	// came in its place must get lost, whoever went away.
	if stored := s.storeSuccessor(context.WithoutCancel(ctx), u, newGrant(granted, p.basis, used.Grant)); stored != nil {
		err = stored
	}
	return p.token(granted), err
}

// use is one use of a role's refresh token.
type use struct {
	role   string
	Token  secret.Secret
	began  uint64 // the last condemnation when it began
	memory *memory
}

// takeRefreshToken waits until nobody else uses the role's refresh token.
func (s *Service) takeRefreshToken(ctx context.Context, spec tokens.Spec) (*Authorization, func(), error) {
	for {
		before, err := s.load(ctx, spec.Name)
		if err != nil {
			return nil, nil, err
		}
		if err := before.usable(spec); err != nil {
			return nil, nil, err
		}
		unlock, err := s.uses.Lock(ctx, string(before.RefreshToken))
		if err != nil {
			return nil, nil, err
		}
		now, err := s.load(ctx, spec.Name)
		if err == nil && now.holds(before.RefreshToken) {
			return now, unlock, nil
		}
		unlock()
		if err != nil {
			return nil, nil, err
		}
	}
}

// check returns an error if the authorization is no longer the one whose
// refresh token is used.
func (u *use) check(now *Authorization) error {
	switch {
	case !now.Living():
		return unauthorized(u.role, "its authorization has been revoked", nil)
	case now.RefreshToken != u.Token:
		return errChanged
	}
	return nil
}

// proveStorage has storage take a write before the refresh token is spent: one
// that takes none would not take the successor either. It stores what could not
// be stored before.
func (s *Service) proveStorage(ctx context.Context, u *use) (*Authorization, error) {
	return s.apply(ctx, u.role, change{decide: func(now *Authorization) (*Authorization, error) {
		if err := u.check(now); err != nil {
			return nil, err
		}
		return now.spending(s.host.Clock.Now()), nil
	}})
}

// refresh has IMS give a new pair for the refresh token. It may return a grant
// beside an error: one whose access token is of no use.
func (s *Service) refresh(ctx context.Context, u *use, p *person, order tokens.Order) (*ims.Grant, error) {
	if order.Background {
		ctx = ims.WithoutRetries(ctx)
	}
	asking := ims.WithProceed(ctx, func() error {
		if err := order.Proceed(); err != nil {
			return err
		}
		now, err := s.load(ctx, u.role)
		if err != nil {
			return err
		}
		return u.check(now)
	})
	var granted *ims.Grant
	err := s.ask(asking, p, func(client *ims.Client, cred ims.Credential) (err error) {
		granted, err = client.Refresh(asking, cred, u.Token)
		return err
	})
	return granted, err
}

// storeSuccessor stores the refresh token that came in place of the one that was
// used, in memory first. If the authorization is no longer the role's, it is
// revoked instead. On an error the access token that came along must not be
// handed out.
func (s *Service) storeSuccessor(ctx context.Context, u *use, g Grant) error {
	s.remember(u.memory, func(m *memory) {
		m.successors = append(slices.Clone(m.successors), &successor{Grant: g, Of: u.Token})
	})
	now, err := s.apply(ctx, u.role, change{decide: func(now *Authorization) (*Authorization, error) { return now, nil }})
	switch {
	case s.endedAt(u.memory) != u.began: // before it was stored, or meanwhile
		err = unauthorized(u.role, "its authorization has been revoked", nil)
	case err != nil:
		s.host.Log.Error("a new refresh token could not be stored and is kept in memory only; it is tried again every minute",
			"role", u.role, "error", err)
		return err
	case !now.holds(g.RefreshToken):
		err = errChanged
	default:
		return nil
	}
	s.revokeFormer(ctx, u.role)
	return err
}

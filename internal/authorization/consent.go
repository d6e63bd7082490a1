// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// maxUnrevoked is how many former refresh tokens of a role can wait to be
// revoked before no other is added.
const maxUnrevoked = 20

// consent is what a person consented to, and how it may take effect.
type consent struct {
	role    string
	basis   basis
	replace bool          // though it is somebody else's
	Spent   secret.Secret // the refresh token that is used for it, if one is
	began   uint64        // the last condemnation when it began
	memory  *memory
}

// room returns advice if the record takes no other refresh token.
func (c *consent) room(now *Authorization) error {
	if owed := now.owed(); len(owed) >= maxUnrevoked {
		return tooManyUnrevoked(c.role, len(owed))
	}
	return nil
}

// check returns advice if a grant must not take the place of what is on record.
func (c *consent) check(now *Authorization, g Grant, at time.Time) error {
	if err := c.room(now); err != nil {
		return err
	}
	switch {
	case !now.Living(), now.lapsed(at), now.holds(c.Spent), now.samePerson(g), c.replace:
		return nil
	}
	return anotherPerson(c.role, now.Grant)
}

// stillHolds returns the role as it is, or advice if it is not as it was when the
// consent began.
func (s *Service) stillHolds(ctx context.Context, c *consent) (*person, error) {
	if s.endedAt(c.memory) != c.began {
		return nil, changedMeanwhile(c.role)
	}
	p, err := s.now(ctx, c.role)
	var none *advice.Error
	switch {
	case errors.As(err, &none): // it is gone, or no person's any more
		return nil, changedMeanwhile(c.role)
	case err != nil:
		return nil, err
	case !p.basis.same(c.basis):
		return nil, changedMeanwhile(c.role)
	}
	return p, nil
}

// obtain has IMS give what the person consented to, and puts it on record.
func (s *Service) obtain(
	ctx context.Context, c *consent, p *person, what string,
	call func(context.Context, *ims.Client, ims.Credential) (*ims.Grant, error),
) (*Authorization, error) {
	// What would be used up for nothing is spared.
	now, err := s.load(ctx, c.role)
	if err != nil {
		return nil, err
	}
	if err := c.room(now); err != nil {
		return nil, err
	}
	asking := ims.WithProceed(ctx, func() error {
		_, err := s.stillHolds(ctx, c)
		return err
	})
	var granted *ims.Grant
	err = s.ask(asking, p, func(client *ims.Client, cred ims.Credential) (err error) {
		granted, err = call(asking, client, cred)
		return err
	})
	if granted == nil {
		return nil, refusedGrant(err, c.role, what)
	}
	// From here on it is used up, whoever went away.
	ctx = context.WithoutCancel(ctx)
	if granted.RefreshToken == "" {
		s.endStray(ctx, c.role, p.token(granted))
		if err != nil {
			return nil, err
		}
		return nil, noRefreshToken(c.role, p.basis.Scopes)
	}
	a, p, refused := s.accept(ctx, c, p, granted)
	if refused != nil {
		return nil, refused
	}
	s.adopt(ctx, p, p.token(granted), err)
	if s.revokeFormer(ctx, c.role) {
		a = &Authorization{Grant: a.Grant}
	}
	return a, nil
}

// accept puts on record what IMS granted, in place of what was before. If it
// cannot be, it is ended. It returns the role as it is by then.
func (s *Service) accept(ctx context.Context, c *consent, p *person, granted *ims.Grant) (*Authorization, *person, error) {
	g := newGrant(granted, c.basis, Grant{})
	a, err := s.apply(ctx, c.role, change{
		decide: func(now *Authorization) (*Authorization, error) {
			still, err := s.stillHolds(ctx, c)
			if err != nil {
				return nil, err
			}
			p = still
			if err := c.check(now, g, s.host.Clock.Now()); err != nil {
				return nil, err
			}
			return now.replacedBy(g, c.Spent), nil
		},
		// The write may have taken effect. Nothing is to come of it.
		failed: func(m *memory, now *Authorization) {
			m.restored = now
			m.owed = append(slices.Clone(m.owed), g)
		},
	})
	switch {
	case err != nil:
		s.owe(ctx, c.role, g)
	case s.endedAt(c.memory) != c.began: // what was stored just now is condemned
		err = changedMeanwhile(c.role)
	default:
		s.host.Events.Send(ctx, "authorization-write", "authorize/"+c.role, "role", c.role)
		return a, p, nil
	}
	s.endStray(ctx, c.role, p.token(granted))
	s.revokeFormer(ctx, c.role)
	return nil, nil, err
}

// adopt gives the token store the access token that came with an authorization;
// unusable is why it must not be handed out, if it must not.
func (s *Service) adopt(ctx context.Context, p *person, token *tokens.Token, unusable error) {
	switch {
	case unusable != nil:
		s.endStray(ctx, p.spec.Name, token)
	default:
		unusable = s.tokens.Adopt(ctx, p.spec, token) // which ends one that it cannot keep
	}
	if unusable != nil {
		s.host.Log.Warn("an authorization is stored without the access token that came with it, so the next read mints one",
			"role", p.spec.Name, "error", unusable)
	}
}

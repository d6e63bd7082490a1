// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"cmp"
	"context"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// defaultRevokeTimeout is such that whoever has an authorization revoked has an
// answer within ten seconds.
const defaultRevokeTimeout = 8 * time.Second

// Left is what a person granted and nobody can end at Adobe any more but that
// person: the credential is gone.
type Left struct {
	ClientID string
	Subject  string    // may be empty
	Expires  time.Time // when it lapses
}

// Condemn makes an end of serving a role with what a person granted: in memory at
// once, then in storage. It waits for nobody who asks IMS. Sign-ins under way are
// worth nothing any more. On an error of storage it holds in memory, and storage
// is tried again.
func (s *Service) Condemn(ctx context.Context, role string) error {
	m := s.join(role)
	defer s.leave(role, m)
	s.remember(m, func(m *memory) {
		m.condemned = s.order.Next()
		m.ended = m.condemned
	})
	err := s.settle(ctx, role)
	return cmp.Or(err, s.endSignIns(ctx, role))
}

// Revoke condemns what a person granted to a role, has IMS revoke it, and forgets
// it. What IMS did not revoke stays on record, and serves nobody; the error is
// then a *RevokeError. It returns what cannot be revoked and was forgotten all
// the same.
func (s *Service) Revoke(ctx context.Context, role string) ([]Left, error) {
	if err := s.Condemn(ctx, role); err != nil {
		return nil, err
	}
	before, err := s.load(ctx, role)
	if err != nil || before == nil {
		return nil, err
	}
	left, err := s.revokeOwed(ctx, role)
	if err != nil {
		return left, err
	}
	s.host.Events.Send(ctx, "authorization-delete", "authorize/"+role, "role", role)
	return left, nil
}

// revokeFormer has IMS revoke what is on record as to be revoked, and reports
// whether nothing is left of it. What is left is tried again.
func (s *Service) revokeFormer(ctx context.Context, role string) bool {
	_, err := s.revokeOwed(ctx, role)
	if err != nil {
		s.host.Log.Warn("a former authorization could not be revoked yet; it stays on record and is tried again",
			"role", role, "error", err)
	}
	return err == nil
}

// revokeOwed has IMS revoke what is on record of a role as to be revoked, and
// takes off the record what was.
func (s *Service) revokeOwed(ctx context.Context, role string) ([]Left, error) {
	a, err := s.load(ctx, role)
	if err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, s.revokeTimeout)
	defer cancel()
	var left []Left
	var ended []secret.Secret
	var failed error
	for _, g := range a.owed() {
		gone, err := s.revoke(asking, role, g)
		if err != nil {
			failed = cmp.Or(failed, err)
			continue
		}
		ended = append(ended, g.RefreshToken)
		if gone {
			left = append(left, Left{ClientID: g.ClientID, Subject: g.Subject, Expires: g.Expires})
		}
	}
	if len(ended) > 0 {
		if err := s.disown(context.WithoutCancel(ctx), role, ended); err != nil {
			return left, err
		}
	}
	if failed != nil {
		return left, &RevokeError{Role: role, Err: failed}
	}
	return left, nil
}

// revoke has IMS end a refresh token, and returns nil only if it is known to be
// dead, or if nobody can ask any more: then gone is set.
func (s *Service) revoke(ctx context.Context, role string, g Grant) (gone bool, err error) {
	if g.lapsed(s.host.Clock.Now()) {
		return false, nil
	}
	found, err := s.creds.Get(ctx, g.Config)
	if err != nil {
		return false, err
	}
	c := found.Value
	if c == nil || c.ClientID != g.ClientID || c.IMSURL != g.IMSURL {
		s.host.Log.Warn("an authorization cannot be revoked at IMS because its credential is gone from the config; "+
			"the person can end it on Adobe's page of connected applications",
			"role", role, "config", g.Config, "client_id", g.ClientID, "expire_time", advice.Time(g.Expires))
		return true, nil
	}
	_, err = s.creds.Use(ctx, g.Config, c, func(client *ims.Client, cred ims.Credential) error {
		return client.Revoke(ctx, cred, g.RefreshToken)
	})
	if ims.ClientUnknown(err) {
		s.host.Log.Warn("an authorization needs no revoking: its credential was deleted at Adobe",
			"role", role, "config", g.Config, "client_id", g.ClientID)
		return false, nil
	}
	return false, err
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// Tokens of a person. A role on a web app's config is served like any other, but
// its tokens come from a refresh token, which IMS replaces with each use. The
// role's work is held from before a refresh token is used until its successor is
// stored, so none is ever used twice at the same moment.

// authorize takes over what a person granted. Exchange obtains it from IMS.
func (s *tokenStore) authorize(ctx context.Context, name string, r *role, c *config, exchange func(context.Context) (*ims.Grant, error)) (*authorization, error) {
	st := s.of(name)
	st.mu.Lock()
	err := s.load(ctx, st, r)
	st.abandon()
	st.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := st.lockWork(ctx); err != nil {
		return nil, err
	}
	defer st.unlockWork()

	grant, err := exchange(ctx)
	if err != nil {
		return nil, err
	}
	if grant.RefreshToken == "" {
		s.discard(newMintedToken(&grant.Token, r, c))
		return nil, &operatorError{"scopes: IMS granted no refresh token; add offline_access to the role's scopes, if the API allows it, and authorize again"}
	}
	s.endCondemned(ctx, name)
	a := newAuthorization(grant, r, c, grant.Issued)
	if err := s.authorizations.put(ctx, s.storage, name, a); err != nil {
		return nil, err
	}
	token := newMintedToken(&grant.Token, r, c)
	if err := s.save(ctx, st, st.known().living(s.clock.Now()).with(token)); err != nil {
		s.logUnsaved(name, err)
	}
	st.unsavedGrant = nil
	st.mu.Lock()
	defer st.mu.Unlock()
	st.failure, st.used = nil, false
	s.plan(st, token, r)
	return a, nil
}

// mintForPerson obtains a token with the role's refresh token. The caller holds
// the role's work.
//
// It is not given up half-way: the successor of a refresh token would be lost.
func (s *tokenStore) mintForPerson(ctx context.Context, st *roleTokens, r *role, c *config) (*ims.Token, error) {
	ctx = context.WithoutCancel(ctx)

	// 1. The refresh token to use. One that could not be stored is stored first.
	if st.unsavedGrant != nil {
		if err := s.authorizations.put(ctx, s.storage, st.name, st.unsavedGrant); err != nil {
			return nil, err
		}
		st.unsavedGrant = nil
	}
	a, err := s.authorizations.get(ctx, s.storage, st.name)
	if err != nil {
		return nil, err
	}
	if err := a.usable(st.name, r, c); err != nil {
		return nil, err
	}

	// 2. A new pair. From here on the old refresh token may be dead.
	grant, err := c.client.Refresh(ctx, c.credential(), a.RefreshToken)
	if err != nil {
		if isRefusedGrant(err) {
			err = &authorizationError{role: st.name, why: fmt.Sprintf("IMS does not accept the refresh token any more (%s)", err), err: err}
		}
		return nil, err
	}

	// 3. The new refresh token is stored before anybody gets the access token.
	next := newAuthorization(grant, r, c, a.Granted)
	if err := s.authorizations.put(ctx, s.storage, st.name, next); err != nil {
		st.unsavedGrant = next
		return nil, err
	}
	return &grant.Token, nil
}

// revokeAuthorization ends a role's authorization at IMS and forgets it, and
// every token of it. What IMS did not end stays on record and serves nobody.
func (s *tokenStore) revokeAuthorization(ctx context.Context, name string) error {
	a, err := s.condemnAuthorization(ctx, name)
	if err != nil || a == nil {
		return err
	}
	revoked := s.revokeRefreshToken(ctx, name, a)
	killed := s.kill(ctx, name)
	if err := cmp.Or(revoked, killed); err != nil {
		return err
	}
	st := s.of(name)
	if err := st.lockWork(ctx); err != nil {
		return err
	}
	defer st.unlockWork()
	if now, err := s.authorizations.get(ctx, s.storage, name); err != nil || now != a {
		return err // somebody has authorized the role anew meanwhile
	}
	return s.authorizations.delete(ctx, s.storage, name)
}

// endCondemned makes a last attempt to revoke an authorization that is about to
// be replaced by a new one.
func (s *tokenStore) endCondemned(ctx context.Context, name string) {
	a, err := s.authorizations.get(ctx, s.storage, name)
	if err == nil && a != nil && a.Condemned {
		err = s.revokeRefreshToken(ctx, name, a)
	}
	if err != nil {
		s.logger.Warn("the authorization before could not be revoked; it lives until it lapses", "role", name, "error", err)
	}
}

func (s *tokenStore) condemnAuthorization(ctx context.Context, name string) (*authorization, error) {
	st := s.of(name)
	st.mu.Lock()
	st.abandon()
	st.mu.Unlock()
	if err := st.lockWork(ctx); err != nil {
		return nil, err
	}
	defer st.unlockWork()
	a, err := s.authorizations.get(ctx, s.storage, name)
	if err != nil || a == nil {
		return nil, err
	}
	condemned := *a
	if st.unsavedGrant != nil {
		condemned = *st.unsavedGrant
	}
	condemned.Condemned = true
	if err := s.authorizations.put(ctx, s.storage, name, &condemned); err != nil {
		return nil, err
	}
	st.unsavedGrant = nil
	return &condemned, nil
}

// revokeRefreshToken ends a refresh token at IMS. One that has lapsed, or that
// IMS does not know, is ended already. One whose credential is no longer here
// cannot be ended.
func (s *tokenStore) revokeRefreshToken(ctx context.Context, name string, a *authorization) error {
	if !s.clock.Now().Before(a.Expires) {
		return nil
	}
	c, err := s.config(ctx, a.Config)
	if err != nil {
		return err
	}
	if !a.revocable(c) {
		s.logger.Warn("an authorization cannot be revoked at IMS because its credential is gone; the person can end it on Adobe's page of connected applications",
			"role", name, "client_id", a.ClientID, "expire_time", timestamp(a.Expires))
		return nil
	}
	err = c.client.Revoke(ctx, c.credential(), a.RefreshToken)
	var failed *ims.Error
	if errors.As(err, &failed) && failed.NoSuchToken() {
		return nil
	}
	return err
}

// keepAliveRetry is how long after a failure an authorization that nobody uses is
// left alone: half of a refresh token's life is days.
const keepAliveRetry = time.Hour

// keepAlive refreshes the authorizations that nobody uses, so that none lapses.
func (s *tokenStore) keepAlive(ctx context.Context) error {
	names, err := s.authorizations.list(ctx, s.storage)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	for _, name := range names {
		a, err := s.authorizations.get(ctx, s.storage, name)
		if err != nil {
			return err
		}
		if a == nil || a.Condemned || now.Before(a.keepAliveAt()) || !now.Before(a.Expires) {
			continue
		}
		if err := s.keepAliveOne(ctx, name, now); err != nil {
			s.logger.Warn("an authorization could not be kept alive", "role", name, "expire_time", timestamp(a.Expires), "error", err)
		}
	}
	return nil
}

func (s *tokenStore) keepAliveOne(ctx context.Context, name string, now time.Time) error {
	r, c, err := s.resolve(ctx, name)
	if err != nil {
		return err
	}
	a, err := s.authorizations.get(ctx, s.storage, name)
	if err != nil {
		return err
	}
	if c.CredentialType != webApp || a.usable(name, r, c) != nil {
		return nil // the role has no use for it any more; deleting it revokes it
	}
	st := s.of(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := s.load(ctx, st, r); err != nil {
		return err
	}
	if last := st.failure.of(r, c); last != nil && now.Sub(last.at) < keepAliveRetry {
		return nil
	}
	s.replace(st, r, c, now, now)
	return nil
}

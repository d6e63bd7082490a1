// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// flight is one mint under way: everybody who wants a token of the role waits
// for the same one. It goes on when a reader goes away.
type flight struct {
	flightOptions
	role    *role
	config  *config
	started time.Time
	done    chan struct{} // closed when the mint has ended and its result is in place
	cancel  context.CancelFunc

	// hurry tells a mint in the background that a reader waits for it now.
	hurry     func()
	unhurried context.Context // ends upon hurry
}

type flightOptions struct {
	// patience is until when a reader waits who could have a living token.
	patience time.Time
	// background mints wait for their turn, and leave repeating a failed
	// request to the role's backing off.
	background bool
}

// start begins a mint. It is called with st.mu held and no flight under way.
func (s *tokenStore) start(st *roleTokens, r *role, c *config, now time.Time, o flightOptions) {
	ctx, cancel := context.WithCancel(s.ctx)
	unhurried, hurry := context.WithCancel(ctx)
	f := &flight{
		flightOptions: o,
		role:          r,
		config:        c,
		started:       now,
		done:          make(chan struct{}),
		cancel:        cancel,
		hurry:         hurry,
		unhurried:     unhurried,
	}
	st.flight, st.used = f, false
	go func() {
		defer close(f.done)
		defer cancel()
		err := contain(s.logger, func() error { return s.fly(ctx, st, f) })
		s.land(st, f, err)
	}()
}

// supersede gives a mint up that was begun before the role or its config were
// written. It is called with st.mu held.
func (st *roleTokens) supersede(r *role, c *config) {
	if f := st.flight; f != nil && (f.role != r || f.config != c) {
		st.abandon()
	}
}

// abandon gives the mint under way up, if there is one. It is called with st.mu
// held.
func (st *roleTokens) abandon() {
	if st.flight != nil {
		st.flight.cancel()
		st.flight = nil
	}
}

// fly mints a token and puts it on record before anybody gets it.
func (s *tokenStore) fly(ctx context.Context, st *roleTokens, f *flight) error {
	if f.background {
		if s.background.Acquire(f.unhurried, 1) == nil {
			defer s.background.Release(1)
		}
		ctx = ims.WithoutRetries(ctx)
	}
	if err := st.lockWork(ctx); err != nil {
		return err
	}
	defer st.unlockWork()

	known := st.known()
	if newest := known.newest(); newest != nil && newest.fits(f.role, f.config) {
		fresh := !f.background && s.clock.Now().Before(newest.handedOutUntil(f.role.MinTTL))
		if fresh || newest.Issued.After(f.started) {
			return nil // the mint that this one superseded got through
		}
	}
	if f.background {
		// Nobody waits, so a token that could not be put on record is better
		// not minted: storage may be gone, and Vault with it.
		if _, err := loadRecord(ctx, s.storage, st.name); err != nil {
			return err
		}
	}
	token, err := s.mint(ctx, st, f.role, f.config)
	if err != nil {
		return err
	}
	if err := s.save(ctx, st, known.living(s.clock.Now()).with(token)); err != nil {
		s.logUnsaved(st.name, err)
	}
	return nil
}

func (s *tokenStore) logUnsaved(role string, err error) {
	s.logger.Error("a minted token could not be stored and is kept in memory only; storing it is tried again every minute",
		"role", role, "error", err)
}

// mint obtains a token that lives long enough to be handed out.
func (s *tokenStore) mint(ctx context.Context, st *roleTokens, r *role, c *config) (*mintedToken, error) {
	var granted *ims.Token
	var err error
	if c.CredentialType == webApp {
		granted, err = s.mintForPerson(ctx, st, r, c)
	} else {
		var used ims.Credential
		err = s.withCredential(ctx, r.Config, c, func(credential ims.Credential) (err error) {
			used = credential
			granted, err = c.client.ClientCredentials(ctx, credential, r.Scopes)
			return err
		})
		if err == nil && used.ClientSecret != c.ClientSecret {
			s.logger.Warn("IMS refuses the current client secret; another one that a rotation left was used", "config", r.Config)
		}
	}
	if err != nil {
		return nil, err
	}
	token := newMintedToken(granted, r, c)
	if !token.alive(s.clock.Now()) {
		return nil, &ims.Error{Kind: ims.Malformed, Op: "token request", Err: errors.New("the token lives for less than a second")}
	}
	return token, nil
}

// land takes a mint's result over and plans the next one.
func (s *tokenStore) land(st *roleTokens, f *flight, err error) {
	st.mu.Lock()
	token := st.record.newest()
	if st.flight != f || s.ctx.Err() != nil {
		st.mu.Unlock()
		return // given up: whatever came of it, somebody else has taken over
	}
	st.flight = nil
	before, after := st.note(f, err, s.clock.Now())
	switch {
	case after != nil:
		s.arm(st, after.retryAt.Sub(s.clock.Now()))
	case token != nil:
		s.plan(st, token, f.role)
	}
	st.mu.Unlock()
	s.announce(st.name, f, before, after)
}

// note keeps the outcome of a mint: the failure that counted before, and the one
// that counts now. It is called with st.mu held.
func (st *roleTokens) note(f *flight, err error, now time.Time) (before, after *failure) {
	before = st.failure
	if err != nil {
		after = before.next(err, f.role, f.config, f.started, now)
		if token := st.record.newest(); token != nil && token.fits(f.role, f.config) {
			after.notLaterThan(token.Expires, now)
		}
	}
	st.failure = after
	return before, after
}

// announce tells the log and Vault's events how a mint ended.
func (s *tokenStore) announce(name string, f *flight, before, after *failure) {
	path := "token/" + name
	if after != nil {
		s.logger.Warn("no token could be minted", "role", name, "config", f.role.Config,
			"error", after.err, "failures", after.count, "next_attempt", timestamp(after.retryAt))
		s.event(s.ctx, "token-mint-fail", path, "role", name, "config", f.role.Config, "error", after.err.Error())
		return
	}
	if before != nil {
		s.logger.Info("a token could be minted again", "role", name, "failures", before.count)
	}
	s.event(s.ctx, "token-mint", path, "role", name, "config", f.role.Config)
}

// plan sets when the token is replaced in the background. It is called with
// st.mu held.
func (s *tokenStore) plan(st *roleTokens, token *mintedToken, r *role) {
	st.refreshAt = token.refreshFrom(r.MinTTL, rand.Float64()) //nolint:gosec // jitter, not a secret
	s.arm(st, st.refreshAt.Sub(s.clock.Now()))
}

// withCredential calls IMS with the config's secrets, and where IMS accepts none
// of them, with those that a rotation has put in their place meanwhile.
func (s *tokenStore) withCredential(ctx context.Context, name string, c *config, call func(ims.Credential) error) error {
	err := c.withCredential(call)
	if !isInvalidClient(err) {
		return err
	}
	current, lookupErr := s.config(ctx, name)
	if lookupErr != nil || current == nil || current == c || current.ClientID != c.ClientID || current.IMSURL != c.IMSURL {
		return err
	}
	return current.withCredential(call)
}

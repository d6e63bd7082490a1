// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

// land is the only door onto the record. Every token that was minted goes through
// it, with the error that came beside it and the epoch that it was begun in. A
// token that must not be handed out goes on record condemned and is ended. Nobody
// gets a token that is not on record.
//
// It returns the error of the mint: the one given, errSuperseded if the role is
// not what it was, or an error of storage.
func (s *Service) land(st *roleState, spec Spec, epoch uint64, token *Token, err error) error {
	if token == nil {
		return err
	}
	_, lookupErr := s.look(spec.Name)
	now := s.host.Clock.Now()
	st.mu.Lock()
	st.noteLookup(lookupErr)
	if err == nil && (st.deleted || st.epoch != epoch || token.Issued.Before(st.condemnedAt)) {
		err = errSuperseded
	}
	if err != nil {
		s.strayed(st, token, now)
		st.mu.Unlock()
		return err
	}
	st.add(token, now)
	st.mu.Unlock()

	if err := s.saveAnyway(st); err != nil && s.condemnUnsaved(st, token) {
		s.host.Log.Error("a minted token could not be stored; it is handed to nobody and invalidated", "role", spec.Name, "error", err)
		return err
	}
	return nil
}

// strayed ends a token that must be handed to nobody. Until it is dead it is on
// record, unless that takes no more. It is called with st.mu held.
func (s *Service) strayed(st *roleState, token *Token, now time.Time) {
	token = token.condemned()
	if !st.full(now) {
		st.add(token, now)
	}
	s.endInBackground(st, token)
}

// condemnUnsaved ends a token that could not be put on record. It reports false if
// the token is on record after all: another save had it.
func (s *Service) condemnUnsaved(st *roleState, token *Token) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	for i, t := range st.tokens {
		if t.Token != token {
			continue // one that a kill has condemned is another by now, and ended by the kill
		}
		if t.version <= st.saved {
			return false
		}
		st.tokens[i].Token = token.condemned()
		st.version++
		s.endInBackground(st, st.tokens[i].Token)
	}
	return true
}

// Adopt puts a token on record that was obtained beside the store: with an
// authorization, or to prove a role's scopes. The next reader gets it. It ends the
// backing off of the role. A token that the role has no use for any more is ended;
// that is no error. With any error the token is ended as well: a *FullError if the
// record has no room for it, or an error of storage.
func (s *Service) Adopt(ctx context.Context, spec Spec, token *Token) error {
	var st *roleState
	var epoch uint64
	var refused error
	now := s.host.Clock.Now()
	err := s.locked(ctx, spec.Name, func(locked *roleState) {
		st, epoch = locked, locked.epoch
		st.running++
		switch {
		case !st.see(spec):
			refused = errSuperseded
		case st.full(now):
			refused = &FullError{Role: spec.Name, Count: st.outstanding(now), Until: st.nextExpiry(now)}
		}
	})
	if err != nil {
		s.endUnrecorded(spec.Name, token, err)
		return err
	}
	defer s.done(st)
	err = s.land(st, spec, epoch, token, refused)
	st.mu.Lock()
	defer st.mu.Unlock()
	if err == nil && st.see(spec) {
		st.failure = nil
		st.abandon() // who waits for a mint gets this token
		s.arm(st, spec, now)
	}
	if err == errSuperseded { //nolint:errorlint // land returns it as it is
		return nil
	}
	return err
}

// EndStray ends a token that was obtained and must not be handed out. Until it is
// dead it is on the role's record. It does not wait for IMS.
func (s *Service) EndStray(ctx context.Context, name string, token *Token) {
	_, lookupErr := s.lookup(ctx, name)
	now := s.host.Clock.Now()
	err := s.locked(ctx, name, func(st *roleState) {
		st.noteLookup(lookupErr)
		s.strayed(st, token, now)
	})
	if err != nil {
		s.endUnrecorded(name, token, err)
	}
}

// endUnrecorded has IMS end a token once whose role's record cannot be read, for
// the reason given.
func (s *Service) endUnrecorded(name string, token *Token, err error) {
	s.host.Log.Error("a token that is handed to nobody cannot be put on record; it is invalidated without",
		"role", name, "expire_time", advice.Time(token.Expires), "error", err)
	off := newRoleState(name)
	off.mu.Lock()
	defer off.mu.Unlock()
	s.endInBackground(off, token.condemned())
}

// done ends what began with st.running++.
func (s *Service) done(st *roleState) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s.doneLocked(st)
}

// doneLocked is done for who holds st.mu.
func (s *Service) doneLocked(st *roleState) {
	st.running--
	s.release(st)
}

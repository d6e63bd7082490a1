// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"errors"
	"time"
)

// single is the mint of an exclusive token, for one reader. It waits for its turn
// as long as the reader does. The token is on no record: Vault keeps it with its
// lease, upon whose revocation it is ended. One that its reader does not take goes
// on record condemned, and is ended.
type single struct {
	service *Service
	st      *roleState
	spec    Spec
	epoch   uint64
	started time.Time
	done    chan struct{} // closed when the mint has ended

	// The role's mutex guards what follows.
	token *Token // not taken yet
	err   error
	left  bool // the reader does not wait any more
}

// beginSingle starts a mint for one reader. It is called with st.mu held.
func (s *Service) beginSingle(ctx context.Context, st *roleState, spec Spec) *single {
	one := &single{service: s, st: st, spec: spec, epoch: st.epoch, started: s.host.Clock.Now(), done: make(chan struct{})}
	st.singles++
	st.running += 2 // the mint, and the reader until it has taken the token or left
	go func() {
		defer s.done(st)
		defer close(one.done)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.host.Context, cancel)()
		var token *Token
		err := s.host.Recover(func() (err error) {
			token, err = s.minter.Mint(ctx, spec, Order{Proceed: func() error { return one.proceed(ctx) }})
			return err
		})
		one.finish(ctx, token, err)
	}()
	return one
}

// proceed looks again when the turn of a request has come.
func (one *single) proceed(ctx context.Context) error {
	spec, err := one.service.lookup(ctx, one.spec.Name)
	one.st.mu.Lock()
	defer one.st.mu.Unlock()
	one.st.noteLookup(err)
	if err != nil {
		return err
	}
	if one.outdated(spec) {
		return errSuperseded
	}
	now := one.service.host.Clock.Now()
	if last := one.st.failure.of(spec); last.backsOff(now) {
		return &MintError{Failure: last, Spec: spec, Now: now}
	}
	return nil
}

// outdated reports whether the role is not what it was when the mint began, or the
// spec is not what the role is by now. It is called with the role's mutex held.
func (one *single) outdated(spec Spec) bool {
	return one.st.epoch != one.epoch || spec.Revision < one.st.revision || !spec.Role.Exclusive || !one.spec.Yields(spec)
}

// finish keeps the outcome for the reader. Without one, the token is ended. The
// context is the mint's: given up by its reader, it tells nothing about IMS.
func (one *single) finish(ctx context.Context, token *Token, err error) {
	st, s := one.st, one.service
	now := s.host.Clock.Now()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.singles--
	if token != nil && (err != nil || one.left) {
		s.strayed(st, token, now)
		token = nil
	}
	var refused *MintError
	switch {
	case errors.Is(err, errSuperseded), errors.As(err, &refused), err != nil && errors.Is(err, ctx.Err()):
	default:
		before := st.failure
		st.note(one.spec, err, one.started, now)
		s.announce(one.spec, before, st.failure)
		if err != nil {
			err = &MintError{Failure: st.failure, Spec: one.spec, Now: now}
		}
	}
	one.token, one.err = token, err
}

// leave tells that the reader has gone.
func (one *single) leave() {
	one.st.mu.Lock()
	defer one.st.mu.Unlock()
	defer one.service.doneLocked(one.st)
	one.forsake()
}

// forsake ends the token, now or when it comes. It is called with the role's mutex
// held.
func (one *single) forsake() {
	one.left = true
	if one.token != nil {
		one.service.strayed(one.st, one.token, one.service.host.Clock.Now())
		one.token = nil
	}
}

// take hands the token to its reader if the role is still what it was. Done is
// false if it is not, and the reader has to ask again. A reader calls either take
// or leave, once.
func (one *single) take(ctx context.Context) (answer Answer, done bool, err error) {
	spec, err := one.service.lookup(ctx, one.spec.Name)
	one.st.mu.Lock()
	defer one.st.mu.Unlock()
	defer one.service.doneLocked(one.st)
	switch {
	case err != nil:
		one.forsake()
		return Answer{}, false, err
	case one.outdated(spec), errors.Is(one.err, errSuperseded):
		one.forsake()
		return Answer{}, false, nil
	case one.err != nil:
		return Answer{}, false, one.err
	}
	token := one.token
	one.token = nil
	one.st.reads++
	return Answer{Token: token, Role: spec.Role, Until: token.Expires}, true, nil
}

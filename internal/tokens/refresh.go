// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

// refreshRetry is when the background looks again after storage failed it.
const refreshRetry = 10 * time.Second

// arm plans when the background looks at the role: when its token is due, if it
// is in use. It is called with st.mu held.
func (s *Service) arm(st *roleState, spec Spec, now time.Time) {
	begin, at := st.renewal(spec, now)
	switch {
	case begin:
		s.wakeAfter(st, 0)
	case !at.IsZero():
		s.wakeAfter(st, at.Sub(now))
	case st.timer != nil:
		st.timer.Stop()
		st.timer = nil
	}
}

// wakeAfter is called with st.mu held.
func (s *Service) wakeAfter(st *roleState, delay time.Duration) {
	if st.timer != nil {
		st.timer.Stop()
	}
	st.timer = s.host.Clock.AfterFunc(max(delay, 0), func() {
		err := s.host.Recover(func() error { return s.wake(st) })
		if err != nil {
			s.host.Log.Warn("a token could not be replaced in the background", "role", st.name, "error", err)
		}
	})
}

// wake replaces the token of a role if it is due and in use. A role that nobody
// reads is left alone until its next read.
func (s *Service) wake(st *roleState) error {
	if s.host.Context.Err() != nil || !s.host.Node.MayWriteLocal() {
		return nil
	}
	spec, err := s.lookup(s.host.Context, st.name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.gone || advice.IsMissing(err) {
		return nil
	}
	if err != nil {
		s.wakeAfter(st, refreshRetry)
		return err
	}
	now := s.host.Clock.Now()
	if begin, _ := st.renewal(spec, now); begin && st.see(spec) {
		s.begin(st, spec, callOptions{background: true})
		return nil
	}
	s.arm(st, spec, now)
	return nil
}

// Changed tells that a role was written: what was planned by its former fields is
// planned anew.
func (s *Service) Changed(ctx context.Context, name string) {
	value, ok := s.roles.Load(name)
	if !ok {
		return
	}
	spec, err := s.lookup(ctx, name)
	if err != nil {
		return // its next reader is told
	}
	st := value.(*roleState)
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.gone && st.see(spec) {
		st.abandonOutdated(spec)
		s.arm(st, spec, s.host.Clock.Now())
	}
}

// Renew mints a newer token in the background whether the role is in use or not,
// unless a mint is under way or IMS is being left alone.
func (s *Service) Renew(ctx context.Context, name string) {
	spec, err := s.lookup(ctx, name)
	if err == nil {
		err = s.locked(ctx, name, func(st *roleState) {
			now := s.host.Clock.Now()
			if st.call == nil && !st.failure.of(spec).backsOff(now) && !st.full(now) && st.see(spec) {
				s.begin(st, spec, callOptions{background: true})
			}
		})
	}
	if err != nil {
		s.host.Log.Warn("a token could not be replaced in the background", "role", name, "error", err)
	}
}

// Tick does what is not urgent, once a minute: it stores what could not be stored,
// and ends condemned tokens that could not be ended.
func (s *Service) Tick(ctx context.Context) error {
	failed := s.review(ctx)
	s.roles.Range(func(_, value any) bool {
		st := value.(*roleState)
		if err := s.tick(ctx, st); err != nil {
			failed = err
		}
		return ctx.Err() == nil
	})
	return failed
}

func (s *Service) tick(ctx context.Context, st *roleState) error {
	now := s.host.Clock.Now()
	st.mu.Lock()
	if st.gone {
		st.mu.Unlock()
		return nil
	}
	st.prune(now)
	unsaved := st.saved != st.version
	condemned := st.condemned()
	due := len(condemned) > 0 && st.ending == 0 && !now.Before(st.endAgain)
	if due {
		st.running++
	}
	st.mu.Unlock()
	if due {
		go func() {
			defer s.done(st)
			ctx, cancel := context.WithTimeout(s.host.Context, EndLimit)
			defer cancel()
			_ = s.host.Recover(func() error { _, err := s.endCondemned(ctx, st, condemned); return err })
		}()
		return nil
	}
	if !unsaved {
		return nil
	}
	err := s.save(ctx, st)
	st.mu.Lock()
	defer st.mu.Unlock()
	s.release(st)
	return err
}

// review looks once after a start for records that want something done, whether
// anybody reads their roles or not: condemned tokens, and expired ones.
func (s *Service) review(ctx context.Context) (failed error) {
	if s.reviewed.Load() {
		return nil
	}
	names, err := s.host.Storage.List(ctx, Prefix)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.reviewRole(ctx, name); err != nil {
			failed = err
		}
	}
	s.reviewed.Store(failed == nil)
	return failed
}

func (s *Service) reviewRole(ctx context.Context, name string) error {
	now := s.host.Clock.Now()
	r, err := loadRecord(ctx, s.host.Storage, name)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(r.Tokens, func(t *Token) bool { return t.Condemned || !t.Expires.After(now) }) {
		return nil
	}
	_, lookupErr := s.lookup(ctx, name)
	return s.locked(ctx, name, func(st *roleState) { st.noteLookup(lookupErr) })
}

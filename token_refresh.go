// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"time"
)

// refreshRetry is when the background looks again after storage failed it.
const refreshRetry = 10 * time.Second

// arm wakes the background for a role after a delay. It is called with st.mu
// held.
func (s *tokenStore) arm(st *roleTokens, delay time.Duration) {
	if st.timer != nil {
		st.timer.Stop()
	}
	st.timer = s.clock.AfterFunc(max(delay, 0), func() {
		err := contain(s.logger, func() error { return s.refresh(st) })
		if err != nil {
			s.logger.Warn("a token could not be replaced in the background", "role", st.name, "error", err)
		}
	})
}

// refresh replaces the token of a role if somebody uses it. A role that nobody
// reads is left alone until its next read.
func (s *tokenStore) refresh(st *roleTokens) error {
	if s.ctx.Err() != nil || !s.mayMint() {
		return nil
	}
	r, c, err := s.resolve(s.ctx, st.name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if err != nil {
		var missing *missingError
		if errors.As(err, &missing) {
			return nil // the role was deleted
		}
		s.arm(st, refreshRetry)
		return err
	}
	if !st.used || !st.loaded || r.Exclusive {
		return nil
	}
	now := s.clock.Now()
	s.replace(st, r, c, now, now)
	return nil
}

// stopTimers lets nothing begin in the background any more.
func (s *tokenStore) stopTimers() {
	s.roles.Range(func(_, value any) bool {
		st := value.(*roleTokens)
		st.mu.Lock()
		defer st.mu.Unlock()
		if st.timer != nil {
			st.timer.Stop()
		}
		return true
	})
}

// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

// ReaderLimit is how long a reader waits where no token lives. Vault's clients
// give up after 60 seconds.
const ReaderLimit = 50 * time.Second

// Answer is a token for a reader, and the role it was chosen for.
type Answer struct {
	Token *Token
	Role  *Role

	// Until is when a newer token takes the token's place.
	Until time.Time

	// Failure is the last attempt to get a newer one; nil if it did not fail.
	Failure *Failure

	// MintingSince is since when IMS has been asked for a newer one; zero if it
	// is not being asked.
	MintingSince time.Time
}

// Read returns the token that a reader of the role gets now.
//
// The error is the lookup's, a *MintError, an error of storage as it came,
// ErrForward, a *FullError, a *CrowdError, ErrSlow, or the context's.
func (s *Service) Read(ctx context.Context, name string) (Answer, error) {
	answer, w, err := s.offer(ctx, name, false)
	if w == nil {
		return answer, err
	}
	limit := s.host.Clock.NewTimer(ReaderLimit)
	defer limit.Stop()
	for w != nil {
		lingered, err := s.await(ctx, w, limit.Chan())
		if err != nil {
			return Answer{}, err
		}
		if w.single != nil {
			if answer, done, err := w.single.take(ctx); done || err != nil {
				return answer, err
			}
		}
		answer, w, err = s.offer(ctx, name, lingered)
		if err != nil {
			return Answer{}, err
		}
	}
	return answer, nil
}

// wait is what a reader waits for: a mint for all, until a time if that is not
// zero, or a mint for this reader alone.
type wait struct {
	call   *call
	until  time.Time
	single *single
}

// await returns when the mint has ended or the reader's grace has; the latter it
// reports.
func (s *Service) await(ctx context.Context, w *wait, limit <-chan time.Time) (lingered bool, err error) {
	var done <-chan struct{}
	var grace <-chan time.Time
	if w.single != nil {
		done = w.single.done
	} else {
		done = w.call.done
	}
	if !w.until.IsZero() {
		timer := s.host.Clock.NewTimer(w.until.Sub(s.host.Clock.Now()))
		defer timer.Stop()
		grace = timer.Chan()
	}
	select {
	case <-done:
		if err = s.host.Context.Err(); err == nil {
			return false, nil
		}
	case <-grace:
		return true, nil
	case <-limit:
		err = ErrSlow
	case <-ctx.Done():
		err = ctx.Err()
	case <-s.host.Context.Done():
		err = s.host.Context.Err()
	}
	if w.single != nil {
		w.single.leave()
	}
	return false, err
}

// offer returns a token, or an error, or what to wait for before asking again.
// Impatient readers have waited their grace.
func (s *Service) offer(ctx context.Context, name string, impatient bool) (answer Answer, w *wait, err error) {
	mayMint := s.host.Node.MayWriteLocal()
	for {
		spec, err := s.lookup(ctx, name)
		switch {
		case advice.IsMissing(err) && !mayMint: // here, so far: the leader may have written it a moment ago
			return Answer{}, nil, ErrForward
		case err != nil:
			return Answer{}, nil, err
		}
		st, err := s.role(ctx, name)
		if err != nil {
			return Answer{}, nil, err
		}
		st.mu.Lock()
		if st.gone || !st.see(spec) {
			st.mu.Unlock()
			if err := ctx.Err(); err != nil {
				return Answer{}, nil, err
			}
			continue
		}
		answer, w, err = s.act(ctx, st, spec, mayMint, impatient)
		st.mu.Unlock()
		return answer, w, err
	}
}

// act does what was decided. It is called with st.mu held.
func (s *Service) act(ctx context.Context, st *roleState, spec Spec, mayMint, impatient bool) (Answer, *wait, error) {
	st.abandonOutdated(spec)
	now := s.host.Clock.Now()
	d := st.decide(spec, mayMint, now)
	switch d.Action {
	case Renew:
		s.begin(st, spec, callOptions{background: true})
	case Linger:
		if st.call == nil {
			s.begin(st, spec, callOptions{graceUntil: d.until})
		}
		if !impatient {
			return Answer{}, &wait{call: st.call, until: d.until}, nil
		}
	case Wait:
		if st.call != nil && st.call.queued {
			st.abandon() // a mint in the background that has not begun yet
		}
		if st.call == nil {
			s.begin(st, spec, callOptions{})
		}
		return Answer{}, &wait{call: st.call}, nil
	case Single:
		return Answer{}, &wait{single: s.beginSingle(ctx, st, spec)}, nil
	case Refuse:
		return Answer{}, nil, &MintError{Failure: st.failure, Spec: spec, Now: now}
	case Full:
		return Answer{}, nil, &FullError{Role: spec.Name, Count: st.outstanding(now), Until: st.nextExpiry(now)}
	case Crowd:
		return Answer{}, nil, &CrowdError{Role: spec.Name, Count: st.singles}
	case Forward, LookAgain:
		if d.token != nil {
			st.served = d.token
		}
		return Answer{}, nil, ErrForward
	}
	return s.serve(st, spec, d.token, now), nil, nil
}

// serve is called with st.mu held.
func (s *Service) serve(st *roleState, spec Spec, token *Token, now time.Time) Answer {
	st.reads++
	if st.served != token {
		st.served = token
		s.arm(st, spec, now)
	}
	answer := Answer{Token: token, Role: spec.Role, Until: token.servedUntil(spec.Role.MinTTL), Failure: st.failure.of(spec)}
	if st.call != nil {
		answer.MintingSince = st.call.started
	}
	return answer
}

// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"time"
)

// Condition says in a word how a role is served.
type Condition string

// The conditions, from good to bad.
const (
	// Ready: a token is being served.
	Ready Condition = "ready"

	// Idle: nobody has read the role since its last token was due to be replaced.
	Idle Condition = "idle"

	// Unproven: no token was minted yet.
	Unproven Condition = "unproven"

	// Degraded: a token lives, but a newer one is not to be had.
	Degraded Condition = "degraded"

	// Failing: no token lives, and none is to be had.
	Failing Condition = "failing"
)

// Status is how a role is served at a moment.
type Status struct {
	Condition Condition

	Current   *Token    // nil if none lives
	RefreshAt time.Time // when Current is due to be replaced
	InUse     bool      // whether Current was handed out

	Outstanding   int // tokens that have neither expired nor been ended
	Uninvalidated int // of these, tokens that IMS could not end yet

	Reads               uint64 // tokens handed out, since the role was first used here
	Mints, MintFailures uint64 // likewise

	Failure    *Failure // the last mint's; nil if it succeeded
	BackingOff bool     // IMS is left alone until Failure.RetryAt
}

// Status returns how the role is served.
func (s *Service) Status(ctx context.Context, spec Spec) (status Status, err error) {
	err = s.locked(ctx, spec.Name, func(st *roleState) { status = st.status(spec, s.host.Clock.Now()) })
	return status, err
}

func (s *state) status(spec Spec, now time.Time) Status {
	status := Status{
		Current: s.newest(spec, now),
		Reads:   s.reads,
		Mints:   s.mints, MintFailures: s.mintFailures,
		Failure:    s.failure.of(spec),
		BackingOff: s.failure.of(spec).backsOff(now),
	}
	status.Outstanding = s.outstanding(now)
	for _, t := range s.tokens {
		if t.Condemned && t.Expires.After(now) {
			status.Uninvalidated++
		}
	}
	if status.Current != nil {
		status.RefreshAt = status.Current.refreshAt(spec.Role.MinTTL)
		status.InUse = s.served == status.Current
	}
	status.Condition = s.condition(status, spec.Role, now)
	return status
}

func (s *state) condition(status Status, r *Role, now time.Time) Condition {
	switch {
	case status.Current != nil && status.Failure != nil:
		return Degraded
	case status.Failure != nil, status.Current == nil && s.full(now):
		return Failing
	case status.Current != nil && (status.InUse || now.Before(status.Current.servedUntil(r.MinTTL))):
		return Ready
	case s.minted && r.Exclusive: // each reader has had a token of its own
		return Ready
	case s.minted:
		return Idle
	}
	return Unproven
}

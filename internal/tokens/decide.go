// SPDX-License-Identifier: MPL-2.0

package tokens

import "time"

// readerGrace is how long a reader waits for a newer token if an older one could
// be handed out.
const readerGrace = 2 * time.Second

// Action is what becomes of a read.
type Action string

// The actions. docs/tokens.md says the same in words.
const (
	// LookAgain: the role or its config was written since the reader looked.
	LookAgain Action = "look again"

	// Serve: hand the token out.
	Serve Action = "serve"

	// Renew: hand the token out, and mint a newer one in the background.
	Renew Action = "renew"

	// Linger: wait for a newer token, but not long; then hand the older out.
	Linger Action = "linger"

	// Wait: no token lives, so wait for one.
	Wait Action = "wait"

	// Single: mint a token for this reader alone.
	Single Action = "single"

	// Refuse: no token lives, and IMS is left alone after a failure.
	Refuse Action = "refuse"

	// Full: no token lives that fits, and the record takes no more.
	Full Action = "full"

	// Crowd: too many exclusive tokens of the role are being minted.
	Crowd Action = "crowd"

	// Forward: another node has to answer.
	Forward Action = "forward"
)

// decision is an action and what goes with it.
type decision struct {
	Action
	token *Token    // to Serve, Renew or Linger; with Forward, one that the leader hands out
	until time.Time // to Linger
}

// decide says what becomes of a read of the role at a moment. MayMint is whether
// this node may ask IMS and give leases.
func (s *state) decide(spec Spec, mayMint bool, now time.Time) decision {
	switch {
	case spec.Revision < s.revision:
		return decision{Action: LookAgain}
	case !mayMint && (spec.Role.Leased || spec.Role.Exclusive):
		return decision{Action: Forward}
	case spec.Role.Exclusive:
		return s.decideExclusive(spec, now)
	}
	token := s.newest(spec, now)
	if token == nil {
		return s.decideWithout(spec, mayMint, now)
	}
	minTTL := spec.Role.MinTTL
	switch {
	case !mayMint && (token != s.served || !now.Before(token.forwardedFrom(minTTL))):
		// The first read of a token tells the leader that it is in use: who keeps
		// to the ttl does not come again before the token's time is over.
		return decision{Action: Forward, token: token}
	case now.Before(token.refreshAt(minTTL)):
		return decision{Action: Serve, token: token}
	case now.Before(token.servedUntil(minTTL)), s.failure.of(spec) != nil:
		return s.decideDue(spec, token, now)
	}
	// The token is past its time. Who reads it regularly had it replaced in the
	// background, so this reader comes after a pause.
	switch {
	case s.call == nil && s.full(now):
		return decision{Action: Serve, token: token}
	case s.call == nil:
		return decision{Action: Linger, token: token, until: now.Add(readerGrace)}
	case now.Before(s.call.graceUntil):
		return decision{Action: Linger, token: token, until: s.call.graceUntil}
	}
	return decision{Action: Serve, token: token}
}

// decideDue is for a living token that is due to be replaced.
func (s *state) decideDue(spec Spec, token *Token, now time.Time) decision {
	if s.call != nil || s.failure.of(spec).backsOff(now) || s.full(now) {
		return decision{Action: Serve, token: token}
	}
	return decision{Action: Renew, token: token}
}

// decideWithout is for a role of which no token lives.
func (s *state) decideWithout(spec Spec, mayMint bool, now time.Time) decision {
	switch {
	case !mayMint:
		return decision{Action: Forward}
	case s.call != nil:
		return decision{Action: Wait}
	case s.failure.of(spec).backsOff(now):
		return decision{Action: Refuse}
	case s.full(now):
		return decision{Action: Full}
	}
	return decision{Action: Wait}
}

func (s *state) decideExclusive(spec Spec, now time.Time) decision {
	switch {
	case s.failure.of(spec).backsOff(now):
		return decision{Action: Refuse}
	case s.full(now):
		return decision{Action: Full}
	case s.singles >= maxSingles:
		return decision{Action: Crowd}
	}
	return decision{Action: Single}
}

// renewal is whether and when a role's token is replaced in the background: now,
// at a time, or, if the time is zero, not unless somebody reads it.
func (s *state) renewal(spec Spec, now time.Time) (begin bool, at time.Time) {
	if s.served == nil || s.call != nil || spec.Role.Exclusive {
		return false, time.Time{}
	}
	token, last := s.newest(spec, now), s.failure.of(spec)
	switch {
	case token != nil && token != s.served:
		return false, time.Time{} // nobody has read it
	case token != nil:
		at = token.refreshAt(spec.Role.MinTTL)
	case last != nil, !s.served.Fits(spec):
		return false, time.Time{} // it died, and who needs another will ask
	}
	if last != nil && last.RetryAt.After(at) {
		at = last.RetryAt
	}
	switch {
	case now.Before(at):
		return false, at
	case s.full(now):
		return false, s.nextExpiry(now)
	}
	return true, time.Time{}
}

// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"errors"
	"math/rand/v2"
	"time"
)

const (
	minBackoff = time.Second
	maxBackoff = time.Minute
	// maxRetryAfter limits how long IMS can ask a role to stay away.
	maxRetryAfter = time.Hour
)

// Failure is the last failed mint of a role. It counts for the role and the
// config as they were: whoever writes either has IMS asked again.
type Failure struct {
	Err     error
	At      time.Time
	Count   int       // failures in a row
	RetryAt time.Time // until then IMS is not asked

	revision uint64 // of the spec that it happened with
}

// backsOff reports whether IMS must not be asked yet.
func (f *Failure) backsOff(now time.Time) bool { return f != nil && now.Before(f.RetryAt) }

// of returns the failure if it happened with the spec as it is, else nil.
func (f *Failure) of(spec Spec) *Failure {
	if f != nil && f.revision == spec.Revision {
		return f
	}
	return nil
}

// next is the failure that follows upon f, which may be nil. Started is when the
// mint began: mints under way together count as one failure.
func (f *Failure) next(err error, spec Spec, started, now time.Time) *Failure {
	n := &Failure{Err: err, At: now, Count: 1, revision: spec.Revision}
	if f = f.of(spec); f != nil {
		n.Count = f.Count + 1
		if started.Before(f.At) {
			n.Count = f.Count
		}
	}
	n.RetryAt = now.Add(backoff(n.Count, err))
	return n
}

// askedFor is how long IMS asked to be left alone; 0 if it did not.
func askedFor(err error) time.Duration {
	var asks interface{ Wait() time.Duration }
	if errors.As(err, &asks) {
		return min(max(asks.Wait(), 0), maxRetryAfter)
	}
	return 0
}

// backoff grows from a second to a minute, or is what IMS asked for.
func backoff(count int, err error) time.Duration {
	if wait := askedFor(err); wait > 0 {
		return max(wait, minBackoff)
	}
	longest := min(minBackoff<<min(count-1, 10), maxBackoff)
	return max(minBackoff, longest/2+rand.N(longest/2)) //nolint:gosec // jitter, not a secret
}

// before brings the next attempt forward while a token lives, so that one is
// made before it dies; unless IMS asked to be left alone.
func (f *Failure) before(expires, now time.Time) {
	if askedFor(f.Err) > 0 || !expires.After(now) {
		return
	}
	if latest := now.Add(max(minBackoff, expires.Sub(now)/2)); f.RetryAt.After(latest) {
		f.RetryAt = latest
	}
}

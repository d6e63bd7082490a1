// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

const (
	minBackoff = time.Second
	maxBackoff = time.Minute
	// maxRetryAfter limits how long IMS can ask a role to stay away.
	maxRetryAfter = time.Hour
)

// failure is the last failed mint of a role. It counts for the role and the
// config it happened with: whoever writes either has it tried again.
type failure struct {
	role    *role
	config  *config
	err     error
	at      time.Time
	count   int       // failures in a row
	retryAt time.Time // until then IMS is not asked
}

// backsOff tells whether IMS must not be asked yet.
func (f *failure) backsOff(now time.Time) bool { return f != nil && now.Before(f.retryAt) }

// of returns the failure if it happened with this role and config as they are.
func (f *failure) of(r *role, c *config) *failure {
	if f != nil && f.role == r && f.config == c {
		return f
	}
	return nil
}

// next is the failure that follows upon f, which may be nil. Started is when the
// mint began: mints under way together count as one failure.
func (f *failure) next(err error, r *role, c *config, started, now time.Time) *failure {
	n := &failure{role: r, config: c, err: err, at: now, count: 1}
	if f = f.of(r, c); f != nil {
		n.count = f.count + 1
		if started.Before(f.at) {
			n.count = f.count
		}
	}
	n.retryAt = now.Add(backoff(n.count, err))
	return n
}

// backoff grows from a second to a minute, or is what IMS asked for.
func backoff(count int, err error) time.Duration {
	var failed *ims.Error
	if errors.As(err, &failed) && failed.RetryAfter > 0 {
		return min(max(failed.RetryAfter, minBackoff), maxRetryAfter)
	}
	most := min(minBackoff<<min(count-1, 10), maxBackoff)
	return max(minBackoff, most/2+rand.N(most/2)) //nolint:gosec // jitter, not a secret
}

// notLaterThan brings the next attempt forward while a token still lives, so
// that an attempt is made before it dies.
func (f *failure) notLaterThan(expires, now time.Time) {
	var failed *ims.Error
	if errors.As(f.err, &failed) && failed.RetryAfter > 0 {
		return
	}
	if latest := now.Add(max(minBackoff, expires.Sub(now)/2)); expires.After(now) && f.retryAt.After(latest) {
		f.retryAt = latest
	}
}

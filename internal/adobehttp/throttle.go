// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"fmt"
	"maps"
	"net/http"
	"time"
)

// How long a share leaves a server alone that throttles it without saying for
// how long: the first time, and at most.
const (
	firstQuiet   = time.Second
	longestQuiet = time.Minute
)

// forgetThrottle is how long after its end a throttle still counts as one in a
// row.
const forgetThrottle = 10 * time.Minute

// throttle is a server's wish to be left alone by one share. It never changes:
// another answer makes another.
type throttle struct {
	since time.Time // when it was last expressed
	until time.Time
	asked bool // until is the server's word, not a guess
	inRow int  // 429s without a success between
	last  *Error
}

// throttles reports whether an answer asks its share to leave the server alone.
func throttles(failed *Error) bool {
	return failed.Status == http.StatusTooManyRequests ||
		failed.Kind == Unavailable && failed.RetryAfter > 0
}

// grow returns the throttle after another answer that throttles, to an attempt
// sent at a time.
func (t *throttle) grow(failed *Error, sent, now time.Time) *throttle {
	next := &throttle{since: now, last: failed}
	if t != nil {
		next.until, next.asked, next.inRow = t.until, t.asked, t.inRow
	}
	// What was under way already when the throttle began says nothing new.
	if failed.Status == http.StatusTooManyRequests && (t == nil || !sent.Before(t.since)) {
		next.inRow++
	}
	quiet := failed.RetryAfter
	if quiet == 0 {
		quiet = min(firstQuiet<<min(max(next.inRow-1, 0), 6), longestQuiet)
	}
	if until := now.Add(quiet); until.After(next.until) {
		next.until, next.asked = until, failed.RetryAfter > 0
	}
	return next
}

// succeed returns the throttle after a success of an attempt sent at a time:
// what the server asked for stands, what was guessed does not.
func (t *throttle) succeed(sent, now time.Time) *throttle {
	switch {
	case t == nil, sent.Before(t.since):
		return t
	case !t.asked, !t.until.After(now):
		return nil
	}
	next := *t
	next.inRow = 0
	return &next
}

// held is the answer to a request that is not sent because of the throttle.
func (t *throttle) held(op string, now time.Time) *Error {
	failed := *t.last
	failed.Op, failed.Kind, failed.RetryAfter = op, Throttled, t.until.Sub(now)
	failed.Err = fmt.Errorf("the server asks to be left alone; not asked again before %s", t.until.UTC().Format(time.RFC3339))
	return &failed
}

// noteAnswer keeps what an answer says of the share's throttle. Those that wait for
// their turn need not wait any longer.
func (c *Client) noteAnswer(call *Call) {
	if call.Ending {
		return
	}
	p, now := c.pool, c.pool.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.server(c.options.URL)
	maps.DeleteFunc(s.throttles, func(_ string, t *throttle) bool { return now.Sub(t.until) > forgetThrottle })
	before := s.throttles[call.Share]
	switch {
	case call.failure == nil:
		if after := before.succeed(call.Sent, now); after == nil {
			delete(s.throttles, call.Share)
		} else {
			s.throttles[call.Share] = after
		}
	case throttles(call.failure):
		after := before.grow(call.failure, call.Sent, now)
		s.throttles[call.Share] = after
		s.asking.expel(call.Share, after)
	}
}

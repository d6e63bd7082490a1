// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	// maxRetryAfter is how long an attempt waits because the server said so.
	// A longer Retry-After ends the retries; it is the caller's to honour.
	maxRetryAfter = 2 * time.Second

	// longestRetryAfter is how much of a Retry-After is believed.
	longestRetryAfter = time.Hour
)

// Waits between attempts grow linearly with jitter: the first lies between
// these two, the second between twice these, and so on.
const (
	retryWaitMin = 100 * time.Millisecond
	retryWaitMax = 300 * time.Millisecond
)

// shouldRetry decides after each attempt.
func shouldRetry(ctx context.Context, _ *http.Response, err error) (bool, error) {
	call, notSent := callOf(ctx), (*unsent)(nil)
	if call.Once || ctx.Value(withoutRetriesKey{}) != nil || ctx.Err() != nil || errors.As(err, &notSent) {
		return false, nil
	}
	if failed := call.failure; failed != nil {
		passing := failed.Kind == Throttled || failed.Kind == Unavailable
		return passing && failed.RetryAfter <= maxRetryAfter, nil
	}
	if err == nil {
		return false, nil
	}
	return retryablehttp.DefaultRetryPolicy(ctx, nil, err)
}

func backoff(now func() time.Time) retryablehttp.Backoff {
	return func(shortest, longest time.Duration, attempt int, resp *http.Response) time.Duration {
		if resp != nil {
			if wait := retryAfter(resp.Header, now()); wait > 0 {
				return wait
			}
		}
		return retryablehttp.LinearJitterBackoff(shortest, longest, attempt, resp)
	}
}

// retryAfter is how long the server asks to be left alone, in either form of
// RFC 9110 §10.2.3; 0 if it does not say.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil || errors.Is(err, strconv.ErrRange) {
		most := int(longestRetryAfter / time.Second)
		return time.Duration(min(max(seconds, 0), most)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), longestRetryAfter)
	}
	return 0
}

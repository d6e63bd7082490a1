// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var nine = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func TestThrottleGrows(t *testing.T) {
	now := nine
	var throttled *throttle
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		throttled = throttled.grow(&Error{Kind: Throttled, Status: 429}, now, now)
		require.Equal(t, want*time.Second, throttled.until.Sub(now), "429 number %d", i+1)
		now = throttled.until
	}
}

func TestThrottle(t *testing.T) {
	type answer struct {
		sent, at   time.Duration // after nine
		status     int           // 200: a success
		retryAfter time.Duration
	}
	for name, test := range map[string]struct {
		answers []answer
		until   time.Duration // after nine; 0 if there is none
		inRow   int
	}{
		"Retry-After":                           {[]answer{{0, 1, 429, 30}}, 31, 1},
		"503 with Retry-After":                  {[]answer{{0, 1, 503, 30}}, 31, 0},
		"under way already":                     {[]answer{{0, 2, 429, 0}, {1, 3, 429, 0}}, 4, 1},
		"the longer wish counts":                {[]answer{{0, 1, 429, 30}, {2, 3, 429, 5}}, 31, 2},
		"a longer wish comes":                   {[]answer{{0, 1, 429, 5}, {0, 2, 429, 30}}, 32, 1},
		"success ends a guess":                  {[]answer{{0, 1, 429, 0}, {1, 1, 200, 0}}, 0, 0},
		"success ends the count of a wish":      {[]answer{{0, 1, 429, 30}, {2, 3, 200, 0}}, 31, 0},
		"success of before says nothing":        {[]answer{{0, 1, 429, 0}, {0, 1, 200, 0}}, 2, 1},
		"success after a wish is over":          {[]answer{{0, 1, 429, 5}, {7, 8, 200, 0}}, 0, 0},
		"success without a throttle":            {[]answer{{0, 1, 200, 0}}, 0, 0},
		"the next guess grows from a wish also": {[]answer{{0, 0, 429, 5}, {5, 5, 429, 0}}, 7, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var throttled *throttle
			for _, a := range test.answers {
				sent, now := nine.Add(a.sent*time.Second), nine.Add(a.at*time.Second)
				if a.status == 200 {
					throttled = throttled.succeed(sent, now)
					continue
				}
				failed := &Error{Kind: Throttled, Status: a.status, RetryAfter: a.retryAfter * time.Second}
				throttled = throttled.grow(failed, sent, now)
			}
			if test.until == 0 {
				require.Nil(t, throttled)
				return
			}
			require.Equal(t, test.until*time.Second, throttled.until.Sub(nine))
			require.Equal(t, test.inRow, throttled.inRow)
		})
	}
}

func TestWhatThrottles(t *testing.T) {
	for _, test := range []struct {
		failed Error
		want   bool
	}{
		{Error{Kind: Throttled, Status: 429}, true},
		{Error{Kind: Unavailable, Status: 503, RetryAfter: time.Second}, true},
		{Error{Kind: Unavailable, Status: 503}, false},
		{Error{Kind: Refused, Status: 400, RetryAfter: time.Second}, false},
		{Error{Kind: Malformed, Status: 302, RetryAfter: time.Second}, false},
	} {
		require.Equal(t, test.want, throttles(&test.failed), "%v", test.failed)
	}
}

func TestHeldRequest(t *testing.T) {
	answered := &Error{
		Service: "IMS", Op: "token request", Kind: Unavailable, Status: 503, Code: "busy",
		IDHeader: "x-debug-id", RequestID: "1", RetryAfter: 30 * time.Second,
	}
	throttled := (*throttle)(nil).grow(answered, nine, nine)
	held := throttled.held("refresh", nine.Add(10*time.Second))
	require.Equal(t, Throttled, held.Kind)
	require.Equal(t, 20*time.Second, held.Wait())
	require.EqualError(t, held, "IMS refresh failed: 503 busy: the server asks to be left alone; "+
		"not asked again before 2026-11-22T09:00:30Z, x-debug-id 1")
	require.Equal(t, Unavailable, answered.Kind, "the answer stays what it was")
}

func TestRetryAfterHeader(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"soon":                          0,
		"7.5":                           0,
		"3601":                          time.Hour,
		"99999999999":                   time.Hour,
		"99999999999999999999999999":    time.Hour,
		"Sun, 22 Nov 2026 09:00:30 GMT": 30 * time.Second,
		"Sun, 22 Nov 2026 08:00:00 GMT": 0,
		"Sun, 22 Nov 2099 08:00:00 GMT": time.Hour,
	} {
		require.Equal(t, want, retryAfter(map[string][]string{"Retry-After": {value}}, nine), value)
	}
}

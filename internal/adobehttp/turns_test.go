// SPDX-License-Identifier: MPL-2.0

package adobehttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

func callOf(share string, ending bool) *adobehttp.Call {
	call := newCall()
	call.Share, call.Ending = share, ending
	return call
}

// many sends n requests at once and returns how they end.
func many(ctx context.Context, c *adobehttp.Client, n int, share string, ending bool, url string) <-chan error {
	results := make(chan error, n)
	for range n {
		go func() {
			_, err := post(ctx, c, callOf(share, ending), url)
			results <- err
		}()
	}
	return results
}

func eventually(t *testing.T, what func() bool) {
	t.Helper()
	require.Eventually(t, what, 5*time.Second, time.Millisecond)
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	var underWay, most atomic.Int32
	url, _ := service(t, func(w http.ResponseWriter, r *http.Request) {
		now := underWay.Add(1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		time.Sleep(2 * time.Millisecond)
		underWay.Add(-1)
		good(w, r)
	})
	p := newPool(t, newClock())
	results := make(chan error)
	for i := range 200 {
		go func() {
			c, err := p.Client(ims, adobehttp.Options{URL: url + "//"[:i%3]})
			if err == nil {
				_, err = post(context.Background(), c, callOf(fmt.Sprint(i%20), i%4 == 0), url)
				c.Close()
			}
			results <- err
		}()
	}
	for range 200 {
		require.NoError(t, <-results)
	}
	require.LessOrEqual(t, most.Load(), int32(16))
	transports, servers := p.Sizes()
	require.Zero(t, transports)
	require.Zero(t, servers)
}

// Readers that hang up at once cost nothing: what they wanted is not asked for.
func TestSixHundredCallersHangUp(t *testing.T) {
	g := newGate(good)
	url, asked := service(t, g.serve)
	p := newPool(t, newClock())
	c := newClient(t, p, adobehttp.Options{URL: url})

	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, 600)
	for i := range 600 {
		go func() {
			_, err := post(ctx, c, callOf(fmt.Sprint("attacker-", i%3), false), url)
			results <- err
		}()
	}
	eventually(t, func() bool { return p.Waiting(url)+len(g.came) == 600 })
	sent := len(g.came)
	require.LessOrEqual(t, sent, 12)
	cancel()
	for range 600 {
		require.Equal(t, context.Canceled, <-results)
	}
	require.Zero(t, p.Waiting(url))
	require.Zero(t, p.Shares(url))
	require.Equal(t, sent, int(asked.Load()))

	close(g.answer)
	_, err := post(t.Context(), c, callOf("other", false), url)
	require.NoError(t, err)
}

// One that hangs does not keep another waiting, nor does asking keep ending.
func TestSharesAndLanes(t *testing.T) {
	g := newGate(good)
	url, _ := service(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			g.serve(w, r)
			return
		}
		good(w, r)
	})
	p := newPool(t, newClock())
	c := newClient(t, p, adobehttp.Options{URL: url})
	hung := many(t.Context(), c, 100, "hung", false, url+"/hang")
	eventually(t, func() bool { return p.Waiting(url) == 94 })
	for range 20 {
		_, err := post(t.Context(), c, callOf("other", false), url)
		require.NoError(t, err)
	}
	for range 20 {
		_, err := post(t.Context(), c, callOf("hung", true), url)
		require.NoError(t, err, "ending waits for nobody who asks")
	}
	require.Equal(t, 94, p.Waiting(url))
	close(g.answer)
	for range 100 {
		require.NoError(t, <-hung)
	}
	require.Zero(t, p.Shares(url))
}

func TestTooManyWait(t *testing.T) {
	for lane, ending := range map[string]bool{"asking": false, "ending": true} {
		t.Run(lane, func(t *testing.T) {
			g := newGate(good)
			url, _ := service(t, g.serve)
			p := newPool(t, newClock())
			c := newClient(t, p, adobehttp.Options{URL: url, MaxRetries: 3})
			turns := map[bool]int{false: 6, true: 2}[ending]
			ctx, cancel := context.WithCancel(t.Context())
			waiting := many(ctx, c, turns+256, "client", ending, url)
			eventually(t, func() bool { return p.Waiting(url) == 256 })

			start := time.Now()
			call := callOf("client", ending)
			_, err := post(t.Context(), c, call, url)
			require.EqualError(t, err, "IMS token request failed: too many requests of this credential are waiting for their turn at "+url)
			require.Equal(t, adobehttp.Throttled, failed(t, err).Kind)
			require.Zero(t, call.Sent)
			require.Less(t, time.Since(start), 5*time.Second)
			require.Zero(t, p.Quiet(url, "client"), "the server asked for nothing")
			cancel()
			for range turns + 256 {
				require.ErrorIs(t, <-waiting, context.Canceled)
			}
		})
	}
}

func TestThrottleIsTheSharesOwn(t *testing.T) {
	now := newClock()
	url, asked := service(t, answer(429, `{"error_code":"429050","message":"Too many requests"}`, "Retry-After", "30"), good)
	p := newPool(t, now)
	c := newClient(t, p, adobehttp.Options{URL: url, MaxRetries: 3})
	_, err := post(t.Context(), c, callOf("client", false), url)
	require.Equal(t, 30*time.Second, failed(t, err).RetryAfter)
	require.Equal(t, now.Now().Add(30*time.Second), p.Quiet(url+"/", "client"))

	now.Advance(10 * time.Second)
	for range 30 {
		call := callOf("client", false)
		call.Op = "refresh"
		_, err = post(t.Context(), c, call, url)
		e := failed(t, err)
		require.Equal(t, adobehttp.Throttled, e.Kind)
		require.Equal(t, 429, e.Status)
		require.Equal(t, 20*time.Second, e.RetryAfter)
		require.ErrorContains(t, e, "IMS refresh failed: 429 429050 (Too many requests): the server asks to be left alone")
		require.Zero(t, call.Sent)
	}
	require.Equal(t, int32(1), asked.Load())
	require.Zero(t, p.Shares(url), "who is not let in takes no turn")

	for _, call := range []*adobehttp.Call{callOf("other", false), callOf("client", true)} {
		_, err = post(t.Context(), c, call, url)
		require.NoError(t, err)
	}
	require.NotZero(t, p.Quiet(url, "client"), "ending a token says nothing of asking for one")

	now.Advance(20 * time.Second)
	require.Zero(t, p.Quiet(url, "client"))
	_, err = post(t.Context(), c, callOf("client", false), url)
	require.NoError(t, err)
}

func TestOtherThrottles(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		quiet   time.Duration
	}{
		"503 with Retry-After":     {answer(503, "", "Retry-After", "30"), 30 * time.Second},
		"503 without":              {unavailable, 0},
		"429 without":              {answer(429, ""), time.Second},
		"429, Retry-After 0":       {answer(429, "", "Retry-After", "0"), time.Second},
		"429, a day":               {answer(429, "", "Retry-After", "86400"), time.Hour},
		"400 with Retry-After":     {answer(400, `{"error":"x"}`, "Retry-After", "30"), 0},
		"a page with Retry-After":  {answer(403, page, "Retry-After", "30"), 0},
		"redirect and Retry-After": {answer(302, "", "Retry-After", "30"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			now := newClock()
			url, asked := service(t, test.handler)
			p := newPool(t, now)
			c := newClient(t, p, adobehttp.Options{URL: url})
			_, err := post(t.Context(), c, callOf("client", false), url)
			require.Error(t, err)
			if test.quiet == 0 {
				require.Zero(t, p.Quiet(url, "client"))
				return
			}
			require.Equal(t, test.quiet, p.Quiet(url, "client").Sub(now.Now()))
			_, err = post(t.Context(), c, callOf("client", false), url)
			require.Equal(t, adobehttp.Throttled, failed(t, err).Kind)
			require.Equal(t, int32(1), asked.Load())

			p.EndQuiet(url, "client")
			require.Zero(t, p.Quiet(url, "client"))
			_, err = post(t.Context(), c, callOf("client", false), url)
			require.Error(t, err)
			require.Equal(t, int32(2), asked.Load())
		})
	}
}

// A throttle reaches those that wait already, at once.
func TestThrottleEndsWaiting(t *testing.T) {
	var first atomic.Bool
	g := newGate(answer(429, "", "Retry-After", "30"))
	url, asked := service(t, func(w http.ResponseWriter, r *http.Request) {
		if first.CompareAndSwap(false, true) {
			g.serve(w, r)
			return
		}
		hang(w, r)
	})
	p := newPool(t, newClock())
	c := newClient(t, p, adobehttp.Options{URL: url})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	throttled := many(ctx, c, 1, "client", false, url)
	<-g.came
	results := many(ctx, c, 29, "client", false, url)
	eventually(t, func() bool { return p.Waiting(url) == 24 })
	other := many(ctx, c, 10, "other", false, url)
	eventually(t, func() bool { return asked.Load() == 9 && p.Waiting(url) == 24+7 })
	close(g.answer)
	require.Equal(t, 429, failed(t, <-throttled).Status)
	for range 24 {
		require.Equal(t, 429, failed(t, <-results).Status)
	}
	require.Len(t, other, 0)
	cancel()
	for range 10 {
		require.Equal(t, context.Canceled, <-other)
	}
}

// A request that was let in may repeat its attempts as the server said.
func TestRepeatedAttemptsAreNotHeld(t *testing.T) {
	url, asked := service(t, answer(429, ""), answer(429, "", "Retry-After", "1"), good)
	p := newPool(t, newClock())
	c := newClient(t, p, adobehttp.Options{URL: url, MaxRetries: 2})
	_, err := post(t.Context(), c, callOf("client", false), url)
	require.NoError(t, err)
	require.Equal(t, int32(3), asked.Load())
}

func TestThrottleEndsWithTheLastClient(t *testing.T) {
	url, _ := service(t, answer(429, "", "Retry-After", "30"))
	p := newPool(t, newClock())
	c := newClient(t, p, adobehttp.Options{URL: url})
	_, err := post(t.Context(), c, callOf("client", false), url)
	require.Error(t, err)
	require.NotZero(t, p.Quiet(url, "client"))
	c.Close()
	require.Zero(t, p.Quiet(url, "client"))
	_, servers := p.Sizes()
	require.Zero(t, servers)
}

// Its turn may come in the very moment in which a caller goes: none is lost.
func TestNoTurnIsLost(t *testing.T) {
	url, _ := service(t, good)
	p := newPool(t, newClock())
	c := newClient(t, p, adobehttp.Options{URL: url})
	var group sync.WaitGroup
	for i := range 400 {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*time.Millisecond)
			defer cancel()
			_, err := post(ctx, c, callOf(fmt.Sprint(i%5), i%2 == 0), url)
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Zero(t, p.Waiting(url))
	require.Zero(t, p.Shares(url))
	_, err := post(t.Context(), c, callOf("client", false), url)
	require.NoError(t, err)
}

// A panic in a caller's function gives the turn back.
func TestPanicGivesTheTurnBack(t *testing.T) {
	url, _ := service(t, good)
	p := newPool(t, newClock())
	c := newClient(t, p, adobehttp.Options{URL: url})
	ctx := adobehttp.WithProceed(t.Context(), func() error { panic("oops") })
	require.Panics(t, func() { _, _ = post(ctx, c, callOf("client", false), url) })
	require.Zero(t, p.Shares(url))
}

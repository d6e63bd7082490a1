// SPDX-License-Identifier: MPL-2.0

package faulty_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator/faulty"
)

const thing, other = "/things/1", "/others/1"

var arrival = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// fixture is a running Server before a handler that says ok and counts.
type fixture struct {
	*faulty.Server
	t       *testing.T
	url     string
	latency atomic.Int64
	effects atomic.Int64
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		f.effects.Add(1)
		w.Header().Set("X-From", "handler")
		_, _ = io.WriteString(w, "ok")
	})
	f.Server = faulty.New(handler, faulty.Options{
		Now:     func() time.Time { return arrival },
		Latency: func() time.Duration { return time.Duration(f.latency.Load()) },
		Header:  func(header http.Header, _ *http.Request) { header.Set("X-Always", "here") },
	})
	var err error
	f.url, err = f.Start("")
	require.NoError(t, err)
	t.Cleanup(f.Stop)
	return f
}

// answer is an HTTP response, read.
type answer struct {
	status int
	header http.Header
	body   string
}

// try returns what became of a request: redirects are not followed.
func (f *fixture) try(ctx context.Context, method, path, body string) (answer, error) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, f.url+path, strings.NewReader(body))
	require.NoError(f.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(read)}, err
}

func (f *fixture) send(method, path, body string) answer {
	f.t.Helper()
	a, err := f.try(f.t.Context(), method, path, body)
	require.NoError(f.t, err)
	return a
}

func (f *fixture) status() int { return f.send(http.MethodGet, thing, "").status }

func TestServe(t *testing.T) {
	f := start(t)
	a := f.send(http.MethodGet, thing, "")
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, "ok", a.body)
	require.Equal(t, "handler", a.header.Get("X-From"))
	require.Equal(t, "here", a.header.Get("X-Always"))
}

func TestStopAndRestart(t *testing.T) {
	f := start(t)
	_, err := f.Start("")
	require.Error(t, err)

	f.Stop()
	f.Stop()
	_, err = f.try(t.Context(), http.MethodGet, thing, "")
	require.ErrorContains(t, err, "refused")

	for range 2 {
		require.NoError(t, f.Restart())
		require.Equal(t, http.StatusOK, f.status())
	}

	unstarted := faulty.New(http.NotFoundHandler(), faulty.Options{})
	require.Error(t, unstarted.Restart())
	_, err = unstarted.Start("nonsense")
	require.Error(t, err)
}

func TestLatency(t *testing.T) {
	f := start(t)
	const latency = 50 * time.Millisecond
	f.latency.Store(int64(latency))
	before := time.Now()
	require.Equal(t, http.StatusOK, f.status())
	require.GreaterOrEqual(t, time.Since(before), latency)

	f.latency.Store(int64(time.Hour))
	ctx, cancel := context.WithTimeout(t.Context(), latency)
	defer cancel()
	_, err := f.try(ctx, http.MethodGet, thing, "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualValues(t, 2, f.effects.Load(), "the latency is after the effect")
}

func TestRequests(t *testing.T) {
	f := start(t)
	f.send(http.MethodGet, thing, "")
	f.send(http.MethodPost, thing+"?from=query", "name=b+c")
	f.send(http.MethodGet, other, "")

	require.Equal(t, 3, f.Count(""))
	require.Equal(t, 3, f.Count("/*"))
	require.Equal(t, 2, f.Count(thing))
	require.Zero(t, f.Count("/things"))
	require.Len(t, f.Requests(""), 3)
	require.Len(t, f.Requests("/things/*"), 2)
	r := f.Requests(thing)[1]
	require.Equal(t, http.MethodPost, r.Method)
	require.Equal(t, thing, r.Path)
	require.Equal(t, "application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
	require.Equal(t, url.Values{"name": {"b c"}}, r.Form)
	require.Equal(t, url.Values{"from": {"query"}}, r.Query)
	require.Equal(t, "name=b+c", string(r.Body))
	require.Equal(t, arrival, r.Time)

	f.ResetCounters()
	require.Zero(t, f.Count(""))
	require.Zero(t, f.Peak(""))
	require.Empty(t, f.Requests(""))
}

func TestRequestsAreBounded(t *testing.T) {
	s := faulty.New(http.NotFoundHandler(), faulty.Options{})
	const all = 10_500
	for i := range all {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, fmt.Sprintf("/none?n=%d", i), nil))
	}
	require.Equal(t, all, s.Count("/none"))
	kept := s.Requests("")
	require.Len(t, kept, 10_000)
	require.Equal(t, "500", kept[0].Query.Get("n"))
	require.Equal(t, "10499", kept[len(kept)-1].Query.Get("n"))
}

func TestLongBody(t *testing.T) {
	f := start(t)
	require.Equal(t, http.StatusOK, f.send(http.MethodPost, thing, strings.Repeat("x", 2<<20)).status)
	require.Len(t, f.Requests("")[0].Body, 1<<20)
}

func TestPeak(t *testing.T) {
	f := start(t)
	const clients = 5
	remove := f.Inject(faulty.Fault{Hang: true})
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() { _, _ = f.try(t.Context(), http.MethodGet, thing, "") })
	}
	require.Eventually(t, func() bool { return f.Peak(thing) == clients }, 10*time.Second, time.Millisecond)
	f.ResetCounters()
	require.Zero(t, f.Count(""))
	require.Equal(t, clients, f.Peak(""), "those under way remain")
	remove()
	wg.Wait()
	// The server notices the end of a request shortly after its client.
	require.Eventually(t, func() bool { f.ResetCounters(); return f.Peak("") == 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, f.status())
	require.Equal(t, 1, f.Peak(""))
	require.Equal(t, 1, f.Peak(thing))
	require.Zero(t, f.Peak(other))
}

func TestConcurrentUse(t *testing.T) {
	f := start(t)
	var wg sync.WaitGroup
	for _, work := range []func(){
		func() { _, _ = f.try(t.Context(), http.MethodGet, thing, "") },
		func() { f.Inject(faulty.Fault{Path: other, Times: 1})() },
		func() { f.Requests(""); f.Count(""); f.Peak(""); f.ResetCounters() },
		func() { f.ClearFaults() },
	} {
		wg.Go(func() {
			for range 20 {
				work()
			}
		})
	}
	wg.Wait()
	require.Equal(t, http.StatusOK, f.status())
}

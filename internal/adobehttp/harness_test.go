// SPDX-License-Identifier: MPL-2.0

package adobehttp_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

const secret = adobehttp.Secret("p8e-secret+of/the=tests")

var ims = adobehttp.Service{Name: "IMS", IDHeader: "x-debug-id"}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// service answers with the handlers in turn, the last one again and again.
func service(t *testing.T, handlers ...http.HandlerFunc) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		turn := int(asked.Add(1)) - 1
		handlers[min(turn, len(handlers)-1)](w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// answer answers with a status and a body; then come a header's names and
// values in turn.
func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Debug-Id", "debug-1")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

var (
	good        = answer(200, `{"access_token":"at"}`)
	unavailable = answer(503, `{}`)
)

func drop(w http.ResponseWriter, _ *http.Request) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = connection.Close()
	}
}

func truncate(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "half")
	}
}

// hang answers nothing until the client has gone away.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then is the client's leaving noticed
	<-r.Context().Done()
}

// gate is a handler that says when a request has come, and answers it when
// told.
type gate struct {
	came, answer chan struct{}
	then         http.HandlerFunc
}

func newGate(then http.HandlerFunc) *gate {
	return &gate{came: make(chan struct{}, 1000), answer: make(chan struct{}), then: then}
}

func (g *gate) serve(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then is the client's leaving noticed
	g.came <- struct{}{}
	select {
	case <-g.answer:
		g.then(w, r)
	case <-r.Context().Done():
	}
}

func newPool(t *testing.T, c *clock) *adobehttp.Pool {
	t.Helper()
	p := adobehttp.NewPool("test/1", c.Now)
	t.Cleanup(p.Close)
	return p
}

func newClient(t *testing.T, p *adobehttp.Pool, o adobehttp.Options) *adobehttp.Client {
	t.Helper()
	c, err := p.Client(ims, o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func client(t *testing.T, o adobehttp.Options) *adobehttp.Client {
	t.Helper()
	return newClient(t, newPool(t, newClock()), o)
}

func newCall() *adobehttp.Call {
	return &adobehttp.Call{Op: "token request", Endpoint: "token", Share: "client", Secrets: []adobehttp.Secret{secret}}
}

func post(ctx context.Context, c *adobehttp.Client, call *adobehttp.Call, url string) (*adobehttp.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("a=b"))
	if err != nil {
		return nil, err
	}
	return c.Do(ctx, call, req)
}

func failed(t *testing.T, err error) *adobehttp.Error {
	t.Helper()
	var e *adobehttp.Error
	require.ErrorAs(t, err, &e)
	require.NotContains(t, err.Error(), string(secret))
	return e
}

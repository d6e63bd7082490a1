// SPDX-License-Identifier: MPL-2.0

package adobehttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

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

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func drop(w http.ResponseWriter, _ *http.Request) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = connection.Close()
	}
}

func truncate(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, "half")
}

// hang answers nothing until the client has gone away.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // only then is the client's leaving noticed
	<-r.Context().Done()
}

func client(t *testing.T, o adobehttp.Options) *http.Client {
	t.Helper()
	c, err := adobehttp.New(o)
	require.NoError(t, err)
	return c
}

func post(ctx context.Context, c *http.Client, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("a=b"))
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

func TestRetries(t *testing.T) {
	for name, test := range map[string]struct {
		answers []http.HandlerFunc
		context func(context.Context) context.Context
		asked   int32
		status  int // 0: an error
	}{
		"200":                   {answers: []http.HandlerFunc{status(200)}, asked: 1, status: 200},
		"400":                   {answers: []http.HandlerFunc{status(400)}, asked: 1, status: 400},
		"500, 200":              {answers: []http.HandlerFunc{status(500), status(200)}, asked: 2, status: 200},
		"429, 503, 200":         {answers: []http.HandlerFunc{status(429), status(503), status(200)}, asked: 3, status: 200},
		"500 for good":          {answers: []http.HandlerFunc{status(500)}, asked: 3, status: 500},
		"429 for long":          {answers: []http.HandlerFunc{status(429, "Retry-After", "60"), status(200)}, asked: 1, status: 429},
		"dropped, 200":          {answers: []http.HandlerFunc{drop, status(200)}, asked: 2, status: 200},
		"cut off, 200":          {answers: []http.HandlerFunc{truncate, status(200)}, asked: 2, status: 200},
		"redirect":              {answers: []http.HandlerFunc{status(302, "Location", "http://127.0.0.1:1/")}, asked: 1, status: 302},
		"500 without retries":   {answers: []http.HandlerFunc{status(500)}, context: adobehttp.WithoutRetries, asked: 1, status: 500},
		"500 once":              {answers: []http.HandlerFunc{status(500)}, context: adobehttp.Once, asked: 1, status: 500},
		"dropped once":          {answers: []http.HandlerFunc{drop}, context: adobehttp.Once, asked: 1},
		"dropped but no repeat": {answers: []http.HandlerFunc{drop}, context: adobehttp.WithoutRetries, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			url, asked := service(t, test.answers...)
			ctx := t.Context()
			if test.context != nil {
				ctx = test.context(ctx)
			}
			resp, err := post(ctx, client(t, adobehttp.Options{MaxRetries: 2}), url)
			require.Equal(t, test.asked, asked.Load())
			if test.status == 0 {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, test.status, resp.StatusCode)
		})
	}
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	url, _ := service(t, status(429, "Retry-After", "1"), status(200))
	start := time.Now()
	resp, err := post(t.Context(), client(t, adobehttp.Options{MaxRetries: 1}), url)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.GreaterOrEqual(t, time.Since(start), time.Second)
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"soon":                          0,
		"99999999999":                   24 * time.Hour,
		"Sun, 22 Nov 2026 09:00:30 GMT": 30 * time.Second,
		"Sun, 22 Nov 2026 08:00:00 GMT": 0,
	} {
		require.Equal(t, want, adobehttp.RetryAfter(http.Header{"Retry-After": {value}}, now), value)
	}
}

func TestTimeLimit(t *testing.T) {
	stall := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		hang(w, r)
	}
	for name, handler := range map[string]http.HandlerFunc{"no answer": hang, "half an answer": stall} {
		t.Run(name, func(t *testing.T) {
			url, asked := service(t, handler)
			_, err := post(t.Context(), client(t, adobehttp.Options{MaxRetries: 1, Timeout: 50 * time.Millisecond}), url)
			require.ErrorContains(t, err, "no complete answer within 50ms")
			require.Equal(t, int32(2), asked.Load())
		})
	}
}

func TestBoundedAnswer(t *testing.T) {
	big := func(size int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) }
	}
	url, _ := service(t, big(adobehttp.MaxAnswer))
	resp, err := post(t.Context(), client(t, adobehttp.Options{}), url)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Len(t, body, adobehttp.MaxAnswer)

	url, asked := service(t, big(adobehttp.MaxAnswer+1))
	_, err = post(t.Context(), client(t, adobehttp.Options{MaxRetries: 2}), url)
	require.ErrorIs(t, err, adobehttp.ErrTooLarge)
	require.Equal(t, int32(1), asked.Load())
}

func TestGate(t *testing.T) {
	var underWay, most atomic.Int32
	url, _ := service(t, func(http.ResponseWriter, *http.Request) {
		now := underWay.Add(1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		time.Sleep(5 * time.Millisecond)
		underWay.Add(-1)
	})
	gate := semaphore.NewWeighted(2)
	results := make(chan error)
	for range 20 {
		go func() {
			c, err := adobehttp.New(adobehttp.Options{Gate: gate})
			if err == nil {
				_, err = post(context.Background(), c, url)
			}
			results <- err
		}()
	}
	for range 20 {
		require.NoError(t, <-results)
	}
	require.LessOrEqual(t, most.Load(), int32(2))

	require.NoError(t, gate.Acquire(t.Context(), 2))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := post(ctx, client(t, adobehttp.Options{Gate: gate}), url)
	require.ErrorIs(t, err, context.DeadlineExceeded, "waiting for a turn ends with the caller's patience")
}

func TestTrace(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	url, _ := service(t, status(200, "X-Debug-Id", "debug"))
	ctx, trace := adobehttp.WithTrace(t.Context())
	_, err := post(ctx, client(t, adobehttp.Options{Now: func() time.Time { return now }}), url)
	require.NoError(t, err)
	require.Equal(t, now, trace.Sent)
	require.Equal(t, "debug", trace.Header.Get("X-Debug-Id"))
}

func TestCACert(t *testing.T) {
	_, err := adobehttp.New(adobehttp.Options{CACert: "nothing"})
	require.Error(t, err)
}

func TestSecretDoesNotPrint(t *testing.T) {
	secret := adobehttp.Secret("p8e-secret")
	holder := struct{ S adobehttp.Secret }{secret}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.NotContains(t, fmt.Sprintf(verb, secret), "p8e", verb)
		require.NotContains(t, fmt.Sprintf(verb, holder), "p8e", verb)
	}
	require.NotContains(t, secret.String(), "p8e")
}

func TestQuote(t *testing.T) {
	require.Equal(t, "no [redacted] here, nor [redacted]", adobehttp.Quote("no p8e+secret here,\x00\n nor p8e%2Bsecret", "p8e+secret", "", "o"))
	require.Len(t, adobehttp.Quote(strings.Repeat("é", 300)), 203)
	require.Equal(t, "a b", adobehttp.Quote(" a\t\x1b\r\n b "))
}

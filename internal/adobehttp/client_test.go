// SPDX-License-Identifier: MPL-2.0

package adobehttp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

func TestRetries(t *testing.T) {
	type handlers []http.HandlerFunc
	once := func(call *adobehttp.Call) { call.Once = true }
	for name, test := range map[string]struct {
		answers handlers
		context func(context.Context) context.Context
		alter   func(*adobehttp.Call)
		asked   int32
		want    adobehttp.Kind
		status  int
	}{
		"200":                   {answers: handlers{good}, asked: 1, status: 200},
		"400":                   {answers: handlers{answer(400, `{"error":"x"}`)}, asked: 1, want: adobehttp.Refused, status: 400},
		"a page":                {answers: handlers{answer(403, page)}, asked: 1, want: adobehttp.Malformed, status: 403},
		"500, 200":              {answers: handlers{answer(500, ""), good}, asked: 2, status: 200},
		"429, 503, 200":         {answers: handlers{answer(429, ""), unavailable, good}, asked: 3, status: 200},
		"500 for good":          {answers: handlers{answer(500, "")}, asked: 3, want: adobehttp.Unavailable, status: 500},
		"429 for long":          {answers: handlers{answer(429, "", "Retry-After", "60"), good}, asked: 1, want: adobehttp.Throttled, status: 429},
		"503 for long":          {answers: handlers{answer(503, "", "Retry-After", "60"), good}, asked: 1, want: adobehttp.Unavailable, status: 503},
		"dropped, 200":          {answers: handlers{drop, good}, asked: 2, status: 200},
		"cut off, 200":          {answers: handlers{truncate(200), good}, asked: 2, status: 200},
		"cut off for good":      {answers: handlers{truncate(400)}, asked: 3, want: adobehttp.Unreachable},
		"cut off, but a 503":    {answers: handlers{truncate(503)}, asked: 3, want: adobehttp.Unavailable, status: 503},
		"500, then cut off":     {answers: handlers{answer(500, ""), truncate(200)}, asked: 3, want: adobehttp.Unreachable},
		"redirect":              {answers: handlers{answer(302, "", "Location", "http://127.0.0.1:1/")}, asked: 1, want: adobehttp.Malformed, status: 302},
		"500 without retries":   {answers: handlers{answer(500, "")}, context: adobehttp.WithoutRetries, asked: 1, want: adobehttp.Unavailable, status: 500},
		"dropped but no repeat": {answers: handlers{drop}, context: adobehttp.WithoutRetries, asked: 1, want: adobehttp.Unreachable},
		"500 once":              {answers: handlers{answer(500, "")}, alter: once, asked: 1, want: adobehttp.Unavailable, status: 500},
		"dropped once":          {answers: handlers{drop}, alter: once, asked: 1, want: adobehttp.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, asked := service(t, test.answers...)
			ctx, call := t.Context(), newCall()
			if test.context != nil {
				ctx = test.context(ctx)
			}
			if test.alter != nil {
				test.alter(call)
			}
			_, err := post(ctx, client(t, adobehttp.Options{URL: url, MaxRetries: 2}), call, url)
			require.Equal(t, test.asked, asked.Load())
			require.Equal(t, test.status, call.Status)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			e := failed(t, err)
			require.Equal(t, test.want, e.Kind)
			require.Equal(t, test.status, e.Status)
		})
	}
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	for _, status := range []int{429, 500, 503} {
		url, _ := service(t, answer(status, "", "Retry-After", "1"), good)
		start := time.Now()
		_, err := post(t.Context(), client(t, adobehttp.Options{URL: url, MaxRetries: 1}), newCall(), url)
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(start), time.Second, status)
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
			_, err := post(t.Context(), client(t, adobehttp.Options{URL: url, MaxRetries: 1, Timeout: 50 * time.Millisecond}), newCall(), url)
			require.EqualError(t, err, "IMS token request failed: "+url+": no complete answer within 50ms")
			require.Equal(t, adobehttp.Unreachable, failed(t, err).Kind)
			require.NotErrorIs(t, err, context.DeadlineExceeded, "the caller's has not passed")
			require.Equal(t, int32(2), asked.Load())
		})
	}
}

func TestBoundedAnswer(t *testing.T) {
	object := func(size int) http.HandlerFunc {
		return answer(200, `{"a":"`+strings.Repeat("x", size-len(`{"a":""}`))+`"}`)
	}
	url, _ := service(t, object(1<<20))
	got, err := post(t.Context(), client(t, adobehttp.Options{URL: url}), newCall(), url)
	require.NoError(t, err)
	require.Len(t, got.Body, 1<<20)

	url, asked := service(t, object(1<<20+1))
	_, err = post(t.Context(), client(t, adobehttp.Options{URL: url, MaxRetries: 2}), newCall(), url)
	require.EqualError(t, err, "IMS token request failed: 200 OK: the answer is larger than 1048576 bytes, x-debug-id debug-1")
	require.Equal(t, adobehttp.Malformed, failed(t, err).Kind)
	require.Equal(t, int32(1), asked.Load())

	url, _ = service(t, answer(500, strings.Repeat("x", 1<<20+1)))
	_, err = post(t.Context(), client(t, adobehttp.Options{URL: url}), newCall(), url)
	require.Equal(t, adobehttp.Unavailable, failed(t, err).Kind, "a 500 is one whatever its body")
}

func TestBoundedHeader(t *testing.T) {
	large := func(kilobytes int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for range kilobytes {
				w.Header().Add("X-Large", strings.Repeat("x", 1024))
			}
			good(w, r)
		}
	}
	for name, kilobytes := range map[string]int{"larger": 70, "huge": 4096} {
		url, asked := service(t, large(kilobytes))
		secure := secureServer(t, large(kilobytes))
		for version, o := range map[string]adobehttp.Options{
			"HTTP/1": {URL: url, MaxRetries: 1},
			"HTTP/2": {URL: secure.URL, CACert: authority(secure), MaxRetries: 1},
		} {
			_, err := post(t.Context(), client(t, o), newCall(), o.URL)
			e := failed(t, err)
			if name == "huge" && version == "HTTP/2" {
				continue // the transport may end the connection over so much, in other words
			}
			require.EqualError(t, err, "IMS token request failed: the header of the answer is larger than 65536 bytes", "%s, %s", name, version)
			require.Equal(t, adobehttp.Malformed, e.Kind)
		}
		require.Equal(t, int32(1), asked.Load())
	}
}

func TestWhatIsSent(t *testing.T) {
	var got *http.Request
	var body []byte
	url, _ := service(t, unavailable, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		good(w, r)
	})
	_, err := post(t.Context(), client(t, adobehttp.Options{URL: url, MaxRetries: 1}), newCall(), url)
	require.NoError(t, err)
	require.Equal(t, "test/1", got.UserAgent())
	require.Equal(t, "a=b", string(body), "the repeated one too")
	require.NotContains(t, got.Header, "Idempotency-Key")
}

func TestCallTellsOfTheLastAttempt(t *testing.T) {
	now := newClock()
	url, _ := service(t, unavailable, func(w http.ResponseWriter, r *http.Request) {
		now.Advance(time.Minute)
		answer(200, "{}", "X-Debug-Id", "debug-2")(w, r)
	}, drop)
	c := newClient(t, newPool(t, now), adobehttp.Options{URL: url, MaxRetries: 1})
	sent, call := now.Now(), newCall()
	_, err := post(t.Context(), c, call, url)
	require.NoError(t, err)
	require.Equal(t, sent, call.Sent, "before the server can have acted")
	require.Equal(t, 200, call.Status)
	require.Equal(t, "debug-2", call.Header.Get("X-Debug-Id"))

	_, err = post(adobehttp.WithoutRetries(t.Context()), c, call, url)
	require.Error(t, err)
	require.Zero(t, call.Status)
	require.Empty(t, call.Header)
	require.Equal(t, now.Now(), call.Sent)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = post(ctx, c, call, url)
	require.Equal(t, context.Canceled, err)
	require.Zero(t, call.Sent, "nothing was sent")
}

func TestCallersContextEnds(t *testing.T) {
	url, _ := service(t, hang)
	c := client(t, adobehttp.Options{URL: url})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := post(ctx, c, newCall(), url)
	require.Equal(t, context.DeadlineExceeded, err)
	_, err = token(ctx, c, newCall(), url)
	require.Equal(t, context.DeadlineExceeded, err)
}

// The wait between two attempts ends with the caller. What was answered counts.
func TestCallerLeavesBetweenAttempts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url, asked := service(t, answer(503, "", "Retry-After", "2"))
	time.AfterFunc(50*time.Millisecond, cancel)
	start := time.Now()
	_, err := post(ctx, client(t, adobehttp.Options{URL: url, MaxRetries: 5}), newCall(), url)
	require.Equal(t, 503, failed(t, err).Status)
	require.Less(t, time.Since(start), 2*time.Second)
	require.Equal(t, int32(1), asked.Load())
}

func TestFinish(t *testing.T) {
	for name, test := range map[string]struct {
		then http.HandlerFunc
		want adobehttp.Kind
	}{
		"success":     {good, ""},
		"refusal":     {answer(400, `{"error":"invalid_grant"}`), adobehttp.Refused},
		"unavailable": {unavailable, adobehttp.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(test.then)
			url, asked := service(t, g.serve)
			c := client(t, adobehttp.Options{URL: url, MaxRetries: 3})
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() {
				call := newCall()
				call.Finish = true
				_, err := token(ctx, c, call, url)
				result <- err
			}()
			<-g.came
			cancel()
			require.Never(t, func() bool { return len(result) > 0 }, 50*time.Millisecond, 10*time.Millisecond)
			close(g.answer)
			err := <-result
			require.Equal(t, int32(1), asked.Load(), "no retries for a caller that has gone")
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, test.want, failed(t, err).Kind)
		})
	}
}

func TestFinishIsBoundedByTheTimeout(t *testing.T) {
	url, asked := service(t, hang)
	c := client(t, adobehttp.Options{URL: url, Timeout: 200 * time.Millisecond, MaxRetries: 3})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	call, start := newCall(), time.Now()
	call.Finish = true
	_, err := post(ctx, c, call, url)
	require.Equal(t, context.DeadlineExceeded, err)
	require.GreaterOrEqual(t, time.Since(start), 200*time.Millisecond)
	require.Equal(t, int32(1), asked.Load())
}

func TestProceed(t *testing.T) {
	url, asked := service(t, unavailable)
	c := client(t, adobehttp.Options{URL: url, MaxRetries: 3})
	stop := &adobehttp.Error{Op: "stop"}
	times := 0
	ctx := adobehttp.WithProceed(t.Context(), func() error {
		if times++; times == 3 {
			return stop
		}
		return nil
	})
	call := newCall()
	_, err := post(ctx, c, call, url)
	require.Same(t, stop, err)
	require.Equal(t, int32(2), asked.Load())

	times = 2
	_, err = token(ctx, c, call, url)
	require.Same(t, stop, err)
	require.Zero(t, call.Sent)

	other := errors.New("the role is another now")
	ctx = adobehttp.WithProceed(t.Context(), func() error { return other })
	for range 20 { // each gives its turn back
		_, err = post(ctx, c, newCall(), url)
		require.Same(t, other, err)
	}
	require.Equal(t, int32(2), asked.Load())
}

func TestUnknownAuthority(t *testing.T) {
	server := secureServer(t, good)
	c := client(t, adobehttp.Options{URL: server.URL, MaxRetries: 3})
	start := time.Now()
	_, err := post(t.Context(), c, newCall(), server.URL)
	require.ErrorContains(t, err, "set ca_cert")
	require.Equal(t, adobehttp.Unreachable, failed(t, err).Kind)
	require.Less(t, time.Since(start), time.Second, "not repeated")
}

func TestOldTLSIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(good)
	server.Config.ErrorLog = silent
	server.TLS = oldTLS
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := post(t.Context(), client(t, adobehttp.Options{URL: server.URL, CACert: authority(server)}), newCall(), server.URL)
	require.ErrorContains(t, err, "protocol version")
}

func TestOptions(t *testing.T) {
	p := newPool(t, newClock())
	for _, o := range []adobehttp.Options{
		{}, {URL: "ims.example"}, {URL: "ftp://ims.example"}, {URL: "https://"}, {URL: "https://%zz"},
		{URL: "https://ims.example", CACert: "nothing"},
	} {
		_, err := p.Client(ims, o)
		require.Error(t, err, o)
	}
}

// Half of a server's memory is not for the answers of one attack.
func TestCompressedAnswerIsBounded(t *testing.T) {
	bomb := gzipped(bytes.Repeat([]byte(" "), 8<<20))
	url, _ := service(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	})
	_, err := post(t.Context(), client(t, adobehttp.Options{URL: url}), newCall(), url)
	require.Equal(t, adobehttp.Malformed, failed(t, err).Kind)
	require.ErrorContains(t, err, "larger than")
}

// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// tryMint asks for a token and returns what became of it.
func (f *fixture) tryMint(ctx context.Context) (answer, error) {
	r := f.request(http.MethodPost, emulator.TokenPath, form(clientCredentials("scope", "a")...)).WithContext(ctx)
	response, err := noRedirects(f.t).Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body)}, err
}

func (f *fixture) mintStatus() int {
	f.t.Helper()
	a, err := f.tryMint(f.t.Context())
	require.NoError(f.t, err)
	return a.status
}

func TestFaultAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		fault  emulator.Fault
		status int
		body   string
		header map[string]string
	}{
		"error": {
			fault:  emulator.Fault{Status: 401, Code: "invalid_client", Description: "no"},
			status: 401, body: `{"error":"invalid_client","error_description":"no"}`,
		},
		"default status": {fault: emulator.Fault{Code: "invalid_scope"}, status: 400, body: `{"error":"invalid_scope"}`},
		"nothing set":    {status: 500},
		"throttled": {
			fault:  emulator.Fault{Status: 429, RetryAfter: "7"},
			status: 429, header: map[string]string{"Retry-After": "7"},
		},
		"garbage": {
			fault:  emulator.Fault{Body: "<html>", ContentType: "text/html"},
			status: 200, body: "<html>", header: map[string]string{"Content-Type": "text/html"},
		},
		"redirect": {
			fault:  emulator.Fault{Redirect: "https://elsewhere.example.com/"},
			status: 302, header: map[string]string{"Location": "https://elsewhere.example.com/"},
		},
		"redirect that keeps the method": {fault: emulator.Fault{Redirect: "/", Status: 307}, status: 307},
		"size":                           {fault: emulator.Fault{Size: 100_000}, status: 200, body: strings.Repeat(" ", 100_000)},
		"size with a body":               {fault: emulator.Fault{Size: 5, Body: "{}", Status: 502}, status: 502, body: "{}   "},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, emulator.Options{})
			f.Inject(c.fault)
			a, err := f.tryMint(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.status, a.status)
			require.Equal(t, c.body, a.body)
			require.NotEmpty(t, a.header.Get("X-Debug-Id"))
			for name, want := range c.header {
				require.Equal(t, want, a.header.Get(name))
			}
		})
	}
}

func TestFaultOfConsole(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.mint(managing)
	f.Inject(emulator.Fault{Path: "/console/*", Times: 1, Status: 429, Code: "429050", Description: "Too many requests"})
	f.Inject(emulator.Fault{Path: "/console/*", Times: 1, Status: 503, Code: "503000", Description: "Later"})
	require.Equal(t, map[string]any{"error_code": "429050", "message": "Too many requests"},
		f.console(token, http.MethodGet, secretsPath).json(t))
	require.Equal(t, map[string]any{"error_code": 503000.0, "status": 503.0, "message": "Later"},
		f.console(token, http.MethodGet, secretsPath).json(t))
	require.Len(t, f.listed(token), 1)
}

func TestFaultMatching(t *testing.T) {
	f := start(t, emulator.Options{})
	f.Inject(emulator.Fault{Method: http.MethodGet, Status: 501})
	f.Inject(emulator.Fault{Path: emulator.InvalidatePath, Status: 502})
	f.Inject(emulator.Fault{Status: 503, Match: func(r *http.Request) bool { return r.Form.Get("scope") == "b" }})
	require.Equal(t, http.StatusOK, f.mintStatus())
	require.Equal(t, 501, f.send(f.request(http.MethodGet, emulator.KeysPath, nil)).status)
	require.Equal(t, 502, f.invalidate("x").status)
	require.Equal(t, 503, f.post(emulator.TokenPath, clientCredentials("scope", "b")...).status)
}

func TestFaultOrder(t *testing.T) {
	f := start(t, emulator.Options{})
	f.Inject(emulator.Fault{Status: 501, Skip: 1, Times: 2})
	remove := f.Inject(emulator.Fault{Status: 502})
	var got []int
	for range 4 {
		got = append(got, f.mintStatus())
	}
	require.Equal(t, []int{502, 501, 501, 502}, got)
	remove()
	remove()
	require.Equal(t, http.StatusOK, f.mintStatus())
	f.Inject(emulator.Fault{Status: 503})
	f.ClearFaults()
	remove()
	require.Equal(t, http.StatusOK, f.mintStatus())
}

func TestFaultAfter(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.mint("a")
	f.Inject(emulator.Fault{Path: emulator.InvalidatePath, After: true, Status: 503})
	require.Equal(t, 503, f.invalidate(token).status)
	require.False(t, f.Valid(token))
}

func TestFaultDropAndTruncate(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"drop":               {Drop: true},
		"drop after":         {Drop: true, After: true},
		"truncate":           {Truncate: true, Body: `{"access_token":"`},
		"truncate a big one": {Truncate: true, Size: 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, emulator.Options{})
			f.Inject(fault)
			_, err := f.tryMint(t.Context())
			require.Error(t, err)
		})
	}
}

func TestFaultHang(t *testing.T) {
	for name, end := range map[string]func(f *fixture, remove, cancel func()){
		"client goes away": func(_ *fixture, _, cancel func()) { cancel() },
		"fault removed":    func(_ *fixture, remove, _ func()) { remove() },
		"faults cleared":   func(f *fixture, _, _ func()) { f.ClearFaults() },
		"server stops":     func(f *fixture, _, _ func()) { f.Stop() },
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, emulator.Options{})
			hangs := make(chan struct{})
			remove := f.Inject(emulator.Fault{Hang: true, Times: 1, Match: func(*http.Request) bool { close(hangs); return true }})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failed := make(chan error)
			go func() {
				_, err := f.tryMint(ctx)
				failed <- err
			}()
			<-hangs
			select {
			case err := <-failed:
				require.Fail(t, "answered", "%v", err)
			case <-time.After(20 * time.Millisecond):
			}
			end(f, remove, cancel)
			require.Error(t, <-failed)
		})
	}
}

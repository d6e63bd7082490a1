// SPDX-License-Identifier: MPL-2.0

package faulty_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator/faulty"
)

func TestFaultAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		fault  faulty.Fault
		status int
		body   string
		header map[string]string
	}{
		"nothing set":    {status: 500},
		"bare status":    {fault: faulty.Fault{Status: 200}, status: 200},
		"error":          {fault: faulty.Fault{Status: 401, Code: "no", Description: "way"}, status: 401, body: "no way\n"},
		"default status": {fault: faulty.Fault{Code: "no"}, status: 400, body: "no \n"},
		"throttled": {
			fault:  faulty.Fault{Status: 429, RetryAfter: "7"},
			status: 429, header: map[string]string{"Retry-After": "7"},
		},
		"a proxy's page": {
			fault: faulty.Fault{
				Status: 403, Body: "<html>", ContentType: "text/html", Header: map[string]string{"via": "1.1 proxy"},
			},
			status: 403, body: "<html>", header: map[string]string{"Content-Type": "text/html", "Via": "1.1 proxy"},
		},
		"JSON": {
			fault:  faulty.Fault{Body: "{}"},
			status: 200, body: "{}", header: map[string]string{"Content-Type": "application/json;charset=UTF-8"},
		},
		"an empty page": {
			fault:  faulty.Fault{ContentType: "text/html"},
			status: 200, header: map[string]string{"Content-Type": "text/html", "Content-Length": "0"},
		},
		"no content type": {
			fault:  faulty.Fault{Body: "x", Header: map[string]string{"content-type": ""}},
			status: 200, body: "x", header: map[string]string{"Content-Type": ""},
		},
		"redirect": {
			fault:  faulty.Fault{Redirect: "https://elsewhere.example.com/"},
			status: 302, header: map[string]string{"Location": "https://elsewhere.example.com/"},
		},
		"redirect that keeps the method": {fault: faulty.Fault{Redirect: "/", Status: 307}, status: 307},
		"size":                           {fault: faulty.Fault{Size: 100_000}, status: 200, body: strings.Repeat(" ", 100_000)},
		"size with a body":               {fault: faulty.Fault{Size: 5, Body: "{}", Status: 502}, status: 502, body: "{}   "},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.Inject(c.fault)
			a := f.send(http.MethodGet, thing, "")
			require.Equal(t, c.status, a.status)
			require.Equal(t, c.body, a.body)
			require.Equal(t, "here", a.header.Get("X-Always"))
			require.Empty(t, a.header.Get("X-From"))
			for name, want := range c.header {
				require.Equal(t, want, a.header.Get(name), name)
			}
			require.Zero(t, f.effects.Load())
		})
	}
}

func TestFaultMatching(t *testing.T) {
	f := start(t)
	f.Inject(faulty.Fault{Method: http.MethodDelete, Status: 501})
	f.Inject(faulty.Fault{Path: "/others/*", Status: 502})
	f.Inject(faulty.Fault{Status: 503, Match: func(r *http.Request) bool { return r.Form.Get("name") == "b" }})
	require.Equal(t, http.StatusOK, f.status())
	require.Equal(t, 501, f.send(http.MethodDelete, thing, "").status)
	require.Equal(t, 502, f.send(http.MethodGet, other, "").status)
	require.Equal(t, 503, f.send(http.MethodPost, thing, "name=b").status)
}

func TestFaultOrder(t *testing.T) {
	f := start(t)
	f.Inject(faulty.Fault{Status: 501, Skip: 1, Times: 2})
	remove := f.Inject(faulty.Fault{Status: 502})
	var got []int
	for range 4 {
		got = append(got, f.status())
	}
	require.Equal(t, []int{502, 501, 501, 502}, got)
	remove()
	remove()
	require.Equal(t, http.StatusOK, f.status())
	f.Inject(faulty.Fault{Status: 503})
	f.ClearFaults()
	remove()
	require.Equal(t, http.StatusOK, f.status())
}

func TestFaultAfter(t *testing.T) {
	f := start(t)
	f.Inject(faulty.Fault{After: true, Status: 503})
	require.Equal(t, 503, f.status())
	require.EqualValues(t, 1, f.effects.Load())
}

func TestFaultDropAndTruncate(t *testing.T) {
	for name, fault := range map[string]faulty.Fault{
		"drop":               {Drop: true},
		"drop after":         {Drop: true, After: true},
		"truncate":           {Truncate: true, Body: `{"name":"`},
		"truncate a big one": {Truncate: true, Size: 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t)
			f.Inject(fault)
			_, err := f.try(t.Context(), http.MethodGet, thing, "")
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
			f := start(t)
			hangs := make(chan struct{})
			remove := f.Inject(faulty.Fault{Hang: true, Times: 1, Match: func(*http.Request) bool { close(hangs); return true }})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failed := make(chan error)
			go func() {
				_, err := f.try(ctx, http.MethodGet, thing, "")
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

func TestFaultHangFromTheThird(t *testing.T) {
	f := start(t)
	f.Inject(faulty.Fault{Skip: 2, Hang: true})
	require.Equal(t, http.StatusOK, f.status())
	require.Equal(t, http.StatusOK, f.status())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := f.try(ctx, http.MethodGet, thing, "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestFaultHangWithinTheBody(t *testing.T) {
	f := start(t)
	remove := f.Inject(faulty.Fault{Hang: true, Body: `{"name":"`})
	response, err := http.Get(f.url + thing)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	begun := make([]byte, 9)
	_, err = io.ReadFull(response.Body, begun)
	require.NoError(t, err)
	require.Equal(t, `{"name":"`, string(begun))
	remove()
	_, err = io.ReadAll(response.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

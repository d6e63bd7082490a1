// SPDX-License-Identifier: MPL-2.0

package ims_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const secret = "p8e-secret+of/the=tests"

var (
	credential = ims.Credential{ClientID: "client", ClientSecret: secret}
	scopes     = []string{"openid", "AdobeID"}
	began      = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
)

// connect returns a client of the server at an address.
func connect(t *testing.T, address string, now func() time.Time) *ims.Client {
	t.Helper()
	pool := ims.NewPool("tests/1", now)
	client, err := ims.New(pool, ims.Options{URL: address, Timeout: 2 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() {
		client.Close()
		pool.Close()
	})
	return client
}

// start returns a client of an emulated IMS.
func start(t *testing.T) (*emulator.Server, *ims.Client, *clockwork.FakeClock) {
	t.Helper()
	return startWith(t, emulator.Options{RefuseDeadTokens: true})
}

func startWith(t *testing.T, o emulator.Options) (*emulator.Server, *ims.Client, *clockwork.FakeClock) {
	t.Helper()
	clock := clockwork.NewFakeClockAt(began)
	o.Clock = clock
	server := emulator.New(o)
	server.AddClient(emulator.Client{ID: "client", Secrets: []string{secret}})
	address, err := server.Start("")
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	return server, connect(t, address, clock.Now), clock
}

// reply is one answer of a server. The type "-" is none at all.
type reply struct {
	status      int
	contentType string
	retryAfter  string
	body        string
}

func (r reply) send(w http.ResponseWriter) {
	w.Header().Set("X-Debug-Id", "debug-1")
	if w.Header().Set("Content-Type", r.contentType); r.contentType == "-" || r.contentType == "" {
		w.Header()["Content-Type"] = nil
	}
	if r.retryAfter != "" {
		w.Header().Set("Retry-After", r.retryAfter)
	}
	if r.status/100 == 3 {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(r.status)
	_, _ = io.WriteString(w, r.body)
}

// asked is what a server was asked.
type asked struct {
	path   string
	form   url.Values
	header http.Header
}

// double is a server that answers by path, in turn; the last answer of a path
// is repeated. The answer may be made from the request.
type double struct {
	*ims.Client
	mu      sync.Mutex
	answers map[string][]reply
	asked   []asked
}

func answering(t *testing.T, answers map[string][]reply) *double {
	t.Helper()
	d := &double{answers: answers}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	d.Client = connect(t, server.URL, func() time.Time { return began })
	return d
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, asked{path: r.URL.Path, form: r.PostForm, header: r.Header})
	left := d.answers[r.URL.Path]
	if len(left) == 0 {
		http.NotFound(w, r)
		return
	}
	if left[0].send(w); len(left) > 1 {
		d.answers[r.URL.Path] = left[1:]
	}
}

// only answers every request to a path alike.
func only(path string, r reply) map[string][]reply { return map[string][]reply{path: {r}} }

// jwt is an unsigned token with the claims.
func jwt(encoding *base64.Encoding, claims string) string {
	segment := func(s string) string { return encoding.EncodeToString([]byte(s)) }
	return segment(`{"alg":"none"}`) + "." + segment(claims) + "." + segment("signature")
}

// failure wants an error to be an *ims.Error of a kind.
func failure(t *testing.T, err error, kind ims.Kind) *ims.Error {
	t.Helper()
	var failed *ims.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, kind, failed.Kind, err)
	return failed
}

func merge(changes map[string]any) func(map[string]any) {
	return func(to map[string]any) {
		for k, v := range changes {
			if to[k] = v; v == nil {
				delete(to, k)
			}
		}
	}
}

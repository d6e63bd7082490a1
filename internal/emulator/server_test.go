// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestStopAndRestart(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.mint("a")
	_, err := f.Start("")
	require.Error(t, err)

	f.Stop()
	f.Stop()
	_, err = f.tryMint(t.Context())
	require.ErrorContains(t, err, "refused")

	require.NoError(t, f.Restart())
	require.Equal(t, http.StatusOK, f.mintStatus())
	require.True(t, f.Valid(token))
	require.NoError(t, f.Restart())
	require.Equal(t, http.StatusOK, f.mintStatus())

	require.Error(t, emulator.New(emulator.Options{}).Restart())
	_, err = emulator.New(emulator.Options{}).Start("nonsense")
	require.Error(t, err)
}

func TestLatency(t *testing.T) {
	f := start(t, emulator.Options{})
	const latency = 50 * time.Millisecond
	f.SetLatency(latency)
	before := time.Now()
	require.Equal(t, http.StatusOK, f.mintStatus())
	require.GreaterOrEqual(t, time.Since(before), latency)

	f.SetLatency(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), latency)
	defer cancel()
	_, err := f.tryMint(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestRequests(t *testing.T) {
	f := start(t, emulator.Options{})
	f.mint("a")
	f.post(emulator.TokenPath+"?client_id=query", "scope", "b c")
	f.invalidate("x")

	require.Equal(t, 3, f.Count(""))
	require.Equal(t, 3, f.Count("/ims/*"))
	require.Equal(t, 2, f.Count(emulator.TokenPath))
	require.Zero(t, f.Count("/ims"))
	require.Len(t, f.Requests(""), 3)
	require.Len(t, f.Requests("/ims/token/*"), 2)
	r := f.Requests(emulator.TokenPath)[1]
	require.Equal(t, http.MethodPost, r.Method)
	require.Equal(t, emulator.TokenPath, r.Path)
	require.Equal(t, "application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
	require.Equal(t, form("scope", "b c"), r.Form)
	require.Equal(t, form("client_id", "query"), r.Query)
	require.Equal(t, "scope=b+c", string(r.Body))
	require.Equal(t, f.clock.Now(), r.Time)

	f.ResetCounters()
	require.Zero(t, f.Count(""))
	require.Zero(t, f.Peak(""))
	require.Empty(t, f.Requests(""))
}

func TestRequestsAreBounded(t *testing.T) {
	s := emulator.New(emulator.Options{})
	const all = 10_500
	for i := range all {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, fmt.Sprintf("/ims/none?n=%d", i), nil))
	}
	require.Equal(t, all, s.Count("/ims/none"))
	kept := s.Requests("")
	require.Len(t, kept, 10_000)
	require.Equal(t, "500", kept[0].Query.Get("n"))
	require.Equal(t, "10499", kept[len(kept)-1].Query.Get("n"))
}

func TestLongBody(t *testing.T) {
	s := emulator.New(emulator.Options{})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, emulator.TokenPath, strings.NewReader(strings.Repeat("x", 2<<20))))
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Len(t, s.Requests("")[0].Body, 1<<20)
}

func TestPeak(t *testing.T) {
	f := start(t, emulator.Options{})
	const clients = 5
	remove := f.Inject(emulator.Fault{Hang: true})
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() { _, _ = f.tryMint(t.Context()) })
	}
	require.Eventually(t, func() bool { return f.Peak(emulator.TokenPath) == clients }, 10*time.Second, time.Millisecond)
	f.ResetCounters()
	require.Zero(t, f.Count(""))
	require.Equal(t, clients, f.Peak(""), "those under way remain")
	remove()
	wg.Wait()
	// The server notices the end of a request shortly after its client.
	require.Eventually(t, func() bool { f.ResetCounters(); return f.Peak("") == 0 }, 10*time.Second, time.Millisecond)
	f.mint("a")
	require.Equal(t, 1, f.Peak(""))
	require.Equal(t, 1, f.Peak(emulator.TokenPath))
	require.Zero(t, f.Peak(emulator.InvalidatePath))
}

func TestConcurrentUse(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.mint(managing)
	var wg sync.WaitGroup
	for _, work := range []func(){
		func() { _, _ = f.tryMint(t.Context()) },
		func() { f.Inject(emulator.Fault{Path: emulator.KeysPath, Times: 1})() },
		func() { f.SetTokenLife(time.Minute); f.SetLatency(time.Millisecond) },
		func() { f.AlterToken(nil); f.AlterClaims(func(map[string]any) {}) },
		func() { f.Valid(token); f.SecretsOf(clientID); f.Requests(""); f.Count(""); f.Peak("") },
		func() { f.AddClient(emulator.Client{ID: "another"}) },
		func() {
			if secret, err := f.AddSecret(clientID); err == nil {
				_ = f.RemoveSecret(clientID, secret.UUID)
			}
		},
		func() { _, _ = f.Allow(f.authorizeURL()) },
	} {
		wg.Go(func() {
			for range 20 {
				work()
			}
		})
	}
	wg.Wait()
	require.Equal(t, http.StatusOK, f.mintStatus())
}

// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestRestart(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.mint("a")
	f.Stop()
	require.NoError(t, f.Restart())
	require.Equal(t, http.StatusOK, f.mintStatus())
	require.True(t, f.Valid(token), "what was issued outlives the stop")
}

func TestClock(t *testing.T) {
	f := start(t, emulator.Options{})
	f.mint("a")
	a := f.send(f.request(http.MethodGet, emulator.KeysPath, nil))
	require.Equal(t, "Wed, 04 Mar 2026 05:06:07 GMT", a.header.Get("Date"))
	require.Equal(t, f.clock.Now(), f.Requests(emulator.TokenPath)[0].Time)
}

func TestLatency(t *testing.T) {
	f := start(t, emulator.Options{})
	f.Configure(func(o *emulator.Options) { o.Latency = time.Hour })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := f.tryMint(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	f.Configure(func(o *emulator.Options) { o.Latency = 0 })
	require.Equal(t, http.StatusOK, f.mintStatus())
}

func TestSlashAtTheEnd(t *testing.T) {
	f := start(t, emulator.Options{})
	for _, path := range []string{"/ims/token/v1", "/ims/token/v2", emulator.TokenPath, "/ims/token/v4"} {
		require.Equal(t, http.StatusOK, f.post(path+"/", clientCredentials("scope", "a")...).status, path)
	}
	require.Equal(t, http.StatusOK, f.get(strings.Replace(f.authorizeURL(), "?", "/?", 1)).status)
	for _, path := range []string{emulator.KeysPath, emulator.DiscoveryPath} {
		require.Equal(t, http.StatusOK, f.get(path+"/").status, path)
	}
	for _, path := range []string{"/", "/ims/token/v5", "/ims/token/v3//"} {
		require.Equal(t, http.StatusNotFound, f.post(path).status, path)
	}
}

func TestDiscovery(t *testing.T) {
	f := start(t, emulator.Options{})
	got := f.get(emulator.DiscoveryPath).json(t)
	require.Equal(t, got, f.get("/.well-known/openid-configuration").json(t))
	require.Equal(t, f.url, got["issuer"])
	for name, path := range map[string]string{
		"authorization_endpoint": emulator.AuthorizePath, "token_endpoint": emulator.TokenPath,
		"revocation_endpoint": emulator.RevokePath, "jwks_uri": emulator.KeysPath,
	} {
		require.Equal(t, f.url+path, got[name], name)
	}
	require.NotContains(t, got["grant_types_supported"], "client_credentials", "Adobe does not say so")
}

func TestConcurrentUse(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.mint(managing)
	var wg sync.WaitGroup
	for _, work := range []func(){
		func() { _, _ = f.tryMint(t.Context()) },
		func() { f.Inject(emulator.Fault{Path: emulator.KeysPath, Times: 1})() },
		func() {
			f.Configure(func(o *emulator.Options) { o.TokenLife, o.Latency = time.Minute, time.Millisecond })
		},
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

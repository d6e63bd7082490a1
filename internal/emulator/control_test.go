// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func startWithControl(t *testing.T) *fixture {
	t.Helper()
	f := start(t, emulator.Options{})
	f.Stop()
	f.EnableControl()
	require.NoError(t, f.Restart())
	return f
}

func (f *fixture) postJSON(path, body string) answer {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.url+path, strings.NewReader(body))
	require.NoError(f.t, err)
	r.Header.Set("Content-Type", "application/json")
	return f.send(r)
}

func TestControlFaults(t *testing.T) {
	f := startWithControl(t)
	a := f.post("/emulator/fault", "path", emulator.TokenPath, "status", "429", "code", "429", "retry_after", "3", "times", "1")
	require.Equal(t, http.StatusCreated, a.status, a.body)
	a, err := f.tryMint(t.Context())
	require.NoError(t, err)
	require.Equal(t, 429, a.status)
	require.Equal(t, "3", a.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, f.mintStatus())

	require.Equal(t, http.StatusCreated, f.postJSON("/emulator/fault", `{"drop":true}`).status)
	_, err = f.tryMint(t.Context())
	require.Error(t, err)
	require.Equal(t, http.StatusNoContent, f.send(f.request(http.MethodDelete, "/emulator/fault", nil)).status)
	require.Equal(t, http.StatusOK, f.mintStatus())
}

func TestControlRefuses(t *testing.T) {
	f := startWithControl(t)
	for _, pairs := range [][]string{{"sttaus", "500"}, {"status", "x"}, {"status", "99"}, {"hang", "maybe"}} {
		require.Equal(t, http.StatusBadRequest, f.post("/emulator/fault", pairs...).status, pairs)
	}
	for _, body := range []string{`{"sttaus":500}`, `{`, ``, `{"status":"x"}`} {
		require.Equal(t, http.StatusBadRequest, f.postJSON("/emulator/fault", body).status, body)
	}
	require.Equal(t, http.StatusOK, f.mintStatus())
}

func TestControlTokenLife(t *testing.T) {
	f := startWithControl(t)
	life := func() any {
		return f.post(emulator.TokenPath, clientCredentials("scope", "a")...).json(t)["expires_in"]
	}
	require.Equal(t, http.StatusNoContent, f.post("/emulator/token-life", "life", "90s").status)
	require.Equal(t, 90.0, life())
	require.Equal(t, http.StatusNoContent, f.postJSON("/emulator/token-life", `{"life":"1h"}`).status)
	require.Equal(t, 3600.0, life())
	for _, life := range []string{"", "90", "-1s", "0"} {
		require.Equal(t, http.StatusBadRequest, f.post("/emulator/token-life", "life", life).status, life)
	}
}

func TestControlCounters(t *testing.T) {
	f := startWithControl(t)
	f.mint("a")
	f.mint("a")
	want := map[string]any{emulator.TokenPath: map[string]any{"requests": 2.0, "peak": 1.0}}
	require.Equal(t, want, f.send(f.request(http.MethodGet, "/emulator/counters", nil)).json(t))
}

func TestControlIsOffUnlessEnabled(t *testing.T) {
	f := start(t, emulator.Options{})
	require.Equal(t, http.StatusNotFound, f.post("/emulator/fault", "drop", "true").status)
}

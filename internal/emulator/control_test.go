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

// control posts JSON the way curl -d does: as if it were a form.
func (f *fixture) control(path, body string) answer {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.url+"/emulator/"+path, strings.NewReader(body))
	require.NoError(f.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return f.send(r)
}

func TestControl(t *testing.T) {
	f := startWithControl(t)
	require.Equal(t, http.StatusCreated, f.control("fault", `{"path":"/ims/token/v3","code":"invalid_scope","times":1}`).status)
	a, err := f.tryMint(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]any{"error": "invalid_scope"}, a.json(t))
	counters := f.send(f.request(http.MethodGet, "/emulator/counters", nil))
	require.Equal(t, `{"/ims/token/v3":{"requests":1,"peak":1}}`+"\n", counters.body)
}

func TestControlTokenLife(t *testing.T) {
	f := startWithControl(t)
	life := func() any {
		return f.post(emulator.TokenPath, clientCredentials("scope", "a")...).json(t)["expires_in"]
	}
	a := f.control("token-life", `{"life":"90s"}`)
	require.Equal(t, http.StatusOK, a.status)
	require.Equal(t, `{"life":"90s"}`+"\n", a.body)
	require.Equal(t, 90.0, life())
	for _, body := range []string{`{}`, `{"life":"90"}`, `{"life":"-1s"}`, `{"life":"0"}`, `life=90s`, `{"live":"90s"}`} {
		require.Equal(t, http.StatusBadRequest, f.control("token-life", body).status, body)
	}
	require.Equal(t, 90.0, life())
}

func TestControlIsOffUnlessEnabled(t *testing.T) {
	f := start(t, emulator.Options{})
	require.Equal(t, http.StatusNotFound, f.control("fault", `{"drop":true}`).status)
}

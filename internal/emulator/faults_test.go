// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"context"
	"io"
	"net/http"
	"testing"

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

func TestFaultOfIMS(t *testing.T) {
	f := start(t, emulator.Options{})
	f.Inject(emulator.Fault{Times: 1, Status: 401, Code: "invalid_client", Description: "no"})
	f.Inject(emulator.Fault{Times: 1, Code: "invalid_scope"})
	for _, want := range []answer{
		{status: 401, body: `{"error":"invalid_client","error_description":"no"}`},
		{status: 400, body: `{"error":"invalid_scope"}`},
	} {
		a, err := f.tryMint(t.Context())
		require.NoError(t, err)
		require.Equal(t, want.status, a.status)
		require.Equal(t, want.body, a.body)
		require.NotEmpty(t, a.header.Get("X-Debug-Id"))
	}
	require.Equal(t, http.StatusOK, f.mintStatus())
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

func TestFaultAfter(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.mint("a")
	f.Inject(emulator.Fault{Path: emulator.InvalidatePath, After: true, Status: 503})
	require.Equal(t, 503, f.invalidate(token).status)
	require.False(t, f.Valid(token))
}

// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func (f *fixture) invalidate(token string, pairs ...string) answer {
	f.t.Helper()
	return f.post(emulator.InvalidatePath, append([]string{
		"token_type", "access_token", "token", token, "client_id", clientID, "client_secret", clientSecret,
	}, pairs...)...)
}

func TestInvalidate(t *testing.T) {
	f := start(t, emulator.Options{})
	token, other := f.mint("a"), f.mint("a")
	a := f.invalidate(token)
	require.Equal(t, http.StatusOK, a.status)
	require.Empty(t, a.body)
	require.NotEmpty(t, a.header.Get("X-Debug-Id"))
	require.False(t, f.Valid(token))
	require.True(t, f.Valid(other))

	require.Equal(t, http.StatusOK, f.invalidate(other, "client_secret", "").status, "the secret may be left out")
	require.False(t, f.Valid(other))
}

func TestInvalidateDeadToken(t *testing.T) {
	for _, refused := range []bool{false, true} {
		f := start(t, emulator.Options{RefuseDeadTokens: refused})
		invalidated, expired := f.mint("a"), f.mint("a")
		require.Equal(t, http.StatusOK, f.invalidate(invalidated).status)
		f.clock.Advance(24 * time.Hour)
		for _, token := range []string{invalidated, expired, "unknown", ""} {
			a := f.invalidate(token)
			if !refused {
				require.Equal(t, http.StatusOK, a.status)
				continue
			}
			require.Equal(t, http.StatusBadRequest, a.status)
			require.Equal(t, map[string]any{"error": "invalid_token"}, a.json(t))
		}
	}
}

func TestInvalidateRefused(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.mint("a")
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"wrong secret":     {[]string{"client_secret", "x"}, "invalid_client"},
		"unknown client":   {[]string{"client_id", "x", "client_secret", ""}, "invalid_client"},
		"another client's": {[]string{"client_id", webID, "client_secret", webSecret}, "invalid_token"},
		"no type":          {[]string{"token_type", ""}, "invalid_request"},
		"another type":     {[]string{"token_type", "refresh_token"}, "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.invalidate(token, c.pairs...)
			require.Equal(t, http.StatusBadRequest, a.status)
			require.Equal(t, c.want, a.json(t)["error"])
		})
	}
	require.True(t, f.Valid(token))
}

func TestInvalidateCascading(t *testing.T) {
	for _, cascades := range []bool{false, true} {
		f := start(t, emulator.Options{CascadeClient: cascades})
		token, other := f.mint("a"), f.mint("a")
		require.Equal(t, http.StatusOK, f.invalidate(token, "cascading", "all").status)
		require.False(t, f.Valid(token))
		require.Equal(t, !cascades, f.Valid(other))
	}
}

func TestInvalidateRefreshToken(t *testing.T) {
	f := start(t, emulator.Options{})
	mine, others := f.authorize(), f.authorize()
	a := f.post(emulator.InvalidatePath, "token_type", "refresh_token", "token", mine["refresh_token"].(string), "client_id", webID)
	require.Equal(t, http.StatusOK, a.status)
	require.False(t, f.Valid(mine["refresh_token"].(string)))
	require.False(t, f.Valid(mine["access_token"].(string)), "its access tokens die with it")
	require.True(t, f.Valid(others["access_token"].(string)))
}

func TestRevoke(t *testing.T) {
	f := start(t, emulator.Options{})
	got := f.authorize()
	access, refresh := got["access_token"].(string), got["refresh_token"].(string)

	require.Equal(t, http.StatusBadRequest, f.post(emulator.RevokePath, "token", access).status, "needs the client's credentials")
	require.Equal(t, http.StatusBadRequest, f.postAsWeb(emulator.RevokePath).status)
	require.True(t, f.Valid(access))

	a := f.postAsWeb(emulator.RevokePath, "token", access)
	require.Equal(t, http.StatusOK, a.status)
	require.Empty(t, a.body)
	require.False(t, f.Valid(access))
	require.True(t, f.Valid(refresh))
	for range 2 {
		require.Equal(t, http.StatusOK, f.postAsWeb(emulator.RevokePath, "token", refresh).status)
		require.False(t, f.Valid(refresh))
	}
}

func TestValidate(t *testing.T) {
	f := start(t, emulator.Options{})
	living, dead := f.mint("a,b"), f.mint("a")
	require.Equal(t, http.StatusOK, f.invalidate(dead).status)
	validate := func(pairs ...string) map[string]any {
		return f.post(emulator.ValidatePath, append([]string{"type", "access_token", "client_id", clientID}, pairs...)...).json(t)
	}

	got := validate("token", living)
	require.Equal(t, true, got["valid"])
	claims := got["token"].(map[string]any)
	_, own := f.verify(living)
	delete(own, "scope")
	require.Equal(t, own, claims)

	for name, pairs := range map[string][]string{
		"invalidated":  {"token", dead},
		"unknown":      {"token", "x"},
		"missing":      {},
		"another type": {"token", living, "type", "refresh_token"},
	} {
		got := validate(pairs...)
		require.Equal(t, false, got["valid"], name)
		require.NotEmpty(t, got["reason"], name)
	}

	r := f.request(http.MethodGet, emulator.ValidatePath+"?type=access_token&client_id="+clientID, nil)
	r.Header.Set("Authorization", "Bearer "+living)
	require.Equal(t, true, f.send(r).json(t)["valid"])
	require.Equal(t, http.StatusBadRequest, f.post(emulator.ValidatePath, "token", living).status)
	f.clock.Advance(24 * time.Hour)
	require.Equal(t, "expired", validate("token", living)["reason"])
}

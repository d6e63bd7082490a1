// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

var secretsPath = emulator.SecretsPath("23294", "436084")

// console calls the console's API with a token of the client.
func (f *fixture) console(token, method, path string) answer {
	f.t.Helper()
	r := f.request(method, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-Api-Key", clientID)
	return f.send(r)
}

// listed returns the secrets as the API lists them.
func (f *fixture) listed(token string) []map[string]any {
	f.t.Helper()
	a := f.console(token, http.MethodGet, secretsPath)
	require.Equal(f.t, http.StatusOK, a.status, a.body)
	got := a.json(f.t)
	require.Equal(f.t, clientID, got["client_id"])
	var list []map[string]any
	for _, secret := range got["client_secrets"].([]any) {
		list = append(list, secret.(map[string]any))
	}
	return list
}

func TestListSecrets(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.mint(managing)
	f.clock.Advance(time.Hour)
	added, err := f.AddSecret(clientID)
	require.NoError(t, err)

	list := f.listed(token)
	require.Len(t, list, 2)
	first := f.SecretsOf(clientID)[0]
	require.Equal(t, map[string]any{
		"uuid": first.UUID, "expires_at": "PERMANENT", "expires_at_str": "PERMANENT",
		"created_at": "1772600767000", "created_at_str": "Wed, Mar 4 2026 05:06:07.000 UTC",
		"secret_usages": []any{map[string]any{"last_used_at": "1772600767000", "grant_type": "client_credentials"}},
	}, list[0])
	require.Equal(t, added.UUID, list[1]["uuid"])
	require.Nil(t, list[1]["secret_usages"])
}

func TestAddAndRemoveSecret(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.mint(managing)
	a := f.console(token, http.MethodPost, secretsPath)
	require.Equal(t, http.StatusCreated, a.status, a.body)
	require.NotEmpty(t, a.header.Get("X-Request-Id"))
	added := a.json(t)
	require.Regexp(t, `^p8e-[a-z0-9]{32}$`, added["client_secret"])
	require.Equal(t, "PERMANENT", added["expires_at"])
	mint := func(secret string) int {
		return f.post(emulator.TokenPath, clientCredentials("client_secret", secret, "scope", "a")...).status
	}
	require.Equal(t, http.StatusOK, mint(added["client_secret"].(string)))

	require.Equal(t, http.StatusForbidden, f.console(token, http.MethodPost, secretsPath).status, "two are the limit")
	_, err := f.AddSecret(clientID)
	require.Error(t, err)

	a = f.console(token, http.MethodDelete, secretsPath+"/"+f.SecretsOf(clientID)[0].UUID+"/")
	require.Equal(t, http.StatusNoContent, a.status, a.body)
	require.Equal(t, http.StatusBadRequest, mint(clientSecret))
	require.True(t, f.Valid(token), "the tokens outlive the secret")
	require.Equal(t, added["uuid"], f.listed(token)[0]["uuid"])
	require.Equal(t, http.StatusNotFound, f.console(token, http.MethodDelete, secretsPath+"/x").status)
}

func TestConsoleVariants(t *testing.T) {
	f := start(t, emulator.Options{ConsoleOK: true, BareNewSecret: true, SecretLimitStatus: http.StatusBadRequest})
	token := f.mint(managing)
	a := f.console(token, http.MethodPost, secretsPath)
	require.Equal(t, http.StatusOK, a.status)
	secret := f.SecretsOf(clientID)[1]
	require.Equal(t, map[string]any{
		"client_secret": secret.Value, "expires_at": "PERMANENT", "expires_at_str": "PERMANENT",
	}, a.json(t))
	require.Equal(t, http.StatusBadRequest, f.console(token, http.MethodPost, secretsPath).status)
	require.Equal(t, http.StatusOK, f.console(token, http.MethodDelete, secretsPath+"/"+secret.UUID).status)
}

func TestSecretDelay(t *testing.T) {
	f := start(t, emulator.Options{SecretDelay: time.Hour})
	f.Configure(func(o *emulator.Options) { o.SecretDelay = time.Minute })
	secret, err := f.AddSecret(clientID)
	require.NoError(t, err)
	mint := func() answer {
		return f.post(emulator.TokenPath, clientCredentials("client_secret", secret.Value, "scope", "a")...)
	}
	f.clock.Advance(time.Minute - time.Second)
	require.Equal(t, "invalid client_secret parameter", mint().json(t)["error_description"])
	require.Zero(t, f.SecretsOf(clientID)[1].LastUsedAt)
	f.clock.Advance(time.Second)
	require.Equal(t, http.StatusOK, mint().status)
	require.Equal(t, f.clock.Now(), f.SecretsOf(clientID)[1].LastUsedAt)
}

func TestSecretsOfNobody(t *testing.T) {
	f := start(t, emulator.Options{})
	require.Empty(t, f.SecretsOf("x"))
	_, err := f.AddSecret("x")
	require.Error(t, err)
	require.Error(t, f.RemoveSecret("x", "y"))
	require.Error(t, f.RemoveSecret(clientID, "y"))
	require.NoError(t, f.RemoveSecret(clientID, f.SecretsOf(clientID)[0].UUID))
}

func TestConsoleRefused(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.mint(managing)
	for name, c := range map[string]struct {
		token, key, path string
		status           int
		code             float64
	}{
		"no token":      {"", clientID, secretsPath, http.StatusUnauthorized, 401013},
		"unknown token": {"x", clientID, secretsPath, http.StatusUnauthorized, 401013},
		"wrong api key": {token, "x", secretsPath, http.StatusForbidden, 403003},
		"token without scope": {
			f.mint("openid,read_client_secret"), clientID, secretsPath, http.StatusForbidden, 403000,
		},
		"other organisation": {token, clientID, emulator.SecretsPath("1", "436084"), http.StatusForbidden, 403000},
		"other credential":   {token, clientID, emulator.SecretsPath("23294", "1"), http.StatusNotFound, 404000},
	} {
		t.Run(name, func(t *testing.T) {
			for method, path := range map[string]string{"GET": c.path, "POST": c.path, "DELETE": c.path + "/x"} {
				r := f.request(method, path, nil)
				r.Header.Set("Authorization", "Bearer "+c.token)
				r.Header.Set("X-Api-Key", c.key)
				a := f.send(r)
				require.Equal(t, c.status, a.status)
				require.NotEmpty(t, a.header.Get("X-Request-Id"))
				got := a.json(t)
				require.Equal(t, c.code, got["error_code"])
				require.Equal(t, float64(c.status), got["status"])
				require.NotEmpty(t, got["title"])
				require.NotEmpty(t, got["message"])
			}
		})
	}
	require.Len(t, f.SecretsOf(clientID), 1)
}

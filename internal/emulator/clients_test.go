// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// These tests send what Adobe's own clients send, in shape: the paths and the
// places of the parameters are theirs.

// claims reads a token as aio-lib-ims does, which decides by its type what to
// do with it.
func (f *fixture) claims(token any) map[string]any {
	f.t.Helper()
	segments := strings.Split(token.(string), ".")
	require.Len(f.t, segments, 3)
	payload, err := base64.RawURLEncoding.DecodeString(segments[1])
	require.NoError(f.t, err)
	var claims map[string]any
	require.NoError(f.t, json.Unmarshal(payload, &claims))
	return claims
}

// signIn consents at a URL of that path and returns the code.
func (f *fixture) signIn(path string, pairs ...string) string {
	f.t.Helper()
	redirect, err := f.Allow(f.url + path + "?" + form(append([]string{"client_id", webID}, pairs...)...).Encode())
	require.NoError(f.t, err)
	return f.query(redirect).Get("code")
}

// granted is the body of a good answer.
func (f *fixture) granted(a answer) map[string]any {
	f.t.Helper()
	require.Equal(f.t, http.StatusOK, a.status, a.body)
	got := a.json(f.t)
	require.True(f.t, f.Valid(got["access_token"].(string)))
	return got
}

// imscli is a thin layer over ims-go.
func TestIMSGo(t *testing.T) {
	f := start(t, emulator.Options{})
	send := func(path, client, header string, pairs ...string) answer {
		r := f.request(http.MethodPost, path, form(pairs...))
		if header != "" {
			r.Header.Set(header, client)
		}
		return f.send(r)
	}
	service := f.granted(send("/ims/token/v2", clientID, "", "grant_type", "client_credentials",
		"client_id", clientID, "client_secret", clientSecret, "scope", "openid,AdobeID", "org_id", orgID))
	require.Equal(t, 86400.0, service["expires_in"])

	code := f.signIn("/ims/authorize/v1", "scope", "openid,offline_access", "response_type", "code",
		"redirect_uri", redirectURI, "state", "s")
	person := f.granted(send("/ims/token/v2", webID, "", "grant_type", "authorization_code", "code", code,
		"client_id", webID, "client_secret", webSecret, "scope", "openid,offline_access"))
	require.Equal(t, emulator.UserID("person@example.com"), person["userId"])
	require.Equal(t, 86400.0, person["expires_in"])

	refreshed := f.granted(send("/ims/token/v2", webID, "", "grant_type", "refresh_token",
		"refresh_token", person["refresh_token"].(string), "client_id", webID, "client_secret", webSecret, "scope", "openid"))
	require.NotEqual(t, person["refresh_token"], refreshed["refresh_token"])

	const header = "X-IMS-ClientId"
	token := service["access_token"].(string)
	validation := []string{"type", "access_token", "client_id", clientID, "token", token}
	require.Equal(t, true, send(emulator.ValidatePath, clientID, header, validation...).json(t)["valid"])
	require.Equal(t, http.StatusOK, send(emulator.InvalidatePath, clientID, header, "token_type", "access_token",
		"token", token, "client_id", clientID, "client_secret", "").status)
	require.False(t, f.Valid(token))
	require.Equal(t, false, send(emulator.ValidatePath, clientID, header, validation...).json(t)["valid"])
}

func TestAioLibIMS(t *testing.T) {
	f := start(t, emulator.Options{})
	code := f.signIn("/ims/authorize/v1", "response_type", "code", "scope", "openid offline_access",
		"redirect_uri", redirectURI, "state", "s")
	require.Equal(t, "authorization_code", f.claims(code)["type"])
	first := f.granted(f.multipart("/ims/token/v1", "", "client_id", webID, "client_secret", webSecret,
		"scope", "openid offline_access", "grant_type", "authorization_code", "code", code))
	require.Equal(t, 86_400_000.0, first["expires_in"], "v1 has milliseconds")

	refresh := first["refresh_token"].(string)
	require.Equal(t, "refresh_token", f.claims(refresh)["type"])
	second := f.granted(f.multipart("/ims/token/v1", "", "client_id", webID, "client_secret", webSecret,
		"scope", "openid offline_access", "grant_type", "refresh_token", "refresh_token", refresh))

	token := second["access_token"].(string)
	claims := f.claims(token)
	require.Equal(t, "ims-na1", claims["as"])
	validated := f.multipart(emulator.ValidatePath, token, "type", claims["type"].(string), "client_id", claims["client_id"].(string))
	require.Equal(t, true, validated.json(t)["valid"])

	a := f.multipart(emulator.InvalidatePath, "", "token_type", "access_token", "token", token, "cascading", "all",
		"client_id", webID, "client_secret", webSecret)
	require.Equal(t, http.StatusOK, a.status)
	require.Empty(t, a.body)
	validated = f.multipart(emulator.ValidatePath, token, "type", "access_token", "client_id", webID)
	require.Equal(t, map[string]any{"valid": false, "reason": "revoked"}, validated.json(t))

	f.granted(f.multipart("/ims/token/v2", "", "grant_type", "client_credentials", "client_id", clientID,
		"client_secret", clientSecret, "org_id", orgID, "scope", "openid,AdobeID"))
}

func TestAioLibCoreAuth(t *testing.T) {
	f := start(t, emulator.Options{})
	parameters := []string{"grant_type", "client_credentials", "client_id", clientID, "client_secret", clientSecret, "org_id", orgID}
	got := f.granted(f.post("/ims/token/v2", append(parameters, "scope", "openid,AdobeID")...))
	require.Equal(t, 86400.0, got["expires_in"])
	require.Equal(t, "invalid_scope", f.post("/ims/token/v2", parameters...).json(t)["error"], "as it has it without scopes")
}

// asset-compute-client tries one secret after the other, and goes on only upon
// the one answer that it knows.
func TestAssetComputeClient(t *testing.T) {
	f := start(t, emulator.Options{})
	mint := func(secret string) answer {
		return f.multipart("/ims/token/v4?client_id="+clientID, "",
			"client_secret", secret, "grant_type", "client_credentials", "scope", "openid,AdobeID")
	}
	refused := mint("another")
	require.Equal(t, http.StatusBadRequest, refused.status)
	require.Equal(t, map[string]any{"error": "invalid_client", "error_description": "invalid client_secret parameter"}, refused.json(t))
	require.Equal(t, 86400.0, f.granted(mint(clientSecret))["expires_in"])
}

// umapi-client.py ends the path with a slash.
func TestUMAPIClient(t *testing.T) {
	f := start(t, emulator.Options{TokenLife: 90 * time.Second})
	got := f.granted(f.post("/ims/token/v2/", "client_id", clientID, "client_secret", clientSecret,
		"grant_type", "client_credentials", "scope", "openid,AdobeID,user_management_sdk"))
	require.Equal(t, 90.0, got["expires_in"])
}

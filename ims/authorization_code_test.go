// SPDX-License-Identifier: MPL-2.0

package ims_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const redirectURI = "https://vault.example/v1/adobeims/callback"

// webSecret has none of the characters that RFC 6749 §2.3.1 wants encoded in a
// Basic header. Adobe documents no encoding, and its secrets have none either.
const webSecret = "p8e-web_secret"

var webApp = ims.Credential{ClientID: "web", ClientSecret: webSecret}

// consent returns the code of a person who consents.
func consent(t *testing.T, server *emulator.Server, client *ims.Client, verifier ims.Secret) string {
	t.Helper()
	server.AddClient(emulator.Client{ID: "web", CredentialType: emulator.OAuthWebApp, Secrets: []string{webSecret}, RedirectURIs: []string{redirectURI}})
	redirect, err := server.Allow(client.AuthorizeURL("web", redirectURI, []string{"openid", "offline_access"}, "state", verifier))
	require.NoError(t, err)
	u, err := url.Parse(redirect)
	require.NoError(t, err)
	require.Equal(t, "state", u.Query().Get("state"))
	return u.Query().Get("code")
}

func TestAuthorizationCode(t *testing.T) {
	server, client, clock := start(t)
	verifier := ims.NewVerifier()
	code := consent(t, server, client, verifier)
	grant, err := client.Exchange(t.Context(), webApp, redirectURI, code, verifier)
	require.NoError(t, err)
	require.True(t, server.Valid(string(grant.AccessToken)))
	require.True(t, server.Valid(string(grant.RefreshToken)))
	require.Equal(t, clock.Now().Add(ims.DefaultRefreshLife), grant.RefreshExpires)
	require.Equal(t, clock.Now().Add(24*time.Hour), grant.Expires)

	next, err := client.Refresh(t.Context(), webApp, grant.RefreshToken)
	require.NoError(t, err)
	require.NotEqual(t, grant.RefreshToken, next.RefreshToken)
	require.False(t, server.Valid(string(grant.RefreshToken)))

	require.NoError(t, client.Revoke(t.Context(), webApp, next.RefreshToken))
	require.False(t, server.Valid(string(next.RefreshToken)))
	revoke := server.Requests(emulator.RevokePath)[0]
	require.Contains(t, revoke.Header.Get("Authorization"), "Basic ")
	require.False(t, revoke.Form.Has("client_secret"))
}

func TestRefreshExpiryFollowsTheClaims(t *testing.T) {
	server, client, clock := start(t)
	server.SetRefreshTokenLife(time.Hour)
	verifier := ims.NewVerifier()
	grant, err := client.Exchange(t.Context(), webApp, redirectURI, consent(t, server, client, verifier), verifier)
	require.NoError(t, err)
	require.Equal(t, clock.Now().Add(time.Hour), grant.RefreshExpires)

	server.AlterToken(merge(map[string]any{"refresh_token": "opaque"}))
	grant, err = client.Refresh(t.Context(), webApp, grant.RefreshToken)
	require.NoError(t, err)
	require.Equal(t, clock.Now().Add(ims.DefaultRefreshLife), grant.RefreshExpires)
}

func TestAuthorizationCodeErrors(t *testing.T) {
	server, client, _ := start(t)
	verifier := ims.NewVerifier()
	code := consent(t, server, client, verifier)
	var failed *ims.Error

	_, err := client.Exchange(t.Context(), webApp, redirectURI, code, ims.NewVerifier())
	require.ErrorAs(t, err, &failed, "a verifier that is not the challenge's")
	_, err = client.Exchange(t.Context(), webApp, redirectURI, "made up", verifier)
	require.ErrorAs(t, err, &failed)
	require.Equal(t, ims.Refused, failed.Kind)
	_, err = client.Refresh(t.Context(), webApp, "made up")
	require.ErrorAs(t, err, &failed)
	require.Equal(t, ims.Refused, failed.Kind)

	server.Inject(emulator.Fault{Status: 400, Code: "access_denied", Description: "token made-up-token of " + string(verifier)})
	_, err = client.Refresh(t.Context(), webApp, "made-up-token")
	require.NotContains(t, err.Error(), "made-up-token")
	require.ErrorAs(t, client.Revoke(t.Context(), webApp, "made-up-token"), &failed)
	require.NotContains(t, failed.Error(), "made-up-token")

	server.ClearFaults()
	server.AlterToken(merge(map[string]any{"expires_in": 0}))
	_, err = client.Exchange(t.Context(), webApp, redirectURI, consent(t, server, client, verifier), verifier)
	require.ErrorAs(t, err, &failed)
	require.Equal(t, ims.Malformed, failed.Kind)
}

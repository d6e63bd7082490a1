// SPDX-License-Identifier: MPL-2.0

package ims_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const (
	redirectURI = "https://vault.example/v1/adobeims/callback"

	// webSecret has the characters that RFC 6749 §2.3.1 wants encoded in a
	// Basic header. Adobe documents no encoding.
	webSecret = "p8e-web+/=&% secret"
)

var webApp = ims.Credential{ClientID: "web", ClientSecret: webSecret}

// consent returns the code of a person who consents.
func consent(t *testing.T, server *emulator.Server, client *ims.Client, secret string, verifier ims.Secret) ims.Secret {
	t.Helper()
	server.AddClient(emulator.Client{ID: "web", CredentialType: emulator.OAuthWebApp, Secrets: []string{secret}, RedirectURIs: []string{redirectURI}})
	redirect, err := server.Allow(client.AuthorizeURL("web", redirectURI, []string{"openid", "offline_access"}, "state", verifier))
	require.NoError(t, err)
	u, err := url.Parse(redirect)
	require.NoError(t, err)
	require.Equal(t, "state", u.Query().Get("state"))
	return ims.Secret(u.Query().Get("code"))
}

func TestAuthorizationCode(t *testing.T) {
	server, client, clock := start(t)
	verifier := ims.NewVerifier()
	plain := ims.Credential{ClientID: "web", ClientSecret: "p8e-web_secret"}
	grant, err := client.Exchange(t.Context(), plain, redirectURI, consent(t, server, client, "p8e-web_secret", verifier), verifier)
	require.NoError(t, err)
	require.True(t, server.Valid(string(grant.AccessToken)))
	require.True(t, server.Valid(string(grant.RefreshToken)))
	require.Equal(t, clock.Now().Add(ims.DefaultRefreshLife), grant.RefreshExpires)
	require.Equal(t, clock.Now().Add(24*time.Hour), grant.Expires)
	require.Equal(t, []string{"openid", "offline_access"}, grant.Scopes)
	require.Regexp(t, `@AdobeID$`, grant.UserID)

	next, err := client.Refresh(t.Context(), plain, grant.RefreshToken)
	require.NoError(t, err)
	require.NotEqual(t, grant.RefreshToken, next.RefreshToken)
	require.False(t, server.Valid(string(grant.RefreshToken)))
	require.Equal(t, grant.UserID, next.UserID)

	for _, r := range server.Requests(emulator.TokenPath) {
		require.Contains(t, r.Header.Get("Authorization"), "Basic ")
		require.False(t, r.Form.Has("client_secret"))
	}
	for range 2 { // the second time it is dead already
		require.NoError(t, client.Revoke(t.Context(), plain, next.RefreshToken))
		require.False(t, server.Valid(string(next.RefreshToken)))
	}
	revoke := server.Requests(emulator.RevokePath)[0]
	require.Contains(t, revoke.Header.Get("Authorization"), "Basic ")
	require.False(t, revoke.Form.Has("client_secret"))
}

// A server that compares the secret in a Basic header undecoded refuses the
// client. It is then asked in the form, and from then on at first.
func TestSecretInTheForm(t *testing.T) {
	server, client, _ := startWith(t, emulator.Options{RawBasic: true})
	verifier := ims.NewVerifier()
	grant, err := client.Exchange(t.Context(), webApp, redirectURI, consent(t, server, client, webSecret, verifier), verifier)
	require.NoError(t, err)
	grant, err = client.Refresh(t.Context(), webApp, grant.RefreshToken)
	require.NoError(t, err)
	require.NoError(t, client.Revoke(t.Context(), webApp, grant.RefreshToken))
	require.False(t, server.Valid(string(grant.RefreshToken)))
	var styles []string
	for _, r := range append(server.Requests(emulator.TokenPath), server.Requests(emulator.RevokePath)...) {
		switch {
		case r.Header.Get("Authorization") != "":
			require.False(t, r.Form.Has("client_secret"))
			styles = append(styles, "header")
		case r.Form.Get("client_secret") == webSecret:
			styles = append(styles, "form")
		}
	}
	require.Equal(t, []string{"header", "form", "form", "form"}, styles)
}

func TestClientRefusedInBothStyles(t *testing.T) {
	const granted = `{"access_token":"made-up","expires_in":300,"refresh_token":"next"}`
	dead := reply{400, "-", "", `{"error":"access_denied"}`}
	for name, test := range map[string]struct {
		answers []reply
		again   int // how many requests the next refresh makes
		kind    ims.Kind
		status  int
	}{
		"wrong secret":         {[]reply{wrongSecret, wrongClient}, 2, ims.Refused, 400},
		"then unavailable":     {[]reply{wrongSecret, {503, "-", "", ""}}, 1, ims.Unavailable, 503},
		"then a page":          {[]reply{wrongSecret, {403, "-", "", page}}, 1, ims.Malformed, 403},
		"then the token":       {[]reply{wrongSecret, dead}, 1, ims.Refused, 400},
		"then a token at last": {[]reply{wrongSecret, {200, "-", "", granted}}, 1, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := answering(t, map[string][]reply{emulator.TokenPath: test.answers})
			grant, err := d.Refresh(t.Context(), webApp, "made-up-refresh-token")
			require.Len(t, d.asked, 2)
			require.NotEmpty(t, d.asked[0].header.Get("Authorization"))
			require.Empty(t, d.asked[1].header.Get("Authorization"))
			require.Equal(t, webSecret, d.asked[1].form.Get("client_secret"))
			if test.kind == "" {
				require.NoError(t, err)
				require.Equal(t, ims.Secret("next"), grant.RefreshToken)
			} else {
				require.Nil(t, grant)
				require.Equal(t, test.status, failure(t, err, test.kind).Status)
				require.Equal(t, name == "wrong secret", ims.RefusedWith(err, "invalid_client"))
				require.False(t, ims.ClientUnknown(err), "what was asked first counts")
			}
			d.answers[emulator.TokenPath] = []reply{wrongSecret}
			if test.again == 1 {
				d.answers[emulator.TokenPath] = []reply{dead}
			}
			before := len(d.asked)
			_, _ = d.Refresh(t.Context(), webApp, "made-up-refresh-token")
			require.Len(t, d.asked, before+test.again)
			require.Equal(t, test.kind == "", d.asked[before].form.Has("client_secret"), "what worked comes first")
		})
	}
}

func TestRefreshExpiryFollowsTheClaims(t *testing.T) {
	server, client, clock := start(t)
	server.Configure(func(o *emulator.Options) { o.RefreshTokenLife = time.Hour })
	verifier := ims.NewVerifier()
	plain := ims.Credential{ClientID: "web", ClientSecret: "p8e-web_secret"}
	grant, err := client.Exchange(t.Context(), plain, redirectURI, consent(t, server, client, "p8e-web_secret", verifier), verifier)
	require.NoError(t, err)
	require.Equal(t, clock.Now().Add(time.Hour), grant.RefreshExpires)

	server.AlterToken(merge(map[string]any{"refresh_token": "opaque"}))
	grant, err = client.Refresh(t.Context(), plain, grant.RefreshToken)
	require.NoError(t, err)
	require.Equal(t, clock.Now().Add(ims.DefaultRefreshLife), grant.RefreshExpires)
}

// The successor of a refresh token comes out beside the error: no other will be
// had.
func TestSuccessorBesideAnUnusableToken(t *testing.T) {
	for name, body := range map[string]string{
		"no life":         `{"access_token":"made-up","refresh_token":"next"}`,
		"a life of words": `{"access_token":"made-up","expires_in":"soon","refresh_token":"next"}`,
		"no token":        `{"refresh_token":"next"}`,
		"an empty token":  `{"access_token":"","expires_in":300,"refresh_token":"next"}`,
		"a clock far off": `{"access_token":"e30.eyJjcmVhdGVkX2F0IjoiMTAwMCIsImV4cGlyZXNfaW4iOiIxMDAwIn0.e30","expires_in":300,"refresh_token":"next"}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := answering(t, only(emulator.TokenPath, reply{200, "-", "", body}))
			refreshed, err := d.Refresh(t.Context(), webApp, "made-up-refresh-token")
			_ = failure(t, err, ims.Malformed)
			require.NotContains(t, err.Error(), "next")
			exchanged, err := d.Exchange(t.Context(), webApp, redirectURI, "made-up-code", "made-up-verifier")
			_ = failure(t, err, ims.Malformed)
			for _, grant := range []*ims.Grant{refreshed, exchanged} {
				require.Equal(t, ims.Secret("next"), grant.RefreshToken)
				require.Equal(t, began.Add(ims.DefaultRefreshLife), grant.RefreshExpires)
				require.Zero(t, grant.Expires)
			}
		})
	}
	d := answering(t, only(emulator.TokenPath, reply{200, "-", "", `{}`}))
	grant, err := d.Refresh(t.Context(), webApp, "made-up-refresh-token")
	_ = failure(t, err, ims.Malformed)
	require.Nil(t, grant)
}

func TestAuthorizationCodeErrors(t *testing.T) {
	server, client, _ := start(t)
	verifier := ims.NewVerifier()
	plain := ims.Credential{ClientID: "web", ClientSecret: "p8e-web_secret"}
	code := consent(t, server, client, "p8e-web_secret", verifier)
	_, err := client.Exchange(t.Context(), plain, redirectURI, code, ims.NewVerifier())
	_ = failure(t, err, ims.Refused) // a verifier that is not the challenge's
	_, err = client.Exchange(t.Context(), plain, redirectURI, "made up", verifier)
	require.Equal(t, "access_denied", failure(t, err, ims.Refused).Code)
	_, err = client.Refresh(t.Context(), plain, "made up")
	_ = failure(t, err, ims.Refused)
}

// What IMS tells of a token is shown and logged: no long part of a token or code of
// the exchange is let through. A token that is no JWT may have a scope in it.
func TestGrantedWordsRepeatNoToken(t *testing.T) {
	const (
		used = "refresh-openid-0123456789abcdefghijklmnopqrstuvwxyz"
		next = "another-openid-zyxwvutsrqponmlkjihgfedcba9876543210"
		code = ims.Secret("code-0123456789abcdefghijklmnopqrstuvwxyz")
	)
	verifier := ims.NewVerifier()
	answer := func(word string) map[string][]reply {
		return map[string][]reply{emulator.TokenPath: {{200, "-", "", fmt.Sprintf(
			`{"access_token":"made-up","expires_in":300,"refresh_token":%q,"scope":"openid,%s","user_id":%q}`, next, word, word)}}}
	}
	for _, word := range []string{used, next, used[4:44], "x" + next[10:40]} {
		grant, err := answering(t, answer(word)).Refresh(t.Context(), webApp, used)
		require.NoError(t, err)
		require.Equal(t, []string{"openid"}, grant.Scopes, word)
		require.Empty(t, grant.UserID, word)
	}
	for _, word := range []string{string(code), string(code)[2:30], string(verifier)} {
		grant, err := answering(t, answer(word)).Exchange(t.Context(), webApp, redirectURI, code, verifier)
		require.NoError(t, err)
		require.Equal(t, []string{"openid"}, grant.Scopes)
		require.Empty(t, grant.UserID)
	}
}

// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const verifier = "a-verifier-of-forty-three-characters-or-more"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorizeURL asks for consent with PKCE; pairs change the parameters.
func (f *fixture) authorizeURL(pairs ...string) string {
	q := form(append([]string{
		"client_id", webID, "redirect_uri", redirectURI, "scope", "openid,offline_access", "response_type", "code", "state", "s & t",
		"code_challenge", challenge(), "code_challenge_method", "S256",
	}, pairs...)...)
	return f.url + emulator.AuthorizePath + "?" + q.Encode()
}

// query returns the parameters of a redirect to redirectURI.
func (f *fixture) query(redirect string) url.Values {
	f.t.Helper()
	u, err := url.Parse(redirect)
	require.NoError(f.t, err)
	require.Equal(f.t, redirectURI, u.Scheme+"://"+u.Host+u.Path)
	return u.Query()
}

// code returns the code of a person who consents.
func (f *fixture) code(pairs ...string) string {
	f.t.Helper()
	redirect, err := f.Allow(f.authorizeURL(pairs...))
	require.NoError(f.t, err)
	return f.query(redirect).Get("code")
}

// authorize returns the answer to the exchange of a code.
func (f *fixture) authorize() map[string]any {
	f.t.Helper()
	a := f.postAsWeb(emulator.TokenPath, "grant_type", "authorization_code", "code", f.code(), "code_verifier", verifier)
	require.Equal(f.t, http.StatusOK, a.status, a.body)
	return a.json(f.t)
}

func (f *fixture) refresh(token any) answer {
	f.t.Helper()
	return f.postAsWeb(emulator.TokenPath, "grant_type", "refresh_token", "refresh_token", token.(string))
}

func (f *fixture) get(address string) answer {
	f.t.Helper()
	return f.send(f.request(http.MethodGet, strings.TrimPrefix(address, f.url), nil))
}

func TestSignInPage(t *testing.T) {
	f := start(t, emulator.Options{})
	page := f.get(f.authorizeURL("scope", "openid email", "decision", "neither"))
	require.Equal(t, http.StatusOK, page.status)
	require.Equal(t, "text/html; charset=utf-8", page.header.Get("Content-Type"))
	require.NotEmpty(t, page.header.Get("X-Debug-Id"))
	for _, want := range []string{
		`<html lang="en">`, `<label for="email">`, `id="email"`, `name="decision" value="allow"`, `name="decision" value="deny"`,
		`name="state" value="s &amp; t"`, `<code>openid</code>`, `<code>email</code>`,
	} {
		require.Contains(t, page.body, want)
	}
	require.NotContains(t, page.body, "neither", "the decision is the person's")
}

func TestDecision(t *testing.T) {
	f := start(t, emulator.Options{})
	u, err := url.Parse(f.authorizeURL())
	require.NoError(t, err)
	decide := func(decision string) url.Values {
		a := f.post(emulator.AuthorizePath+"?"+u.RawQuery, "decision", decision, "email", "ann@example.com")
		require.Equal(t, http.StatusFound, a.status)
		return f.query(a.header.Get("Location"))
	}
	allowed := decide("allow")
	require.NotEmpty(t, allowed.Get("code"))
	require.Equal(t, "s & t", allowed.Get("state"))
	require.Equal(t, url.Values{"error": {"access_denied"}, "state": {"s & t"}}, decide("deny"))

	denied, err := f.Deny(u.String())
	require.NoError(t, err)
	require.Equal(t, url.Values{"error": {"access_denied"}, "state": {"s & t"}}, f.query(denied))
}

func TestAuthorizeRefused(t *testing.T) {
	f := start(t, emulator.Options{})
	for name, c := range map[string]struct {
		pairs  []string
		status int
		err    string // told to the application
	}{
		"unknown client":      {pairs: []string{"client_id", "x"}, status: http.StatusBadRequest},
		"server-to-server":    {pairs: []string{"client_id", clientID}, status: http.StatusBadRequest},
		"long state":          {pairs: []string{"state", strings.Repeat("s", 4097)}, status: http.StatusBadRequest},
		"no scope":            {pairs: []string{"scope", ""}, status: http.StatusFound, err: "invalid_scope"},
		"scope not allowed":   {pairs: []string{"scope", "openid,more"}, status: http.StatusFound, err: "invalid_scope"},
		"other response type": {pairs: []string{"response_type", "token"}, status: http.StatusFound, err: "unsupported_response_type"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.get(f.authorizeURL(c.pairs...))
			require.Equal(t, c.status, a.status)
			redirect, err := f.Allow(f.authorizeURL(c.pairs...))
			decided := f.post(strings.TrimPrefix(f.authorizeURL(c.pairs...), f.url), "decision", "allow")
			require.Equal(t, c.status, decided.status)
			if c.err == "" {
				require.Contains(t, a.body, `role="alert"`)
				require.Error(t, err)
				return
			}
			require.Equal(t, c.err, f.query(a.header.Get("Location")).Get("error"))
			require.NoError(t, err)
			require.Equal(t, c.err, f.query(redirect).Get("error"))
		})
	}
}

func TestDefaultRedirectURI(t *testing.T) {
	f := start(t, emulator.Options{})
	require.NotEmpty(t, f.code("redirect_uri", "https://elsewhere.example.com/"))
	require.NotEmpty(t, f.code("redirect_uri", ""))
}

func TestAuthorizationCode(t *testing.T) {
	f := start(t, emulator.Options{})
	code := f.code("nonce", "n")
	exchange := func() answer {
		return f.postAsWeb(emulator.TokenPath, "grant_type", "authorization_code", "code", code, "code_verifier", verifier)
	}
	a := exchange()
	require.Equal(t, http.StatusOK, a.status, a.body)
	got := a.json(t)
	require.Equal(t, 86400.0, got["expires_in"])

	_, access := f.verify(got["access_token"].(string))
	header, refresh := f.verify(got["refresh_token"].(string))
	_, id := f.verify(got["id_token"].(string))
	require.Equal(t, "rt", header["itt"])
	require.Equal(t, "refresh_token", refresh["type"])
	require.Equal(t, "1209600000", refresh["expires_in"])
	require.Equal(t, refresh["id"], access["rtid"])
	require.Equal(t, "n", id["nonce"])
	require.Equal(t, webID, id["aud"])
	require.Equal(t, got["sub"], access["user_id"])

	again := exchange()
	require.Equal(t, http.StatusBadRequest, again.status, "a code works once")
	require.Equal(t, map[string]any{"error": "access_denied"}, again.json(t))
}

func TestAuthorizationCodeRefused(t *testing.T) {
	f := start(t, emulator.Options{})
	f.AddClient(emulator.Client{
		ID: "other", CredentialType: emulator.OAuthWebApp, Secrets: []string{webSecret}, RedirectURIs: []string{redirectURI},
	})
	grant := func(pairs ...string) []string {
		return append([]string{"grant_type", "authorization_code", "code", f.code(), "code_verifier", verifier}, pairs...)
	}
	for name, c := range map[string]struct {
		user, password string
		form           []string
		want           string
	}{
		"unknown code":            {webID, webSecret, grant("code", "x"), "access_denied"},
		"wrong verifier":          {webID, webSecret, grant("code_verifier", "x"), "access_denied"},
		"no verifier":             {webID, webSecret, grant("code_verifier", ""), "access_denied"},
		"another client's":        {"other", webSecret, grant(), "access_denied"},
		"wrong secret":            {webID, "x", grant(), "invalid_client"},
		"server-to-server client": {clientID, clientSecret, grant(), "unauthorized_client"},
	} {
		t.Run(name, func(t *testing.T) {
			r := f.request(http.MethodPost, emulator.TokenPath, form(c.form...))
			r.SetBasicAuth(c.user, c.password)
			a := f.send(r)
			require.Equal(t, http.StatusBadRequest, a.status)
			require.Equal(t, c.want, a.json(t)["error"])
		})
	}
	late := grant()
	f.clock.Advance(10 * time.Minute)
	require.Equal(t, http.StatusBadRequest, f.postAsWeb(emulator.TokenPath, late...).status)
}

func TestUserGrants(t *testing.T) {
	const odd = "a+b%2F c:d"
	for how, accepted := range map[emulator.ClientAuth]struct{ basic, form bool }{
		emulator.BasicOrForm: {true, true},
		emulator.BasicOnly:   {true, false},
		emulator.FormOnly:    {false, true},
	} {
		t.Run(string(how), func(t *testing.T) {
			f := start(t, emulator.Options{UserGrants: how})
			f.AddClient(emulator.Client{
				ID: webID, CredentialType: emulator.OAuthWebApp, Secrets: []string{odd}, RedirectURIs: []string{redirectURI},
			})
			grant := func() []string {
				return []string{"grant_type", "authorization_code", "code", f.code(), "code_verifier", verifier}
			}
			basic := f.request(http.MethodPost, emulator.TokenPath, form(grant()...))
			basic.SetBasicAuth(url.QueryEscape(webID), url.QueryEscape(odd))
			require.Equal(t, accepted.basic, f.send(basic).status == http.StatusOK)
			inForm := append(grant(), "client_id", webID, "client_secret", odd)
			require.Equal(t, accepted.form, f.post(emulator.TokenPath, inForm...).status == http.StatusOK)
		})
	}
}

func TestRawBasic(t *testing.T) {
	const odd = "a+b%2F c:d"
	for _, raw := range []bool{false, true} {
		f := start(t, emulator.Options{RawBasic: raw})
		f.AddClient(emulator.Client{
			ID: webID, CredentialType: emulator.OAuthWebApp, Secrets: []string{odd}, RedirectURIs: []string{redirectURI},
		})
		for secret, want := range map[string]bool{url.QueryEscape(odd): !raw, odd: raw} {
			r := f.request(http.MethodPost, emulator.RevokePath, form("token", "x"))
			r.SetBasicAuth(webID, secret)
			require.Equal(t, want, f.send(r).status == http.StatusOK, secret)
		}
	}
}

func TestWhoSignsIn(t *testing.T) {
	f := start(t, emulator.Options{})
	const id = "0123456789ABCDEF01234567@AdobeID"
	sub := func(person string) (sub, userID any) {
		redirect, err := f.AllowAs(f.authorizeURL(), person)
		require.NoError(t, err)
		got := f.postAsWeb(emulator.TokenPath, "grant_type", "authorization_code",
			"code", f.query(redirect).Get("code"), "code_verifier", verifier).json(t)
		_, claims := f.verify(got["access_token"].(string))
		return got["sub"], claims["user_id"]
	}
	ann := emulator.UserID("ann@example.com")
	require.Regexp(t, `^[0-9A-F]{24}@AdobeID$`, ann)
	require.NotEqual(t, ann, emulator.UserID("bob@example.com"))
	require.Equal(t, id, emulator.UserID(id))
	for person, want := range map[string]string{"ann@example.com": ann, id: id} {
		got, claim := sub(person)
		require.Equal(t, want, got)
		require.Equal(t, want, claim)
	}
}

func TestCodeIsAToken(t *testing.T) {
	f := start(t, emulator.Options{})
	code := f.code()
	_, claims := f.verify(code)
	require.Equal(t, "authorization_code", claims["type"])
	require.Equal(t, webID, claims["client_id"])
	validate := func() map[string]any {
		return f.post(emulator.ValidatePath, "type", "authorization_code", "client_id", webID, "token", code).json(t)
	}
	require.Equal(t, true, validate()["valid"])
	f.clock.Advance(10 * time.Minute)
	require.Equal(t, map[string]any{"valid": false, "reason": "expired"}, validate())
}

func TestOtherChallenges(t *testing.T) {
	f := start(t, emulator.Options{})
	exchange := func(code, verifier string) int {
		return f.postAsWeb(emulator.TokenPath, "grant_type", "authorization_code", "code", code, "code_verifier", verifier).status
	}
	for _, method := range []string{"", "plain"} {
		require.Equal(t, http.StatusOK, exchange(f.code("code_challenge", verifier, "code_challenge_method", method), verifier))
	}
	require.Equal(t, http.StatusOK, exchange(f.code("code_challenge", ""), ""))
}

func TestNoRefreshTokenWithoutOfflineAccess(t *testing.T) {
	f := start(t, emulator.Options{})
	code := f.code("scope", "email")
	got := f.postAsWeb(emulator.TokenPath, "grant_type", "authorization_code", "code", code, "code_verifier", verifier).json(t)
	require.NotContains(t, got, "refresh_token")
	require.NotContains(t, got, "id_token")
}

func TestRefresh(t *testing.T) {
	for name, c := range map[string]struct {
		options  emulator.Options
		reusable bool
		code     string
	}{
		"single use": {code: "access_denied"},
		"reusable":   {options: emulator.Options{ReusableRefreshTokens: true}, reusable: true},
		"other code": {options: emulator.Options{RefusedRefreshCode: "invalid_grant"}, code: "invalid_grant"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, c.options)
			first := f.authorize()
			a := f.refresh(first["refresh_token"])
			require.Equal(t, http.StatusOK, a.status, a.body)
			second := a.json(t)
			require.NotContains(t, second, "id_token")
			require.True(t, f.Valid(first["access_token"].(string)), "the earlier access token lives on")
			require.Equal(t, c.reusable, f.Valid(first["refresh_token"].(string)))

			a = f.refresh(first["refresh_token"])
			require.Equal(t, c.reusable, a.status == http.StatusOK)
			if !c.reusable {
				require.Equal(t, map[string]any{"error": c.code}, a.json(t))
			}
			require.Equal(t, http.StatusOK, f.refresh(second["refresh_token"]).status)
		})
	}
}

func TestScopeOfAPerson(t *testing.T) {
	for _, narrow := range []bool{false, true} {
		f := start(t, emulator.Options{NarrowScopes: narrow})
		exchange := func(pairs ...string) answer {
			grant := []string{"grant_type", "authorization_code", "code", f.code(), "code_verifier", verifier}
			return f.postAsWeb(emulator.TokenPath, append(grant, pairs...)...)
		}
		scopes := func(a answer) (told, claimed any) {
			require.Equal(t, http.StatusOK, a.status, a.body)
			_, claims := f.verify(a.json(t)["access_token"].(string))
			return a.json(t)["scope"], claims["scope"]
		}
		refreshing := func(scope string) answer {
			return f.postAsWeb(emulator.TokenPath, "grant_type", "refresh_token", "scope", scope,
				"refresh_token", exchange().json(t)["refresh_token"].(string))
		}
		for _, ask := range []func(scope string) answer{func(scope string) answer { return exchange("scope", scope) }, refreshing} {
			told, claimed := scopes(ask(""))
			require.Nil(t, told)
			require.Equal(t, "openid,offline_access", claimed)
			told, claimed = scopes(ask("openid"))
			require.Nil(t, told)
			require.Equal(t, "openid", claimed)

			more := ask("openid email")
			if !narrow {
				require.Equal(t, map[string]any{"error": "invalid_scope"}, more.json(t))
				continue
			}
			told, claimed = scopes(more)
			require.Equal(t, "openid", told)
			require.Equal(t, "openid", claimed)
			require.Equal(t, map[string]any{"error": "invalid_scope"}, ask("email").json(t))
		}
	}
}

func TestRefreshRefusedForItsScopeUsesNothingUp(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.authorize()["refresh_token"].(string)
	a := f.postAsWeb(emulator.TokenPath, "grant_type", "refresh_token", "refresh_token", token, "scope", "email")
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Equal(t, http.StatusOK, f.refresh(token).status)
}

func TestRefreshWithFewerScopesKeepsTheRest(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.authorize()["refresh_token"].(string)
	a := f.postAsWeb(emulator.TokenPath, "grant_type", "refresh_token", "refresh_token", token, "scope", "openid")
	got := f.refresh(a.json(t)["refresh_token"]).json(t)
	_, claims := f.verify(got["access_token"].(string))
	require.Equal(t, "openid,offline_access", claims["scope"])
}

func TestRefreshTokenExpires(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.authorize()["refresh_token"]
	f.clock.Advance(14*24*time.Hour - time.Second)
	token = f.refresh(token).json(t)["refresh_token"]
	f.clock.Advance(14 * 24 * time.Hour)
	require.Equal(t, http.StatusBadRequest, f.refresh(token).status)

	f.Configure(func(o *emulator.Options) { o.RefreshTokenLife = time.Hour })
	token = f.authorize()["refresh_token"]
	f.clock.Advance(time.Hour)
	require.Equal(t, http.StatusBadRequest, f.refresh(token).status)
}

func TestRefreshTokenUsedAtOnce(t *testing.T) {
	f := start(t, emulator.Options{})
	token := f.authorize()["refresh_token"].(string)
	requests := make(chan *http.Request, 8)
	for range cap(requests) {
		r := f.request(http.MethodPost, emulator.TokenPath, form("grant_type", "refresh_token", "refresh_token", token))
		r.SetBasicAuth(webID, webSecret)
		requests <- r
	}
	close(requests)
	statuses := make(chan int, cap(requests))
	client := noRedirects(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for r := range requests {
				response, err := client.Do(r)
				if err == nil {
					statuses <- response.StatusCode
					_ = response.Body.Close()
				}
			}
		})
	}
	wg.Wait()
	close(statuses)
	granted := 0
	for status := range statuses {
		if status == http.StatusOK {
			granted++
		}
	}
	require.Equal(t, 1, granted)
}

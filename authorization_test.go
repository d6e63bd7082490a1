// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const (
	webClientID  = "0123456789abcdef0123456789abcdef"
	testRedirect = "https://vault.example:8200/v1/adobeims/callback"
	refreshLife  = 14 * 24 * time.Hour
)

// newWebAppMount mounts a backend with a role "designer" that nobody has
// authorized.
func newWebAppMount(t *testing.T) *mount {
	t.Helper()
	m := newRotatingMount(t)
	m.ims.AddClient(emulator.Client{
		ID: webClientID, CredentialType: emulator.OAuthWebApp, Secrets: []string{testClientSecret}, RedirectURIs: []string{testRedirect},
	})
	m.write("config/person", map[string]any{
		"credential_type": "oauth_web_app", "redirect_uri": testRedirect, "client_id": webClientID,
		"client_secret": testClientSecret, "ims_url": m.imsURL, "max_retries": 0, "request_timeout": "1s",
	})
	m.write("roles/designer", map[string]any{"config": "person", "scopes": "openid,AdobeID,offline_access"})
	m.ims.ResetCounters()
	return m
}

func newAuthorizedMount(t *testing.T) *mount {
	t.Helper()
	m := newWebAppMount(t)
	m.signIn()
	return m
}

// begin returns what Adobe gives to the redirect URI of a person who consents
// for the role "designer".
func (m *mount) begin() (code, state string) {
	m.t.Helper()
	redirect, err := m.ims.Allow(m.read("authorize/designer").Data["authorize_url"].(string))
	require.NoError(m.t, err)
	u, err := url.Parse(redirect)
	require.NoError(m.t, err)
	require.True(m.t, strings.HasPrefix(redirect, testRedirect+"?"))
	return u.Query().Get("code"), u.Query().Get("state")
}

// signIn lets a person authorize the role "designer", through the callback.
func (m *mount) signIn() {
	m.t.Helper()
	code, state := m.begin()
	status, page := m.callback(map[string]any{"code": code, "state": state})
	require.Equal(m.t, 200, status, page)
	require.Contains(m.t, page, "Access granted")
}

func (m *mount) callback(query map[string]any) (status int, page string) {
	m.t.Helper()
	resp, err := m.handle(logical.ReadOperation, "callback", query)
	require.NoError(m.t, err)
	require.Equal(m.t, "text/html; charset=utf-8", resp.Data[logical.HTTPContentType])
	return resp.Data[logical.HTTPStatusCode].(int), string(resp.Data[logical.HTTPRawBody].([]byte))
}

func (m *mount) refreshToken(role string) string {
	m.t.Helper()
	a, err := m.backend.tokens.authorizations.get(m.t.Context(), m.storage, role)
	require.NoError(m.t, err)
	require.NotNil(m.t, a)
	return string(a.RefreshToken)
}

func TestAuthorizeByCallback(t *testing.T) {
	m := newWebAppMount(t)
	require.Contains(t, m.refused(400, logical.ReadOperation, "token/designer", nil), "authorize/designer")

	begun := m.read("authorize/designer").Data
	require.Equal(t, timestamp(m.clock.Now().Add(10*time.Minute)), begun["expire_time"])
	u, err := url.Parse(begun["authorize_url"].(string))
	require.NoError(t, err)
	query := u.Query()
	require.Equal(t, "openid,AdobeID,offline_access", query.Get("scope"))
	require.Equal(t, "S256", query.Get("code_challenge_method"))
	require.NotEmpty(t, query.Get("code_challenge"))
	require.Equal(t, testRedirect, query.Get("redirect_uri"))
	require.Equal(t, begun["state"], query.Get("state"))

	m.signIn()
	exchange := m.ims.Requests(emulator.TokenPath)[0]
	require.True(t, strings.HasPrefix(exchange.Header.Get("Authorization"), "Basic "))
	require.False(t, exchange.Form.Has("client_secret"))
	require.NotEmpty(t, exchange.Form.Get("code_verifier"))

	resp := m.read("token/designer")
	require.True(t, m.ims.Valid(resp.Data["access_token"].(string)))
	require.Equal(t, tokenLife, resp.Secret.TTL)
	require.Equal(t, 1, m.mints(), "the code brought a token already")
	status := m.read("status/designer").Data
	require.Equal(t, timestamp(m.clock.Now()), status["authorization_time"])
	require.Equal(t, timestamp(m.clock.Now().Add(refreshLife)), status["authorization_expire_time"])
}

func TestAuthorizeByHand(t *testing.T) {
	m := newWebAppMount(t)
	code, state := m.begin()
	resp, err := m.handle(logical.UpdateOperation, "authorize/designer", map[string]any{"code": code, "state": state})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"authorization_expire_time": timestamp(m.clock.Now().Add(refreshLife))}, resp.Data)
	require.NotEmpty(t, m.token("designer"))
}

func TestImportOfARefreshToken(t *testing.T) {
	m := newAuthorizedMount(t)
	elsewhere := m.refreshToken("designer")
	m.write("roles/other", map[string]any{"config": "person", "scopes": "openid,AdobeID,offline_access"})
	_, err := m.handle(logical.UpdateOperation, "authorize/other", map[string]any{"refresh_token": elsewhere})
	require.NoError(t, err)
	require.NotEmpty(t, m.token("other"))
	require.NotEqual(t, elsewhere, m.refreshToken("other"), "proven by using it")
	require.Contains(t, m.refused(400, logical.UpdateOperation, "authorize/other", map[string]any{"refresh_token": "made up"}), "Nothing was changed")
	require.NotEmpty(t, m.token("other"), "the authorization there was is kept")
}

func TestStates(t *testing.T) {
	m := newWebAppMount(t)
	m.write("roles/other", map[string]any{"config": "person", "scopes": "openid,AdobeID,offline_access"})
	write := func(role, code, state string) string {
		return m.refused(400, logical.UpdateOperation, "authorize/"+role, map[string]any{"code": code, "state": state})
	}
	code, state := m.begin()
	require.Contains(t, write("other", code, state), "state", "for another role")
	m.clock.Advance(10 * time.Minute)
	require.Contains(t, write("designer", code, state), "state", "after ten minutes")

	code, state = m.begin()
	require.Contains(t, write("designer", "made-up", state), "Nothing was changed", "a code that IMS refuses")
	require.Contains(t, write("designer", code, state), "state", "used")

	m.signIn()
	for name, query := range map[string]map[string]any{
		"made up":           {"code": code, "state": "made-up"},
		"megabytes long":    {"code": code, "state": strings.Repeat("x", 3<<20)},
		"a long code":       {"code": strings.Repeat("x", 3<<20), "state": state},
		"no state":          {"code": code},
		"nothing":           {},
		"an error, unknown": {"error": "access_denied", "state": "made-up"},
		"used":              {"code": code, "state": state},
		"markup":            {"code": "<script>", "state": "<script>alert(1)</script>", "error_description": "<b>"},
	} {
		status, page := m.callback(query)
		require.Equal(t, 400, status, name)
		require.Contains(t, page, "This link no longer works", name)
		require.NotContains(t, page, "script", name)
	}
	require.NotEmpty(t, m.token("designer"), "the authorization is as it was")
	for _, data := range []map[string]any{{}, {"code": "x"}, {"state": "x"}, {"code": "x", "state": "x", "refresh_token": "x"}} {
		require.Contains(t, m.refused(400, logical.UpdateOperation, "authorize/designer", data), "both are required")
	}
}

func TestStateIsUsedOnceAtTheSameMoment(t *testing.T) {
	m := newWebAppMount(t)
	code, state := m.begin()
	var group sync.WaitGroup
	pages := make([]string, 20)
	for i := range pages {
		group.Go(func() { _, pages[i] = m.callback(map[string]any{"code": code, "state": state}) })
	}
	group.Wait()
	granted := 0
	for _, page := range pages {
		granted += strings.Count(page, "<h1 class=\"good\">")
	}
	require.Equal(t, 1, granted)
	require.Equal(t, 1, m.mints())
}

func TestStrangersLeaveNothingBehind(t *testing.T) {
	m := newWebAppMount(t)
	before := m.storage.keys(t)
	m.storage.reset()
	for i := range 1000 {
		m.callback(map[string]any{"code": "code", "state": fmt.Sprint("state", i)})
	}
	require.Equal(t, before, m.storage.keys(t))
	require.Zero(t, m.storage.count("put", "delete"))
	require.Zero(t, m.ims.Count(""))
}

func TestSignInsAreBounded(t *testing.T) {
	m := newWebAppMount(t)
	for range 3 {
		m.read("authorize/designer")
	}
	states := func() (n int) {
		for _, key := range m.storage.keys(t) {
			if strings.HasPrefix(key, statePrefix) {
				n++
			}
		}
		return n
	}
	require.Equal(t, 3, states())
	m.clock.Advance(stateLife)
	require.NoError(t, m.tick())
	require.Zero(t, states(), "nobody came back")
}

func TestPersonSaysNo(t *testing.T) {
	m := newWebAppMount(t)
	begun := m.read("authorize/designer").Data
	redirect, err := m.ims.Deny(begun["authorize_url"].(string))
	require.NoError(t, err)
	u, err := url.Parse(redirect)
	require.NoError(t, err)
	query := map[string]any{}
	for name := range u.Query() {
		query[name] = u.Query().Get(name)
	}
	status, page := m.callback(query)
	require.Equal(t, 200, status)
	require.Contains(t, page, "Access not granted")
	status, _ = m.callback(query)
	require.Equal(t, 400, status, "the state is used")
	m.refused(400, logical.ReadOperation, "token/designer", nil)
}

func TestCallbackWhileIMSFails(t *testing.T) {
	m := newWebAppMount(t)
	code, state := m.begin()
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500, Code: "internal_error"})
	status, page := m.callback(map[string]any{"code": code, "state": state})
	require.Equal(t, 502, status)
	require.Contains(t, page, "could not be completed")
	require.NotContains(t, page, "internal_error")
	require.Contains(t, m.log.String(), "internal_error")
}

func TestCallbackPage(t *testing.T) {
	for _, content := range []callbackPage{pageDone, pageDenied, pageStale, pageFailed} {
		resp, err := page(200, content)
		require.NoError(t, err)
		html := string(resp.Data[logical.HTTPRawBody].([]byte))
		require.Contains(t, html, `http-equiv="Content-Security-Policy"`)
		require.Contains(t, html, "default-src 'none'")
		require.Contains(t, html, "<style>"+callbackCSS+"</style>", "as it was hashed")
		require.NotContains(t, html, "<script")
		require.Contains(t, html, `<html lang="en">`)
		require.Less(t, len(html), 3000)
	}
}

// Each refresh stores the new refresh token before its access token is handed
// out.
func TestRefresh(t *testing.T) {
	m := newAuthorizedMount(t)
	first, refresh := m.token("designer"), m.refreshToken("designer")
	m.clock.Advance(tokenLife/2 + time.Second)
	m.eventually(func() bool { return m.token("designer") != first }, "a newer token")
	require.NotEqual(t, refresh, m.refreshToken("designer"))
	require.True(t, m.ims.Valid(m.refreshToken("designer")))
	m.restart()
	require.True(t, m.ims.Valid(m.refreshToken("designer")))
	m.clock.Advance(tokenLife)
	require.NotEmpty(t, m.token("designer"))
}

func TestRefreshTokenThatCannotBeStored(t *testing.T) {
	m := newAuthorizedMount(t)
	m.clock.Advance(tokenLife)
	broken := errors.New("storage is broken")
	m.storage.failOn("put", authorizationPrefix, broken)
	_, err := m.handle(logical.ReadOperation, "token/designer", nil)
	require.ErrorContains(t, err, "storage is broken", "no access token before its refresh token is stored")
	m.clock.Advance(2 * time.Second)
	m.storage.heal()
	require.NotEmpty(t, m.token("designer"), "the new refresh token was not lost")
	m.restart()
	m.clock.Advance(tokenLife)
	require.NotEmpty(t, m.token("designer"))
}

func TestKilledBetweenRefreshAndStoring(t *testing.T) {
	for _, reusable := range []bool{true, false} {
		m := newWebAppMount(t)
		adobe := emulator.New(emulator.Options{Clock: m.clock, ReusableRefreshTokens: reusable})
		adobe.AddClient(emulator.Client{
			ID: webClientID, CredentialType: emulator.OAuthWebApp, Secrets: []string{testClientSecret}, RedirectURIs: []string{testRedirect},
		})
		address, err := adobe.Start("")
		require.NoError(t, err)
		defer adobe.Stop()
		m.write("config/person", map[string]any{"ims_url": address, "client_secret": testClientSecret})
		m.ims = adobe
		m.signIn()

		m.clock.Advance(tokenLife)
		m.storage.failOn("put", "", errors.New("killed"))
		_, err = m.handle(logical.ReadOperation, "token/designer", nil)
		require.Error(t, err)
		m.storage.heal()
		m.restart()
		m.clock.Advance(time.Minute)
		if reusable {
			require.NotEmpty(t, m.token("designer"))
			continue
		}
		require.Contains(t, m.refused(400, logical.ReadOperation, "token/designer", nil), "needs authorizing: read authorize/designer")
		m.signIn()
		require.NotEmpty(t, m.token("designer"))
	}
}

func TestRefreshTokenIsNeverUsedTwiceAtTheSameMoment(t *testing.T) {
	m := newAuthorizedMount(t)
	m.ims.SetLatency(20 * time.Millisecond)
	m.clock.Advance(tokenLife)
	m.ims.ResetCounters()
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() { m.token("designer") })
	}
	for range 5 {
		group.Go(func() { _ = m.tick() })
	}
	group.Wait()
	require.Equal(t, 1, m.ims.Peak(emulator.TokenPath))
	require.Equal(t, 1, m.mints())
}

// A write to the config gives a mint under way up, but not a refresh: the new
// refresh token would be lost.
func TestRefreshUnderWayIsNotGivenUp(t *testing.T) {
	m := newAuthorizedMount(t)
	m.clock.Advance(tokenLife)
	m.ims.SetLatency(100 * time.Millisecond)
	m.ims.ResetCounters()
	token := make(chan string)
	go func() { token <- m.token("designer") }()
	m.eventually(func() bool { return m.mints() == 1 }, "a refresh")
	m.write("config/person", map[string]any{"request_timeout": "5s", "verify": false})
	require.NotEmpty(t, <-token)
	require.Equal(t, 1, m.mints())
	m.restart()
	require.True(t, m.ims.Valid(m.refreshToken("designer")))
	require.NotEmpty(t, m.token("designer"))
}

// An authorization that nobody reads for a month is still alive.
func TestKeepAlive(t *testing.T) {
	m := newAuthorizedMount(t)
	for range 31 * 24 {
		m.clock.Advance(time.Hour)
		require.NoError(t, m.tick())
		m.eventually(func() bool {
			a, err := m.backend.tokens.authorizations.get(t.Context(), m.storage, "designer")
			return err == nil && m.clock.Now().Before(a.keepAliveAt())
		}, "refreshed in time")
		require.True(t, m.ims.Valid(m.refreshToken("designer")))
	}
	require.Less(t, m.mints(), 8, "at half of the refresh token's life")
	require.NotEmpty(t, m.token("designer"))
}

func TestRevokeAuthorization(t *testing.T) {
	m := newAuthorizedMount(t)
	token, refresh := m.token("designer"), m.refreshToken("designer")
	resp, err := m.delete("authorize/designer")
	require.NoError(t, err)
	require.Nil(t, resp)
	require.False(t, m.ims.Valid(refresh))
	require.False(t, m.ims.Valid(token))
	require.Contains(t, m.refused(400, logical.ReadOperation, "token/designer", nil), "needs authorizing")
	require.NotContains(t, m.read("status/designer").Data, "authorization_time")
	_, err = m.delete("authorize/designer")
	require.NoError(t, err, "again")
	require.Contains(t, m.refused(400, logical.DeleteOperation, "authorize/disigner", nil), "does not exist")
}

func TestRevokeAuthorizationWhileIMSFails(t *testing.T) {
	m := newAuthorizedMount(t)
	refresh := m.refreshToken("designer")
	remove := m.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
	require.Contains(t, m.refused(503, logical.DeleteOperation, "authorize/designer", nil), "revocation")
	m.restart()
	require.Contains(t, m.refused(400, logical.ReadOperation, "token/designer", nil), "needs authorizing", "it serves nobody any more")
	require.True(t, m.ims.Valid(refresh))
	remove()
	_, err := m.delete("authorize/designer")
	require.NoError(t, err)
	require.False(t, m.ims.Valid(refresh))
}

func TestRoleDeletionRevokesItsAuthorization(t *testing.T) {
	m := newAuthorizedMount(t)
	refresh := m.refreshToken("designer")
	m.deleteAll("roles/designer")
	require.False(t, m.ims.Valid(refresh))
	for _, key := range m.storage.keys(t) {
		require.False(t, strings.HasPrefix(key, authorizationPrefix), key)
	}
}

func TestAuthorizationIsForWhatWasConsentedTo(t *testing.T) {
	m := newAuthorizedMount(t)
	m.write("roles/designer", map[string]any{"scopes": "openid,AdobeID,offline_access,creative_sdk"})
	require.Contains(t, m.refused(400, logical.ReadOperation, "token/designer", nil), "scopes are not those that were authorized")
	m.signIn()
	require.NotEmpty(t, m.token("designer"))
}

// A second person's authorization takes the place of the first's at once.
func TestAuthorizeAnew(t *testing.T) {
	m := newAuthorizedMount(t)
	first := m.token("designer")
	m.signIn()
	require.NotEqual(t, first, m.token("designer"))
	require.Equal(t, 2, m.read("status/designer").Data["outstanding_tokens"])
}

func TestRefusedRefreshToken(t *testing.T) {
	for name, test := range map[string]struct {
		code string
		says string
	}{
		"access_denied":  {"access_denied", "needs authorizing"},
		"invalid_grant":  {"invalid_grant", "needs authorizing"},
		"invalid_client": {"invalid_client", "config/person"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newAuthorizedMount(t)
			m.clock.Advance(tokenLife)
			remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: test.code})
			message := m.refused(400, logical.ReadOperation, "token/designer", nil)
			require.Contains(t, message, test.says)
			require.Contains(t, message, test.code)
			require.Equal(t, "refused", m.read("status/designer").Data["last_failure_kind"])
			require.Equal(t, test.code, m.read("status/designer").Data["last_failure_error_code"])
			remove()
			m.clock.Advance(time.Minute)
			require.NotEmpty(t, m.token("designer"), "should IMS think better of it")
		})
	}
}

func TestNoRefreshToken(t *testing.T) {
	m := newWebAppMount(t)
	resp := m.write("roles/designer", map[string]any{"scopes": "openid"})
	require.Contains(t, resp.Warnings[0], "offline_access")
	code, state := m.begin()
	require.Contains(t, m.refused(400, logical.UpdateOperation, "authorize/designer", map[string]any{"code": code, "state": state}), "offline_access")
}

func TestWebAppConfigRefusals(t *testing.T) {
	m := newWebAppMount(t)
	for _, test := range []struct {
		path string
		data map[string]any
		says string
	}{
		{"config/person", map[string]any{"redirect_uri": ""}, "redirect_uri"},
		{"config/person", map[string]any{"redirect_uri": "http://vault.example/callback"}, "redirect_uri"},
		{"config/person", map[string]any{"redirect_uri": "/callback"}, "redirect_uri"},
		{"config/person", map[string]any{"credential_type": "oauth_server_to_server"}, "credential_type"},
		{"config/person", map[string]any{"rotation_period": "1h"}, "rotation_period"},
		{"config/person", map[string]any{"client_secret": "p8e-wrong"}, "invalid_client"},
		{"config/new", map[string]any{"credential_type": "jwt", "client_id": "x", "client_secret": "x"}, "not supported"},
		{"roles/designer", map[string]any{"exclusive": true}, "exclusive"},
		{"config/person/rotate", nil, "no rotation"},
		{"authorize/firefly", map[string]any{"refresh_token": "x"}, "needs no authorizing"},
		{"authorize/unknown", map[string]any{"refresh_token": "x"}, "does not exist"},
	} {
		require.Contains(t, m.refused(http.StatusBadRequest, logical.CreateOperation, test.path, test.data), test.says, test.path)
	}
	require.Contains(t, m.refused(http.StatusBadRequest, logical.ReadOperation, "authorize/firefly", nil), "needs no authorizing")
	m.write("config/person", map[string]any{"request_timeout": "5s"})
}

func TestPersonsSecretsAreNotLogged(t *testing.T) {
	m := newAuthorizedMount(t)
	token, refresh := m.token("designer"), m.refreshToken("designer")
	code, state := m.begin()
	m.refused(400, logical.UpdateOperation, "authorize/designer", map[string]any{"code": code + "x", "state": state})
	m.clock.Advance(tokenLife)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "access_denied", Description: refresh})
	message := m.refused(400, logical.ReadOperation, "token/designer", nil)
	remove()
	for _, secret := range []string{token, refresh, code, state, testClientSecret} {
		require.NotContains(t, m.log.String(), secret)
		require.NotContains(t, message, secret)
	}
}

func TestAuthorizationStorageFailures(t *testing.T) {
	broken := errors.New("storage is broken")
	for name, test := range map[string]struct {
		op, key string
		request func(m *mount) (*logical.Response, error)
	}{
		"beginning": {"put", statePrefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.ReadOperation, "authorize/designer", nil)
		}},
		"listing states": {"list", statePrefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.ReadOperation, "authorize/designer", nil)
		}},
		"a stranger's state": {"get", statePrefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.UpdateOperation, "authorize/designer", map[string]any{"code": "x", "state": "x"})
		}},
		"deleting": {"get", authorizationPrefix, func(m *mount) (*logical.Response, error) { return m.delete("authorize/designer") }},
		"condemning": {"put", authorizationPrefix, func(m *mount) (*logical.Response, error) {
			return m.delete("authorize/designer")
		}},
		"the month's work": {"list", authorizationPrefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.RollbackOperation, "", map[string]any{})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newAuthorizedMount(t)
			m.restart()
			m.storage.failOn(test.op, test.key, broken)
			_, err := test.request(m)
			require.ErrorContains(t, err, broken.Error())
			m.storage.heal()
			require.NotEmpty(t, m.token("designer"))
		})
	}
}

// An authorization that IMS refuses is not asked about every minute.
func TestKeepAliveThatIsRefused(t *testing.T) {
	m := newAuthorizedMount(t)
	m.clock.Advance(refreshLife * 3 / 4)
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "access_denied"})
	m.ims.ResetCounters()
	for range 10 * 60 {
		require.NoError(t, m.tick())
		m.eventually(func() bool { return m.read("status/designer").Data["failures"] != 0 }, "a failure")
		m.clock.Advance(time.Minute)
	}
	require.LessOrEqual(t, m.mints(), 11, "once an hour")
	m.eventually(func() bool {
		st := m.backend.tokens.of("designer")
		st.mu.Lock()
		defer st.mu.Unlock()
		return st.flight == nil
	}, "nothing under way")
	m.clock.Advance(refreshLife)
	m.ims.ResetCounters()
	for range 5 {
		require.NoError(t, m.tick())
		m.clock.Advance(2 * time.Hour)
	}
	require.Never(t, func() bool { return m.mints() != 0 }, 50*time.Millisecond, 5*time.Millisecond, "one that has lapsed is lost")
}

func TestCallbackIsNotWrapped(t *testing.T) {
	m := newWebAppMount(t)
	resp, err := m.backend.HandleRequest(t.Context(), &logical.Request{
		Operation: logical.ReadOperation, Path: "callback", Storage: m.storage, WrapInfo: &logical.RequestWrapInfo{TTL: time.Hour},
	})
	require.Contains(t, refusal(t, http.StatusBadRequest, resp, err), "X-Vault-Wrap-TTL")
}

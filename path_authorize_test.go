// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const anotherPerson = "9876543210@AdobeID"

// authorize writes to authorize/designer and succeeds, or ends the test.
func (m *mount) authorize(data map[string]any) *logical.Response {
	m.t.Helper()
	resp, err := m.handle(logical.UpdateOperation, "authorize/designer", data)
	require.NoError(m.t, err)
	require.NoError(m.t, resp.Error())
	return resp
}

func TestSignInByHand(t *testing.T) {
	m := newWebAppMount(t)
	require.Contains(t, m.refused(400, logical.ReadOperation, "token/designer", nil), "vault write -f adobeims/authorize/designer")
	begun := m.beginSignIn()
	require.Equal(t, "2026-11-22T10:10:00Z", begun["expire_time"], "in ten minutes")
	require.Len(t, begun, 3)
	u, err := url.Parse(begun["authorize_url"].(string))
	require.NoError(t, err)
	query := u.Query()
	require.Equal(t, "openid,AdobeID,offline_access", query.Get("scope"))
	require.Equal(t, "S256", query.Get("code_challenge_method"))
	require.NotEmpty(t, query.Get("code_challenge"))
	require.Equal(t, testRedirect, query.Get("redirect_uri"))
	require.Equal(t, begun["state"], query.Get("state"))
	require.Zero(t, m.ims.Count(""), "nobody is asked")

	code, state := m.consent(testPerson)
	answer := m.authorize(map[string]any{"code": code, "state": state})
	require.Equal(t, map[string]any{"authorization_expire_time": "2026-12-06T10:00:00Z"}, answer.Data)
	require.Nil(t, answer.Secret)
	resp := m.read("token/designer")
	require.True(t, m.ims.Valid(resp.Data["access_token"].(string)))
	require.Equal(t, tokenLife, resp.Secret.TTL)
	require.Equal(t, 1, m.mints(), "the code brought a token already")
	require.Contains(t, m.refused(400, logical.UpdateOperation, "authorize/designer", map[string]any{"code": code, "state": state}), "state: unknown, already used")
}

// A read describes. It changes nothing, and begins nothing.
func TestReadOfAnAuthorization(t *testing.T) {
	m := newWebAppMount(t)
	m.quiet()
	resp, err := m.handle(logical.ReadOperation, "authorize/designer", nil)
	require.NoError(t, err)
	require.Nil(t, resp, "404")
	require.Contains(t, m.refused(400, logical.ReadOperation, "authorize/disigner", nil), `role "disigner" does not exist`)
	m.requireNothingDone("read")

	m.signIn()
	m.quiet()
	require.Equal(t, map[string]any{
		"user_id":                   testPerson,
		"authorization_time":        "2026-11-22T10:00:00Z",
		"authorization_expire_time": "2026-12-06T10:00:00Z",
		"scopes":                    []string{"openid", "AdobeID", "offline_access"},
		"client_id":                 webClientID,
	}, m.read("authorize/designer").Data)
	m.requireNothingDone("read")
	require.NotEmpty(t, m.token("designer"))
}

func TestWhatAWriteOfAuthorizeTakes(t *testing.T) {
	m := newWebAppMount(t)
	m.quiet()
	for name, data := range map[string]map[string]any{
		"a code alone":  {"code": "x"},
		"a state alone": {"state": "x"},
		"all three":     {"code": "x", "state": "x", "refresh_token": "x"},
		"code and more": {"code": "x", "refresh_token": "x"},
	} {
		require.Contains(t, m.refused(400, logical.UpdateOperation, "authorize/designer", data), "code, state: both are required", name)
	}
	for path, says := range map[string]string{
		"authorize/unknown": `role "unknown" does not exist`,
		"authorize/firefly": "oauth_server_to_server",
	} {
		for _, data := range []map[string]any{nil, {"refresh_token": "x"}} {
			require.Contains(t, m.refused(400, logical.UpdateOperation, path, data), says)
		}
		require.Contains(t, m.refused(400, logical.DeleteOperation, path, nil), says)
	}
	m.requireNothingDone("refused writes")
}

func TestAnotherPersonsAuthorization(t *testing.T) {
	m := newAuthorizedMount(t)
	token, refresh := m.token("designer"), m.refreshToken()
	code, state := m.consent(anotherPerson)
	message := m.refused(400, logical.UpdateOperation, "authorize/designer", map[string]any{"code": code, "state": state})
	for _, words := range []string{testPerson, "Nothing was changed", "vault write adobeims/authorize/designer replace=true"} {
		require.Contains(t, message, words)
	}
	require.Equal(t, testPerson, m.read("authorize/designer").Data["user_id"])
	require.Equal(t, token, m.token("designer"))
	require.True(t, m.ims.Valid(refresh))

	t.Run("by the callback", func(t *testing.T) {
		code, state := m.consent(anotherPerson)
		status, page := m.callback(map[string]any{"code": code, "state": state})
		require.Equal(t, http.StatusConflict, status)
		require.Contains(t, page, pageTaken.Title)
		require.NotContains(t, page, testPerson, "a stranger is not told whose it is")
		require.Equal(t, token, m.token("designer"))
	})
	t.Run("the same person's", func(t *testing.T) {
		m.signIn()
		require.NotEqual(t, refresh, m.refreshToken())
		require.Eventually(t, func() bool { return !m.ims.Valid(refresh) }, 10*time.Second, time.Millisecond, "what is replaced is revoked")
	})
	t.Run("with replace", func(t *testing.T) {
		refresh := m.refreshToken()
		begun := m.authorize(map[string]any{"replace": true}).Data
		redirect, err := m.ims.AllowAs(begun["authorize_url"].(string), anotherPerson)
		require.NoError(t, err)
		code, state := codeAndState(redirect)
		status, _ := m.callback(map[string]any{"code": code, "state": state})
		require.Equal(t, 200, status)
		require.Equal(t, anotherPerson, m.read("authorize/designer").Data["user_id"])
		require.Eventually(t, func() bool { return !m.ims.Valid(refresh) }, 10*time.Second, time.Millisecond)
	})
}

func TestImportedRefreshToken(t *testing.T) {
	m := newAuthorizedMount(t)
	elsewhere := m.refreshToken()
	m.write("roles/other", map[string]any{"config": "person", "scopes": "openid,AdobeID,offline_access"})
	resp, err := m.handle(logical.UpdateOperation, "authorize/other", map[string]any{"refresh_token": elsewhere})
	require.NoError(t, err)
	require.NoError(t, resp.Error())
	require.NotEmpty(t, m.token("other"))
	message := m.refused(400, logical.UpdateOperation, "authorize/other", map[string]any{"refresh_token": "made up"})
	require.Contains(t, message, "Nothing was changed")
	require.Contains(t, message, "vault write -f adobeims/authorize/other")
	require.NotContains(t, message, "made up")
	require.NotEmpty(t, m.token("other"), "the authorization there was is kept")
}

func TestDeletionOfAnAuthorization(t *testing.T) {
	m := newAuthorizedMount(t)
	token, refresh := m.token("designer"), m.refreshToken()
	resp, err := m.delete("authorize/designer")
	require.NoError(t, err)
	require.Nil(t, resp, "204")
	require.False(t, m.ims.Valid(refresh))
	require.False(t, m.ims.Valid(token))
	require.Contains(t, m.refused(400, logical.ReadOperation, "token/designer", nil), "not authorized")
	_, err = m.delete("authorize/designer")
	require.NoError(t, err, "again")
}

// What IMS does not revoke serves nobody, is reported, and is tried again.
func TestDeletionOfAnAuthorizationWithoutIMS(t *testing.T) {
	for name, test := range map[string]struct {
		fault  emulator.Fault
		status int
	}{
		"out of service":  {emulator.Fault{Status: 503}, http.StatusServiceUnavailable},
		"an error":        {emulator.Fault{Status: 500}, http.StatusBadGateway},
		"a throttle":      {emulator.Fault{Status: 429}, http.StatusTooManyRequests},
		"a page":          {emulator.Fault{Body: "<html>", ContentType: "text/html"}, http.StatusBadGateway},
		"a file server":   {emulator.Fault{Status: 404, Body: "404 page not found", ContentType: "text/plain"}, http.StatusBadGateway},
		"another refusal": {emulator.Fault{Code: "access_denied"}, http.StatusBadGateway},
		"silence":         {emulator.Fault{Hang: true}, http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			m := newAuthorizedMount(t)
			refresh := m.refreshToken()
			for _, path := range []string{emulator.RevokePath, emulator.ValidatePath} {
				fault := test.fault
				fault.Path = path
				m.ims.Inject(fault)
			}
			message := m.refused(test.status, logical.DeleteOperation, "authorize/designer", nil)
			require.Contains(t, message, "vault delete adobeims/authorize/designer")
			m.restart()
			require.Contains(t, m.refused(400, logical.ReadOperation, "token/designer", nil), "authorize", "it serves nobody any more")
			require.True(t, m.ims.Valid(refresh))
			m.ims.ClearFaults()
			m.clock.Advance(2 * time.Minute) // a throttle is over
			_, err := m.delete("authorize/designer")
			require.NoError(t, err)
			require.False(t, m.ims.Valid(refresh))
		})
	}
}

func TestRoleDeletionRevokesItsAuthorization(t *testing.T) {
	m := newAuthorizedMount(t)
	token, refresh := m.token("designer"), m.refreshToken()
	resp, err := m.delete("roles/designer")
	require.NoError(t, err)
	require.Nil(t, resp)
	require.False(t, m.ims.Valid(refresh))
	require.False(t, m.ims.Valid(token))
	for _, key := range m.storage.keys(t) {
		require.False(t, strings.HasPrefix(key, authorization.Prefix), key)
	}
	m.write("roles/designer", map[string]any{"config": "person", "scopes": "openid,AdobeID,offline_access"})
	require.Contains(t, m.refused(400, logical.ReadOperation, "token/designer", nil), "vault write -f adobeims/authorize/designer", "a new consent is needed")

	t.Run("while IMS fails", func(t *testing.T) {
		m.signIn()
		refresh := m.refreshToken()
		remove := m.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
		resp, err := m.delete("roles/designer")
		require.NoError(t, err)
		require.Contains(t, resp.Warnings[0], "its authorization is not revoked")
		require.Contains(t, resp.Warnings[0], "vault delete adobeims/authorize/designer")
		m.write("roles/designer", map[string]any{"config": "person", "scopes": "openid,AdobeID,offline_access"})
		m.refused(400, logical.ReadOperation, "token/designer", nil)
		remove()
		_, err = m.delete("authorize/designer")
		require.NoError(t, err)
		require.False(t, m.ims.Valid(refresh))
	})
}

// A role that says other scopes than the person consented to needs a new consent.
func TestAuthorizationIsForWhatWasConsentedTo(t *testing.T) {
	m := newAuthorizedMount(t)
	m.write("roles/designer", map[string]any{"scopes": "openid,AdobeID,offline_access,creative_sdk"})
	message := m.refused(400, logical.ReadOperation, "token/designer", nil)
	require.Contains(t, message, "scopes")
	require.Contains(t, message, "vault write -f adobeims/authorize/designer")
	m.signIn()
	require.NotEmpty(t, m.token("designer"))
}

func TestRefusedRefreshToken(t *testing.T) {
	for code, says := range map[string]string{
		"access_denied":  "needs to be authorized again",
		"invalid_grant":  "needs to be authorized again",
		"invalid_client": "config/person",
	} {
		t.Run(code, func(t *testing.T) {
			m := newAuthorizedMount(t)
			m.clock.Advance(tokenLife)
			remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: code})
			message := m.refused(400, logical.ReadOperation, "token/designer", nil)
			require.Contains(t, message, says)
			require.Contains(t, message, code)
			require.Equal(t, "refused", m.read("status/designer").Data["last_failure_kind"])
			require.Equal(t, code, m.read("status/designer").Data["last_failure_error_code"])
			remove()
			m.clock.Advance(time.Minute)
			require.NotEmpty(t, m.token("designer"), "should IMS think better of it")
		})
	}
}

func TestWithoutOfflineAccess(t *testing.T) {
	m := newWebAppMount(t)
	require.Contains(t, m.write("roles/designer", map[string]any{"scopes": "openid"}).Warnings[0], "offline_access")
	require.Contains(t, m.authorize(nil).Warnings[0], "offline_access")
	code, state := m.consent(testPerson)
	message := m.refused(400, logical.UpdateOperation, "authorize/designer", map[string]any{"code": code, "state": state})
	require.Contains(t, message, "vault write adobeims/roles/designer scopes=openid,offline_access")
}

func TestWebAppConfigRefusals(t *testing.T) {
	m := newWebAppMount(t)
	before := m.read("config/person").Data
	for _, test := range []struct {
		path string
		data map[string]any
		says string
	}{
		{"config/person", map[string]any{"redirect_uri": ""}, "redirect_uri: required"},
		{"config/person", map[string]any{"redirect_uri": "http://vault.example/callback"}, "redirect_uri: is not https"},
		{"config/person", map[string]any{"redirect_uri": "/callback"}, "redirect_uri: is not a URL"},
		{"config/person", map[string]any{"redirect_uri": "https://user:p8e@vault.example/callback"}, "redirect_uri: is not a URL"},
		{"config/person", map[string]any{"credential_type": "oauth_server_to_server"}, "credential_type: cannot be changed"},
		{"config/person", map[string]any{"rotation_period": "1h"}, "rotation_period: Adobe offers no rotation"},
		{"config/person", map[string]any{"rotation_schedule": "0 3 * * *"}, "rotation_schedule: Adobe offers no rotation"},
		{"config/person", map[string]any{"client_secret": "p8e-wrong"}, "client_secret: IMS does not accept"},
		{"config/person", map[string]any{"client_id": "unknown"}, "client_id: IMS at " + m.imsURL + " knows no client"},
		{"config/new", map[string]any{"credential_type": "jwt", "client_id": "x", "client_secret": "x"}, "credential_type: is not a supported type"},
		{"config/new", map[string]any{"credential_type": "oauth_web_app", "client_id": "x", "client_secret": "x"}, "redirect_uri: required"},
		{"roles/designer", map[string]any{"exclusive": true}, "exclusive: config/person"},
		{"config/person/rotate", nil, "Adobe offers no rotation"},
	} {
		message := m.refused(http.StatusBadRequest, logical.CreateOperation, test.path, test.data)
		require.Contains(t, message, test.says, test.path)
		require.NotContains(t, message, "p8e")
	}
	require.Equal(t, before, m.read("config/person").Data)
	require.Nil(t, m.write("config/person", map[string]any{"request_timeout": "5s"}), "a code that IMS never gave proves it")
}

// A tick refreshes what nobody reads, and leaves alone what is nobody's.
func TestTickKeepsAuthorizationsAlive(t *testing.T) {
	m := newAuthorizedMount(t)
	m.clock.Advance(8 * 24 * time.Hour)
	refresh := m.refreshToken()
	m.ims.ResetCounters()
	require.NoError(t, m.tick())
	m.eventually(func() bool { return m.refreshToken() != refresh }, "another refresh token")
	require.True(t, m.ims.Valid(m.refreshToken()))
	require.Equal(t, 1, m.mints())
	require.NoError(t, m.tick())
	require.Equal(t, "2026-12-14T10:00:00Z", m.read("authorize/designer").Data["authorization_expire_time"])

	nobodys := newWebAppMount(t)
	nobodys.clock.Advance(8 * 24 * time.Hour)
	require.NoError(t, nobodys.tick())
	require.Zero(t, nobodys.ims.Count(emulator.TokenPath))
}

func TestPersonsSecretsAreNotLogged(t *testing.T) {
	m := newAuthorizedMount(t)
	token, refresh := m.token("designer"), m.refreshToken()
	code, state := m.consent(testPerson)
	message := m.refused(400, logical.UpdateOperation, "authorize/designer", map[string]any{"code": code + "x", "state": state})
	// From here on: the token is in use, so it is refreshed as soon as it is time.
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "access_denied", Description: refresh})
	m.clock.Advance(tokenLife)
	message += m.refused(400, logical.ReadOperation, "token/designer", nil)
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
		"beginning": {"put", authorization.StatePrefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.UpdateOperation, "authorize/designer", nil)
		}},
		"a stranger's state": {"get", authorization.StatePrefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.UpdateOperation, "authorize/designer", map[string]any{"code": "x", "state": "x"})
		}},
		"a stranger at the callback": {"get", authorization.StatePrefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.ReadOperation, "callback", map[string]any{"error": "x", "state": "x"})
		}},
		"reading": {"get", authorization.Prefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.ReadOperation, "authorize/designer", nil)
		}},
		"deleting": {"get", authorization.Prefix, func(m *mount) (*logical.Response, error) { return m.delete("authorize/designer") }},
		"the tick": {"list", authorization.Prefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.RollbackOperation, "", map[string]any{})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newAuthorizedMount(t)
			m.restart()
			m.storage.failOn(test.op, test.key, broken)
			_, err := test.request(m)
			require.ErrorIs(t, err, broken)
			m.storage.heal()
			require.NotEmpty(t, m.token("designer"))
		})
	}
}

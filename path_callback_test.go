// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestCallbackPages(t *testing.T) {
	for _, content := range []callbackPage{pageDone, pageDenied, pageStale, pageTaken, pageFailed} {
		resp, err := page(200, content)
		require.NoError(t, err)
		html := string(resp.Data[logical.HTTPRawBody].([]byte))
		require.Contains(t, html, `http-equiv="Content-Security-Policy"`)
		require.Contains(t, html, "default-src 'none'")
		require.Contains(t, html, "<style>"+callbackCSS+"</style>", "as it was hashed")
		require.NotContains(t, html, "<script")
		require.Contains(t, html, `<html lang="en">`)
		require.Contains(t, html, content.Title)
		require.Less(t, len(html), 3000)
	}
}

func TestCallbackIsNotWrapped(t *testing.T) {
	m := newWebAppMount(t)
	resp, err := m.backend.HandleRequest(t.Context(), &logical.Request{
		Operation: logical.ReadOperation, Path: "callback", Storage: m.storage, WrapInfo: &logical.RequestWrapInfo{TTL: time.Hour},
	})
	require.Contains(t, refusal(t, http.StatusBadRequest, resp, err), "X-Vault-Wrap-TTL")
}

// The status and the page that each outcome has. A stranger is told nothing.
func TestCallbackOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		do     func(m *mount, code, state string) map[string]any
		status int
		page   callbackPage
		logged string
	}{
		"consent": {func(_ *mount, code, state string) map[string]any {
			return map[string]any{"code": code, "state": state}
		}, 200, pageDone, ""},
		"no consent": {func(_ *mount, _, state string) map[string]any {
			return map[string]any{"error": "access_denied\nforged line", "error_description": "<b>no", "state": state}
		}, 200, pageDenied, `access_denied\nforged line`},
		"a made-up state": {func(_ *mount, code, _ string) map[string]any {
			return map[string]any{"code": code, "state": "made-up"}
		}, 400, pageStale, ""},
		"no state": {func(_ *mount, code, _ string) map[string]any { return map[string]any{"code": code} }, 400, pageStale, ""},
		"nothing":  {func(*mount, string, string) map[string]any { return nil }, 400, pageStale, ""},
		"an unknown error": {func(*mount, string, string) map[string]any {
			return map[string]any{"error": "access_denied", "state": "made-up"}
		}, 400, pageStale, ""},
		"a long code": {func(_ *mount, code, state string) map[string]any {
			return map[string]any{"code": code + strings.Repeat("x", 8<<10), "state": state}
		}, 400, pageStale, ""},
		"too late": {func(m *mount, code, state string) map[string]any {
			m.clock.Advance(10 * time.Minute)
			return map[string]any{"code": code, "state": state}
		}, 400, pageStale, ""},
		"used": {func(m *mount, code, state string) map[string]any {
			m.callback(map[string]any{"code": code, "state": state})
			return map[string]any{"code": code, "state": state}
		}, 400, pageStale, ""},
		"another role's scopes by now": {func(m *mount, code, state string) map[string]any {
			m.write("roles/designer", map[string]any{"scopes": "openid,offline_access"})
			return map[string]any{"code": code, "state": state}
		}, 400, pageStale, ""},
		"the role is gone": {func(m *mount, code, state string) map[string]any {
			_, err := m.delete("roles/designer")
			require.NoError(m.t, err)
			return map[string]any{"code": code, "state": state}
		}, 400, pageStale, ""},
		"a code that IMS refuses": {func(_ *mount, _, state string) map[string]any {
			return map[string]any{"code": "made-up", "state": state}
		}, 502, pageFailed, "access_denied"},
		"IMS fails": {func(m *mount, code, state string) map[string]any {
			m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500, Code: "internal_error"})
			return map[string]any{"code": code, "state": state}
		}, 502, pageFailed, "internal_error"},
		"markup": {func(*mount, string, string) map[string]any {
			return map[string]any{"code": "<script>", "state": "<script>alert(1)</script>"}
		}, 400, pageStale, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newWebAppMount(t)
			code, state := m.consent(testPerson)
			status, page := m.callback(test.do(m, code, state))
			require.Equal(t, test.status, status)
			require.Contains(t, page, test.page.Title)
			for _, told := range []string{"script", code, state, "designer", "internal_error", "forged"} {
				require.NotContains(t, page, told)
			}
			if test.logged != "" {
				require.Contains(t, m.log.String(), test.logged)
			}
			require.NotContains(t, m.log.String(), code)
			require.NotContains(t, m.log.String(), state)
			if test.page.Title == pageDone.Title {
				require.NotEmpty(t, m.token("designer"))
			} else if name != "used" {
				m.refused(400, logical.ReadOperation, "token/designer", nil)
			}
		})
	}
}

// As Adobe redirects a person who says no.
func TestPersonSaysNo(t *testing.T) {
	m := newWebAppMount(t)
	redirect, err := m.ims.Deny(m.beginSignIn()["authorize_url"].(string))
	require.NoError(t, err)
	u, err := url.Parse(redirect)
	require.NoError(t, err)
	query := map[string]any{}
	for name := range u.Query() {
		query[name] = u.Query().Get(name)
	}
	status, page := m.callback(query)
	require.Equal(t, 200, status)
	require.Contains(t, page, pageDenied.Title)
	status, _ = m.callback(query)
	require.Equal(t, 400, status, "the state is used")
}

func TestStrangersAtTheCallbackLeaveNothing(t *testing.T) {
	m := newWebAppMount(t)
	before := m.storage.keys(t)
	m.quiet()
	logged := len(m.log.String())
	for i := range 500 {
		m.callback(map[string]any{"code": "code", "state": fmt.Sprint("state", i)})
		m.callback(map[string]any{"error": "access_denied", "state": fmt.Sprint("state", i)})
	}
	require.Equal(t, before, m.storage.keys(t))
	require.Len(t, m.log.String(), logged)
	m.requireNothingDone("strangers")
}

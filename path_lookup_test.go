// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func (m *mount) lookup(token string) *logical.Response {
	m.t.Helper()
	resp, err := m.handle(logical.UpdateOperation, "lookup", map[string]any{"token": token})
	require.NoError(m.t, err)
	require.NoError(m.t, resp.Error())
	return resp
}

func TestLookup(t *testing.T) {
	m := newServingMount(t)
	first := m.token("firefly")
	require.Equal(t, map[string]any{
		"on_record": true, "role": "firefly", "config": "default", "standing": "current", "client_id": testClientID,
		"scopes": []string{"openid", "AdobeID", "firefly_api"}, "mint_time": "2026-11-22T09:00:00Z", "expire_time": "2026-11-23T09:00:00Z",
		"command": "vault delete adobeims/token/firefly",
	}, m.lookup(" "+first+"\n").Data, "as read from a file")

	for _, copied := range []string{"Bearer " + first, "Authorization: bearer " + first, `"Bearer ` + first + `",`, `"` + first + `"`} {
		require.Equal(t, "current", m.lookup(copied).Data["standing"], "as copied from a log")
	}

	m.write("roles/firefly", map[string]any{"scopes": "openid"})
	m.token("firefly")
	m.restart()
	require.Equal(t, "former", m.lookup(first).Data["standing"], "after a restart")

	remove := m.ims.Inject(emulator.Fault{Path: emulator.InvalidatePath, Status: 503})
	m.refused(503, logical.DeleteOperation, "token/firefly", nil)
	require.Equal(t, "condemned", m.lookup(first).Data["standing"])
	remove()
	_, err := m.delete("token/firefly")
	require.NoError(t, err)
	require.Equal(t, false, m.lookup(first).Data["on_record"], "it is dead")
	require.NotContains(t, m.log.String(), first)
}

func TestLookupOfATokenOnNoRecord(t *testing.T) {
	m := newServingMount(t)
	m.write("roles/batch", map[string]any{"scopes": "openid", "exclusive": true, "verify": false})
	token := m.token("batch")
	resp := m.lookup(token)
	require.Equal(t, false, resp.Data["on_record"])
	require.Equal(t, []string{"default"}, resp.Data["configs"])
	require.Equal(t, []string{"batch"}, resp.Data["roles"])
	require.Equal(t, "vault lease revoke -prefix adobeims/token/batch", resp.Data["command"])
	require.Contains(t, resp.Warnings[0], "vault write -f adobeims/config/default/rotate")

	for _, text := range []string{"", "not a token", token[:40]} {
		require.Contains(t, m.refused(400, logical.UpdateOperation, "lookup", map[string]any{"token": text}), "token: ")
	}
	require.NotContains(t, m.log.String(), token)
}

// What a token may be of is narrowed down as far as can be.
func TestLookupNamesWhatTheTokenMayBeOf(t *testing.T) {
	m := newServingMount(t)
	m.write("roles/batch", map[string]any{"scopes": "openid", "exclusive": true, "verify": false})
	m.write("roles/nightly", map[string]any{"scopes": "openid", "exclusive": true, "verify": false})
	token := m.token("nightly")
	resp := m.lookup(token)
	require.Equal(t, []string{"batch", "nightly"}, resp.Data["roles"])
	require.Equal(t, "vault lease revoke -prefix adobeims/token/<role>", resp.Data["command"])

	m.deleteAll("roles/batch", "roles/nightly")
	resp = m.lookup(token)
	require.Empty(t, resp.Data["roles"])
	require.NotContains(t, resp.Data, "command")
	require.Contains(t, resp.Warnings[0], "minted elsewhere")

	m.clock.Advance(tokenLife + time.Minute)
	require.Contains(t, m.lookup(token).Warnings[0], "has expired")
}

// A refresh token can mint for as long as the authorization lasts.
func TestLookupOfARefreshToken(t *testing.T) {
	m := newAuthorizedMount(t)
	token := m.refreshToken()
	data := m.lookup(token).Data
	require.Equal(t, "designer", data["role"])
	require.Equal(t, "person", data["config"])
	require.Equal(t, "current", data["standing"])
	require.Equal(t, "refresh_token", data["token_type"])
	require.Equal(t, "vault delete adobeims/authorize/designer", data["command"])

	m.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
	_, _ = m.delete("authorize/designer")
	require.Equal(t, "condemned", m.lookup(token).Data["standing"])
	require.NotContains(t, m.log.String(), token)
}

// Who finds a client secret has to know whose it is, and gets it as an error: it is
// no token.
func TestLookupOfAClientSecret(t *testing.T) {
	m := newRotatingMount(t)
	refusal := func() string {
		text := m.refused(400, logical.UpdateOperation, "lookup", map[string]any{"token": testClientSecret})
		require.NotContains(t, text, testClientSecret)
		return text
	}
	require.Contains(t, refusal(), "the client secret of config/default")
	require.Contains(t, refusal(), "vault write -f adobeims/config/default/rotate")
	m.rotate()
	require.Contains(t, refusal(), "a client secret of config/default beside the current one")
	m.clock.Advance(31 * 24 * time.Hour)
	require.NoError(t, m.tick())
	require.Contains(t, refusal(), "a former client secret of config/default")
	require.NotContains(t, m.log.String(), testClientSecret)
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"testing"

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
	require.Equal(t, "vault lease revoke -prefix adobeims/token/<role>", resp.Data["command"])
	require.Contains(t, resp.Warnings[0], "vault write -f adobeims/config/default/rotate")

	for _, text := range []string{"", "not a token", token[:40]} {
		require.Contains(t, m.refused(400, logical.UpdateOperation, "lookup", map[string]any{"token": text}), "token: ")
	}
	require.NotContains(t, m.log.String(), token)
}

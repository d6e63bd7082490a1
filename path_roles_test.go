// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/roles"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

func TestRoleReadWrite(t *testing.T) {
	m := newServingMount(t)
	want := map[string]any{
		"config":    "default",
		"scopes":    []string{"openid", "AdobeID", "firefly_api"},
		"exclusive": false,
		"min_ttl":   int64(0),
		"max_ttl":   int64(0),
		"leased":    true,
	}
	require.Equal(t, want, m.read("roles/firefly").Data)
	m.write("roles/firefly", map[string]any{"max_ttl": "1h", "min_ttl": 90})
	want["max_ttl"], want["min_ttl"] = int64(3600), int64(90)
	m.restart()
	require.Equal(t, want, m.read("roles/firefly").Data)

	require.Equal(t, []string{"firefly"}, m.list("roles/"))
	_, err := m.delete("roles/firefly")
	require.NoError(t, err)
	require.Empty(t, m.list("roles/"))
	_, err = m.delete("roles/firefly")
	require.NoError(t, err, "deleting again")
}

func TestRoleScopes(t *testing.T) {
	m := newServingMount(t)
	want := []string{"openid", "AdobeID", "firefly_api"}
	for _, scopes := range []any{
		"openid,AdobeID,firefly_api",
		"openid AdobeID firefly_api",
		" openid , AdobeID,, firefly_api ,openid",
		"openid\nAdobeID\tfirefly_api",
		[]string{"openid", "AdobeID", "firefly_api"},
		[]string{"openid,AdobeID", " firefly_api", ""},
		[]any{"openid AdobeID", "firefly_api", "AdobeID"},
	} {
		m.write("roles/r", map[string]any{"scopes": scopes})
		require.Equal(t, want, m.read("roles/r").Data["scopes"], "%q", scopes)
		_, err := m.delete("roles/r")
		require.NoError(t, err)
	}
}

func TestRoleRefusals(t *testing.T) {
	m := newServingMount(t)
	before := m.read("roles/firefly").Data
	for _, test := range []struct {
		data map[string]any
		says []string
	}{
		{map[string]any{"scopes": ""}, []string{"scopes", "at least one"}},
		{map[string]any{"scopes": " , ,"}, []string{"scopes", "at least one"}},
		{map[string]any{"scopes": []string{}}, []string{"scopes", "at least one"}},
		{map[string]any{"scopes": `open"id`}, []string{"scopes", "character"}},
		{map[string]any{"scopes": "opénid"}, []string{"scopes", "character"}},
		{map[string]any{"config": "deflaut"}, []string{"config", "deflaut", "does not exist"}},
		{map[string]any{"config": ""}, []string{"config"}},
		{map[string]any{"scopes": "openid,manage_client_secrets"}, []string{"scopes", "manage_client_secrets", "allow_management_scopes"}},
		{map[string]any{"scopes": "read_client_secret"}, []string{"scopes", "read_client_secret", "allow_management_scopes"}},
		{map[string]any{"min_ttl": "-1s"}, []string{"min_ttl"}},
		{map[string]any{"max_ttl": "long"}, []string{"max_ttl"}},
		{map[string]any{"exclusive": "perhaps"}, []string{"exclusive"}},
		{map[string]any{"exclusive": true, "leased": false}, []string{"leased", "exclusive"}},
	} {
		t.Run(fmt.Sprint(test.data), func(t *testing.T) {
			message := m.refused(400, logical.CreateOperation, "roles/firefly", test.data)
			for _, words := range test.says {
				require.Contains(t, message, words)
			}
			require.Equal(t, before, m.read("roles/firefly").Data, "nothing is changed")
		})
	}
	require.Contains(t, m.refused(400, logical.CreateOperation, "roles/new", map[string]any{"scope": "openid"}), "scopes: at least one is required")
	require.Equal(t, []string{"firefly"}, m.list("roles/"))
}

func TestUnknownFieldIsNamed(t *testing.T) {
	m := newServingMount(t)
	for path, data := range map[string]map[string]any{
		"roles/firefly":  {"max_tll": "1h"},
		"config/default": {"max_retires": 1},
	} {
		resp := m.write(path, data)
		require.Len(t, resp.Warnings, 1)
		for field := range data {
			require.Contains(t, resp.Warnings[0], field)
		}
	}
}

func TestManagementScopesAllowed(t *testing.T) {
	m := newServingMount(t)
	m.write("config/default", map[string]any{"allow_management_scopes": true})
	m.write("roles/rotator", map[string]any{"scopes": "openid,manage_client_secrets"})
	require.NotEmpty(t, m.token("rotator"))
}

func TestRoleDeletionInvalidatesItsTokens(t *testing.T) {
	m := newServingMount(t)
	token := m.token("firefly")
	resp, err := m.delete("roles/firefly")
	require.NoError(t, err)
	require.Nil(t, resp)
	require.False(t, m.ims.Valid(token))
	require.Empty(t, tokenKeys(m))
}

func TestRoleDeletionWhileIMSIsGone(t *testing.T) {
	m := newServingMount(t)
	token := m.token("firefly")
	m.ims.Stop()
	resp, err := m.delete("roles/firefly")
	require.NoError(t, err)
	require.Len(t, resp.Warnings, 1)
	require.Contains(t, resp.Warnings[0], "connection refused")
	m.refused(400, logical.ReadOperation, "token/firefly", nil)

	// What was left behind is on record, across a restart, and for no role of
	// the same name.
	require.NoError(t, m.ims.Restart())
	m.restart()
	m.write("roles/firefly", map[string]any{"scopes": "openid, AdobeID,firefly_api"})
	require.NotEqual(t, token, m.token("firefly"))
	_, err = m.delete("roles/firefly")
	require.NoError(t, err)
	require.False(t, m.ims.Valid(token))
}

func TestDeletedRolesTokensCanBeInvalidatedLater(t *testing.T) {
	m := newServingMount(t)
	token := m.token("firefly")
	remove := m.ims.Inject(emulator.Fault{Path: emulator.InvalidatePath, Status: 500})
	resp, err := m.delete("roles/firefly")
	require.NoError(t, err)
	require.Contains(t, resp.Warnings[0], "vault delete adobeims/token/firefly")
	remove()
	_, err = m.delete("token/firefly")
	require.NoError(t, err)
	require.False(t, m.ims.Valid(token))
	require.Contains(t, refusal2(m.delete("token/firefly")), "does not exist")
}

func TestRoleStorageFailures(t *testing.T) {
	broken := errors.New("storage is broken")
	for name, test := range map[string]struct {
		op, key string
		request func(m *mount) (*logical.Response, error)
	}{
		"reading": {"get", roles.Prefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.ReadOperation, "roles/firefly", nil)
		}},
		"listing": {"list", roles.Prefix, func(m *mount) (*logical.Response, error) { return m.handle(logical.ListOperation, "roles/", nil) }},
		"checking": {"get", roles.Prefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.CreateOperation, "roles/firefly", nil)
		}},
		"loading": {"get", roles.Prefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.UpdateOperation, "roles/firefly", nil)
		}},
		"loading the config": {"get", configPath, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.UpdateOperation, "roles/firefly", map[string]any{"max_ttl": 60})
		}},
		"writing": {"put", roles.Prefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.UpdateOperation, "roles/firefly", map[string]any{"max_ttl": 60})
		}},
		"deleting": {"delete", roles.Prefix, func(m *mount) (*logical.Response, error) { return m.delete("roles/firefly") }},
		"status": {"get", tokens.Prefix, func(m *mount) (*logical.Response, error) {
			return m.handle(logical.ReadOperation, "status/firefly", nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newServingMount(t)
			before := m.read("roles/firefly").Data
			m.restart()
			m.storage.failOn(test.op, test.key, broken)
			_, err := test.request(m)
			require.Equal(t, broken, err, "as it came")
			m.storage.heal()
			require.Equal(t, before, m.read("roles/firefly").Data)
		})
	}
}

func refusal2(resp *logical.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	return resp.Error().Error()
}

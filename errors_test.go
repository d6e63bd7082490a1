// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// The config has another client, whose secret is right: nothing that could be
// written would end the token of the former one.
func TestKillSwitchOfAFormerClient(t *testing.T) {
	m := newServingMount(t)
	m.token("firefly")
	m.ims.AddClient(emulator.Client{ID: "another-client", Secrets: []string{testClientSecret}, OrgID: testOrgID})
	m.write("config/default", map[string]any{"client_id": "another-client", "client_secret": testClientSecret})

	const noSecret = "invalid client_secret parameter"
	remove := m.ims.Inject(emulator.Fault{Path: emulator.InvalidatePath, Status: 400, Code: "invalid_client", Description: noSecret})
	text := m.refused(400, logical.DeleteOperation, "token/firefly", nil)
	require.Contains(t, text, "client_id "+testClientID)
	require.Contains(t, text, "lives until ")
	require.Contains(t, text, "trying again is of no use")
	require.NotContains(t, text, "vault write")
	require.NotContains(t, text, "vault delete")
	remove()

	// Beside one of the client that the config has now.
	m.token("firefly")
	m.ims.Inject(emulator.Fault{Path: emulator.InvalidatePath, Status: 400, Code: "invalid_client", Description: noSecret})
	text = m.refused(400, logical.DeleteOperation, "token/firefly", nil)
	require.Contains(t, text, "vault write adobeims/config/default client_secret=@secret.txt")
	require.Contains(t, text, "vault delete adobeims/token/firefly")
}

// SPDX-License-Identifier: MPL-2.0

package test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/test/internal/vaulttest"
)

// Agent writes the token to a file, and the next one in time: before the first one ends.
func TestAgentRendersTokens(t *testing.T) {
	ims := startAdobe(t, 8*time.Second)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)
	agent := vault.StartAgent(t, vaulttest.AgentOptions{
		Token:     vault.TokenWithPolicy(t, `path "adobeims/token/firefly" { capabilities = ["read"] }`),
		Templates: map[string]string{"token": `{{ with secret "adobeims/token/firefly" }}{{ .Data.access_token }}{{ end }}`},
	})

	first := agent.WaitFile(t, "token", 10*time.Second, func(token string) bool { return token != "" })
	require.True(t, ims.Valid(first))
	second := agent.WaitFile(t, "token", 8*time.Second, func(token string) bool {
		require.True(t, ims.Valid(token), "at any time the file has a token that works")
		return token != first
	})
	require.True(t, ims.Valid(second))
}

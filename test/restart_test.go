// SPDX-License-Identifier: MPL-2.0

package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// Whatever dies, the next read has the token that there was, with IMS out of reach.
func TestTokenSurvivesCrashes(t *testing.T) {
	ims := startAdobe(t, time.Hour)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)
	token := readToken(t, vault)
	ims.Stop()

	t.Run("of the plugin", func(t *testing.T) {
		vault.KillPlugin(t)
		require.Equal(t, token, readToken(t, vault))
	})
	t.Run("of the machine", func(t *testing.T) {
		vault.Kill()
		vault.Restart(t)
		require.Equal(t, token, readToken(t, vault))
	})
	t.Run("of Vault", func(t *testing.T) {
		vault.KillServerOnly()
		vault.Restart(t)
		require.Equal(t, token, readToken(t, vault))
	})
	t.Run("none at all", func(t *testing.T) {
		vault.Restart(t)
		require.Equal(t, token, readToken(t, vault))
	})
}

// The plugin of a server that was killed does not live on, renewing tokens that nobody reads.
func TestPluginEndsWithVault(t *testing.T) {
	vault := vaulttest.Start(t)
	require.NotEmpty(t, vault.PluginProcesses(t))
	vault.KillServerOnly()
	vaulttest.WaitFor(t, 10*time.Second, "the plugin to end", func() error {
		if left := vault.PluginProcesses(t); len(left) > 0 {
			return fmt.Errorf("process %d lives on", left[0])
		}
		return nil
	})
}

func TestTokenSurvivesChangeOfLeader(t *testing.T) {
	ims := startAdobe(t, time.Hour)
	cluster := vaulttest.StartCluster(t)
	leader := cluster.Leader(t)
	ims.configure(t, leader)
	token := readToken(t, leader)
	ims.Stop()
	require.Equal(t, token, readToken(t, cluster.Standby(t)), "through a standby")

	leader.Kill()
	next := cluster.NewLeader(t, leader)
	require.Equal(t, token, readToken(t, next), "after the leader was killed")

	leader.Restart(t)
	next = cluster.StepDown(t)
	require.Equal(t, token, readToken(t, next), "after the leader stepped down")
	requireNoPlugin(t, cluster.Standby(t))
}

// requireNoPlugin is for a standby. OpenBao's serve reads, and so run the plugin.
func requireNoPlugin(t *testing.T, standby *vaulttest.Server) {
	t.Helper()
	if !vaulttest.OpenBao() {
		require.Empty(t, standby.PluginProcesses(t), "a standby runs no plugin")
	}
}

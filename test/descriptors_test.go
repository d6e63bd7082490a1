// SPDX-License-Identifier: MPL-2.0

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// openFiles is how many descriptors the plugin has open. Where the system does not
// tell, it is none.
func openFiles(t *testing.T, vault *vaulttest.Server) int {
	t.Helper()
	plugins := vault.PluginProcesses(t)
	require.Len(t, plugins, 1)
	open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", plugins[0]))
	require.NoError(t, err)
	return len(open)
}

// Three hundred writes of configs, each of which reaches IMS in another way, leave no
// connections behind.
func TestConfigWritesLeaveNothingOpen(t *testing.T) {
	t.Parallel()
	const writes, few = 300, 12
	ims := startAdobe(t, time.Hour)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)
	readToken(t, vault)
	before := openFiles(t, vault)
	elsewhere := strings.Replace(ims.URL, "127.0.0.1", "localhost", 1)
	for i := range writes {
		data := credential([]string{ims.URL, elsewhere}[i%2], vaulttest.Data{"request_timeout": 1 + i%60, "max_retries": i % 3})
		vault.Write(t, fmt.Sprintf("adobeims/config/c%d", i%5), data)
	}
	require.GreaterOrEqual(t, ims.mints(), writes, "each was proven")
	during := openFiles(t, vault)
	for i := range 5 {
		vault.Delete(t, fmt.Sprintf("adobeims/config/c%d", i))
	}
	vaulttest.WaitFor(t, 5*time.Second, "the connections to be closed", func() error {
		if open := openFiles(t, vault); open > before+few {
			return fmt.Errorf("%d are open; before it were %d", open, before)
		}
		return nil
	})
	t.Logf("%d descriptors before, %d after %d writes, %d in the end", before, during, writes, openFiles(t, vault))
	require.LessOrEqual(t, during, before+2*few, "of five configs")
	if _, err := os.Stat("/proc/self/fd"); err == nil {
		require.Positive(t, before)
	}
	require.NotEmpty(t, readToken(t, vault))
}

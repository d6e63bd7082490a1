// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// clockTick is the unit of the times in /proc: USER_HZ, which is 100 on every
// architecture that Go has.
const clockTick = 10 * time.Millisecond

// processorTime is what a process has used up so far; 0 without a /proc.
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b, err)
	// Behind the program's name, in parentheses, utime and stime are the 12th
	// and the 13th field.
	line := string(stat)
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	require.Greater(b, len(fields), 12)
	var ticks time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		require.NoError(b, err)
		ticks += time.Duration(n)
	}
	return ticks * clockTick
}

// pluginPID is the process of a plugin of the server, by the plugin's file.
func pluginPID(b *testing.B, vault *vaulttest.Server, plugin string) int {
	b.Helper()
	for _, pid := range vault.PluginProcesses(b) {
		program, _, _ := strings.Cut(ps(b, pid, "args"), " ")
		if filepath.Base(program) == plugin {
			return pid
		}
	}
	b.Fatalf("the plugin %s is not running", plugin)
	return 0
}

// residentMemory is in KiB.
func residentMemory(b *testing.B, pid int) float64 {
	b.Helper()
	kib, err := strconv.ParseFloat(ps(b, pid, "rss"), 64)
	require.NoError(b, err)
	return kib
}

// ps is what ps shows of a process in a column.
func ps(b *testing.B, pid int, column string) string {
	b.Helper()
	out, err := exec.Command("ps", "-o", column+"=", "-p", strconv.Itoa(pid)).Output()
	require.NoError(b, err)
	return strings.TrimSpace(string(out))
}

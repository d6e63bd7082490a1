// SPDX-License-Identifier: MPL-2.0

package test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The demo gets as far as a token, stays, and is gone without a trace after Ctrl-C.
func TestDemo(t *testing.T) {
	temp := t.TempDir()
	demo := exec.Command("../scripts/demo.sh")
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "ADOBE_") && !strings.HasPrefix(variable, "DEMO_") {
			demo.Env = append(demo.Env, variable)
		}
	}
	demo.Env = append(demo.Env, "TMPDIR="+temp)
	demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := demo.StdoutPipe()
	require.NoError(t, err)
	demo.Stderr = os.Stderr
	require.NoError(t, demo.Start())
	defer time.AfterFunc(3*time.Minute, func() { _ = syscall.Kill(-demo.Process.Pid, syscall.SIGKILL) }).Stop()

	var output strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		output.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ctrl-C stops everything") {
			require.NoError(t, demo.Process.Signal(syscall.SIGINT))
		}
	}
	require.NoError(t, demo.Wait(), "%s", output.String())

	require.Regexp(t, `(?m)^access_token +eyJ`, output.String())
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
}

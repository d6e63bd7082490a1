// SPDX-License-Identifier: MPL-2.0

// Package integrations tests the plugin together with programs that are heavy to
// build: Prometheus. `make test-integrations` runs it; without PROMETHEUS_DIR,
// where prometheus and promtool are, there is nothing to run.
package integrations

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// examples are what the tests run: the files that the documentation hands out.
const examples = "../../examples/monitoring/"

func TestMain(m *testing.M) {
	if os.Getenv("PROMETHEUS_DIR") == "" {
		return // `go test ./...` is `make test`'s
	}
	os.Exit(vaulttest.Main(m))
}

func tool(name string) string { return filepath.Join(os.Getenv("PROMETHEUS_DIR"), name) }

// vaultProgram is the server under test, which is the Agent too.
func vaultProgram(t *testing.T) string {
	t.Helper()
	path, err := exec.Command("../../scripts/vault.sh").Output()
	require.NoError(t, err)
	return string(path[:len(path)-1])
}

func example(t *testing.T, name string) string {
	t.Helper()
	contents, err := os.ReadFile(examples + name)
	require.NoError(t, err)
	return string(contents)
}

// start runs a program until the test ends; its log is told if the test failed. A
// watchdog ends it if this process is killed, when Go cleans nothing up.
func start(t *testing.T, program string, args ...string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), filepath.Base(program)+".log")
	file, err := os.Create(log)
	require.NoError(t, err)
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = file, file
	require.NoError(t, cmd.Start())
	require.NoError(t, file.Close())

	watchdog := exec.Command("sh", "-c", `trap "" INT TERM HUP; read -r _; kill -9 "$1"`, "sh", strconv.Itoa(cmd.Process.Pid))
	watchdog.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	leash, err := watchdog.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, watchdog.Start())

	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(ended)
	}()
	t.Cleanup(func() {
		_ = watchdog.Process.Kill()
		_ = watchdog.Wait()
		_ = leash.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			contents, _ := os.ReadFile(log)
			t.Logf("The end of the log of %s:\n%s", program, contents[max(0, len(contents)-4000):])
		}
	})
}

// run runs a program that is to succeed.
func run(t *testing.T, program string, args ...string) {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

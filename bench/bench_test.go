// SPDX-License-Identifier: MPL-2.0

// Package bench measures the engine inside a real Vault server with integrated
// storage, against the emulator of Adobe. `make bench` runs it, on a machine
// that does nothing else. It has no tests.
//
// Throughput differs by several percent between mounts that are the same, and
// from minute to minute; processor time does not. Reads are therefore judged by
//
//	cpu-us/op     processor time of Vault and the plugin for a read, in µs
//	plugin-us/op  the plugin's part of it
//
// which Linux tells (/proc). Elsewhere there is ns/op only.
//
// The mounts take turns in short rounds, each a benchmark of its own. To put
// the rounds together, and the mounts side by side:
//
//	make bench | tee new.txt
//	benchstat -row .name,/role -col /mount -ignore /round new.txt
//	benchstat -ignore /round old.txt new.txt
//
// Environment variables, besides those of package vaulttest:
//
//   - PLUGIN_BIN_BEFORE: another binary of the plugin, such as one built from
//     the commit before, to be measured beside today's in the same run.
//   - BENCH_CLIENTS: how many clients read at once. By default 32.
//   - BENCH_ROUNDS: rounds of each mount. By default 6.
//   - BENCH_ROLES: roles in the mount that has many. By default 10,000.
package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// The plugins by their file names, which are those of their mounts too. The one
// under test is mounted at vaulttest.Mount.
const (
	engine   = vaulttest.PluginName
	before   = "before"
	constant = "constant"
)

const (
	clientID     = "cm-p1234-bench-0"
	clientSecret = "p8e-bench"
	orgID        = "0123456789ABCDEF01234567@AdobeOrg"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		return // `go test ./...` has nothing to find or to build here
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bench")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = preparePlugins(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return vaulttest.Main(m)
}

// preparePlugins puts all plugins into one directory, since Vault has one, and
// allows no symbolic links there.
func preparePlugins(dir string) error {
	if err := build(filepath.Join(dir, constant), "bench/constant"); err != nil {
		return err
	}
	if path := os.Getenv("PLUGIN_BIN_BEFORE"); path != "" {
		if err := copyFile(path, filepath.Join(dir, before)); err != nil {
			return fmt.Errorf("PLUGIN_BIN_BEFORE: %w", err)
		}
	}
	today := filepath.Join(dir, engine)
	if path := os.Getenv("PLUGIN_BIN"); path != "" {
		if err := copyFile(path, today); err != nil {
			return fmt.Errorf("PLUGIN_BIN: %w", err)
		}
	} else if err := build(today, "cmd/"+engine); err != nil {
		return err
	}
	return os.Setenv("PLUGIN_BIN", today)
}

// build makes a binary as `make build` does.
func build(binary, pkg string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../"+pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	return nil
}

func copyFile(from, to string) error {
	contents, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, contents, 0o700)
}

// engines are the mounts of this plugin: today's, and the one from before if
// there is one.
func engines() []string {
	if os.Getenv("PLUGIN_BIN_BEFORE") == "" {
		return []string{engine}
	}
	return []string{engine, before}
}

// start starts IMS and a Vault with the engines mounted and configured.
func start(b *testing.B) (*vaulttest.Server, *emulator.Server) {
	b.Helper()
	ims := emulator.New(emulator.Options{})
	ims.AddClient(emulator.Client{ID: clientID, Secrets: []string{clientSecret}})
	url, err := ims.Start("")
	require.NoError(b, err)
	b.Cleanup(ims.Stop)

	vault := vaulttest.Start(b, vaulttest.Options{LogLevel: "info"})
	for _, mount := range engines() {
		if mount != engine {
			vault.MountBeside(b, mount)
		}
		vault.Write(b, path(mount, "config/default"), vaulttest.Data{
			"client_id": clientID, "client_secret": clientSecret, "org_id": orgID, "ims_url": url,
		})
	}
	return vault, ims
}

func path(mount, rest string) string {
	if mount == engine {
		return vaulttest.Mount + rest
	}
	return mount + "/" + rest
}

// setting is the value of an environment variable, which has to be positive.
func setting(b *testing.B, variable string, otherwise int) int {
	b.Helper()
	value := os.Getenv(variable)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		b.Fatalf("%s=%s is not a positive number", variable, value)
	}
	return n
}

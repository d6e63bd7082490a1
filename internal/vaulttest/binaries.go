// SPDX-License-Identifier: MPL-2.0

// Package vaulttest runs the plugin inside real Vault servers: one server, a
// cluster of three, and Vault Agent, all on loopback addresses and in
// directories of their own that are gone after the test.
//
// Environment variables say with what:
//
//   - VAULT_BIN: the server, any release of Vault, or OpenBao's bao. By default
//     scripts/vault.sh finds or builds one.
//   - PLUGIN_BIN: the plugin. By default it is built from this tree, with the
//     race detector if the tests have it.
package vaulttest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// PluginName is the name that the plugin is registered under, and the path of
// its package in cmd/.
const PluginName = "vault-plugin-secrets-adobeims"

// binaries are the programs that the tests run.
type binaries struct {
	server  string
	openBao bool
	plugin  string
	scratch string // what was built here; Main removes it
}

// prepare is done once, before any program is started: a program that is still
// open for writing in one thread cannot be executed by another (ETXTBSY).
var prepare = sync.OnceValues(func() (*binaries, error) {
	forgetEnvironment()
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	b := &binaries{}
	if err := b.findServer(root); err != nil {
		return nil, err
	}
	if err := b.findPlugin(root); err != nil {
		return nil, err
	}
	return b, nil
})

// Main is what TestMain has to call: it finds or builds the binaries, runs the
// tests and cleans up.
func Main(m *testing.M) int {
	b, err := prepare()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vaulttest:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(b.scratch) }()
	return m.Run()
}

// OpenBao reports whether the server under test is OpenBao's, for what differs
// there.
func OpenBao() bool {
	b, err := prepare()
	return err == nil && b.openBao
}

// PluginBinary is the path of the plugin under test.
func PluginBinary(t testing.TB) string {
	t.Helper()
	b, err := prepare()
	check(t, err, "prepare the binaries")
	return b.plugin
}

// forgetEnvironment drops what whoever runs the tests has set for another
// Vault: address, token, namespace and the like would reach the servers and the
// API client. An Enterprise binary needs its licence.
func forgetEnvironment() {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		mine := name == "VAULT_BIN" || strings.HasPrefix(name, "VAULT_LICENSE")
		if (strings.HasPrefix(name, "VAULT_") || strings.HasPrefix(name, "BAO_")) && !mine {
			_ = os.Unsetenv(name) // fails for an invalid name only
		}
	}
}

// moduleRoot is the first directory above the test's own that has the script.
// (runtime.Caller knows no directories with -trimpath.)
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "scripts", "vault.sh")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("found no scripts/vault.sh above the working directory")
}

func (b *binaries) findServer(root string) error {
	path, err := output(root, filepath.Join(root, "scripts", "vault.sh"))
	if err != nil {
		return fmt.Errorf("no Vault server to test with: %w", err)
	}
	version, err := output(root, path, "version")
	if err != nil {
		return fmt.Errorf("%s version: %w", path, err)
	}
	fmt.Fprintf(os.Stderr, "vaulttest: %s (%s)\n", version, path)
	b.server = path
	b.openBao = strings.HasPrefix(version, "OpenBao")
	return nil
}

func (b *binaries) findPlugin(root string) error {
	plugin := os.Getenv("PLUGIN_BIN")
	if plugin == "" {
		scratch, err := os.MkdirTemp("", "vaulttest")
		if err != nil {
			return err
		}
		b.scratch = scratch
		plugin = filepath.Join(scratch, PluginName)
		args := []string{"build", "-o", plugin}
		if raceDetector {
			args = append(args, "-race")
		}
		if _, err := output(root, "go", append(args, "./cmd/"+PluginName)...); err != nil {
			return fmt.Errorf("the plugin does not build: %w", err)
		}
	}
	// Vault wants its plugin directory free of symbolic links.
	plugin, err := filepath.EvalSymlinks(plugin)
	if err != nil {
		return fmt.Errorf("PLUGIN_BIN: %w", err)
	}
	b.plugin, err = filepath.Abs(plugin)
	return err
}

// output runs a command in dir and returns the first line that it prints; its
// stderr is the person's to see.
func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return string(line), err
}

func sha256OfFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

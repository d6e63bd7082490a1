// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const startTimeout = 60 * time.Second

// vault is a server of one node with integrated storage, unsealed, and without
// an audit device.
type vault struct {
	dir     string // removed at the end; its folder bin is the plugin directory
	address string
	token   string
	client  *http.Client
	process *exec.Cmd
	ended   chan struct{} // closed when the process has
}

// data is the JSON object of a request or an answer.
type data = map[string]any

// startVault starts a server in a directory of its own and mounts nothing.
func startVault(ctx context.Context, binary string, clients int) (*vault, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxIdleConns: clients, MaxIdleConnsPerHost: clients}
	v := &vault{dir: dir, client: &http.Client{Transport: transport}}
	if err := v.start(ctx, binary); err != nil {
		return nil, errors.Join(err, v.stop())
	}
	return v, nil
}

func (v *vault) start(ctx context.Context, binary string) (err error) {
	// Vault wants its plugin directory free of symbolic links.
	if v.dir, err = filepath.EvalSymlinks(v.dir); err != nil {
		return err
	}
	for _, folder := range []string{"bin", "data"} {
		if err := os.Mkdir(v.file(folder), 0o700); err != nil {
			return err
		}
	}
	if err := v.configure(); err != nil {
		return err
	}
	if err := v.launch(binary); err != nil {
		return err
	}
	if err := v.retry(ctx, "answer", func() error {
		return v.call(ctx, http.MethodGet, "sys/seal-status", nil, nil)
	}); err != nil {
		return err
	}
	return v.unseal(ctx)
}

func (v *vault) configure() error {
	port, err := freePort()
	if err != nil {
		return err
	}
	clusterPort, err := freePort()
	if err != nil {
		return err
	}
	v.address = fmt.Sprintf("http://127.0.0.1:%d", port)
	config := fmt.Sprintf(`
disable_mlock    = true
log_level        = "error"
plugin_directory = %q
api_addr         = %q
cluster_addr     = "https://127.0.0.1:%d"
listener "tcp" {
  address         = "127.0.0.1:%d"
  cluster_address = "127.0.0.1:%d"
  tls_disable     = true
}
storage "raft" {
  path                   = %q
  node_id                = "bench"
  performance_multiplier = 1
}
`, v.file("bin"), v.address, clusterPort, port, clusterPort, v.file("data"))
	return os.WriteFile(v.file("config.hcl"), []byte(config), 0o600)
}

func (v *vault) launch(binary string) error {
	log, err := os.Create(v.file("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	v.process = exec.Command(binary, "server", "-config="+v.file("config.hcl")) //nolint:gosec // a program of the user's choice
	v.process.Stdout, v.process.Stderr = log, log
	v.process.Env = append(os.Environ(), "TMPDIR="+v.dir) // where the plugins' sockets are
	// A group of its own: an interrupt from the keyboard is this program's to
	// pass on, and the plugins end with their server.
	v.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := v.process.Start(); err != nil {
		return err
	}
	v.ended = make(chan struct{})
	go func() {
		_ = v.process.Wait() // how it ended is in its log
		close(v.ended)
	}()
	return nil
}

func (v *vault) unseal(ctx context.Context) error {
	var keys struct {
		Keys      []string `json:"keys"`
		RootToken string   `json:"root_token"`
	}
	err := v.call(ctx, http.MethodPut, "sys/init", data{"secret_shares": 1, "secret_threshold": 1}, &keys)
	if err != nil {
		return err
	}
	if err := v.call(ctx, http.MethodPut, "sys/unseal", data{"key": keys.Keys[0]}, nil); err != nil {
		return err
	}
	v.token = keys.RootToken
	return v.retry(ctx, "become active", func() error {
		return v.call(ctx, http.MethodGet, "sys/health", nil, nil)
	})
}

// mount builds a plugin, registers it with its environment and mounts it.
func (v *vault) mount(ctx context.Context, at, pkg string, env ...string) error {
	name := filepath.Base(pkg)
	binary := filepath.Join(v.file("bin"), name)
	// As `make build` does it.
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, pkg) //nolint:gosec // packages of this module
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	contents, err := os.ReadFile(binary) //nolint:gosec // built just now
	if err != nil {
		return err
	}
	sum := sha256.Sum256(contents)
	err = v.write(ctx, "sys/plugins/catalog/secret/"+name, data{"command": name, "sha256": hex.EncodeToString(sum[:]), "env": env})
	if err != nil {
		return err
	}
	return v.write(ctx, "sys/mounts/"+at, data{"type": name})
}

// pluginPID is the process of a plugin, named as its binary.
func (v *vault) pluginPID(ctx context.Context, name string) (int, error) {
	// ps rather than /proc, which macOS does not have.
	out, err := exec.CommandContext(ctx, "ps", "-A", "-o", "pid=,ppid=,args=").Output()
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		var program string
		if _, err := fmt.Sscan(line, &pid, &parent, &program); err != nil {
			continue
		}
		if parent == v.process.Process.Pid && filepath.Base(program) == name {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("the plugin %s is not running", name)
}

func (v *vault) write(ctx context.Context, path string, body data) error {
	return v.call(ctx, http.MethodPut, path, body, nil)
}

// read returns the data of a secret.
func (v *vault) read(ctx context.Context, path string) (data, error) {
	var secret struct {
		Data data `json:"data"`
	}
	err := v.call(ctx, http.MethodGet, path, nil, &secret)
	return secret.Data, err
}

func (v *vault) call(ctx context.Context, method, path string, body, answer any) error {
	var sent io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, v.address+"/v1/"+path, sent)
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", v.token)
	resp, err := v.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	received, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(received))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(received, answer)
}

// retry calls done until it succeeds.
func (v *vault) retry(ctx context.Context, what string, done func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := done()
		if err == nil {
			return nil
		}
		select {
		case <-v.ended:
			log, _ := os.ReadFile(v.file("log"))
			return fmt.Errorf("the server ended at once:\n%s", log)
		case <-ctx.Done():
			return fmt.Errorf("the server did not %s: %w", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the server with its plugins and removes its directory.
func (v *vault) stop() error {
	if v.ended != nil {
		group := v.process.Process.Pid
		_ = v.process.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-v.ended:
		case <-time.After(15 * time.Second):
		}
		_ = syscall.Kill(-group, syscall.SIGKILL) // fails if nothing is left, as it should be
		<-v.ended
	}
	return os.RemoveAll(v.dir)
}

func (v *vault) file(name string) string { return filepath.Join(v.dir, name) }

// freePort is a port that nobody listens on at the moment.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

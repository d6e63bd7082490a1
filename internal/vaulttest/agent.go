// SPDX-License-Identifier: MPL-2.0

package vaulttest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// AgentOptions say what a Vault Agent does.
type AgentOptions struct {
	Token     string            // what it logs in with
	Templates map[string]string // by the name of the file it writes; see Agent.File
	Config    string            // HCL, added to its configuration
}

// Agent is a Vault Agent that renders templates.
type Agent struct {
	dir     string
	process *process
}

// StartAgent starts an Agent of this server. The end of the test ends it.
func (s *Server) StartAgent(t testing.TB, options AgentOptions) *Agent {
	t.Helper()
	dir, err := os.MkdirTemp("", "vta")
	check(t, err, "make a directory for the agent")
	a := &Agent{dir: dir}
	t.Cleanup(func() { a.cleanUp(t) })

	check(t, os.WriteFile(a.path("token"), []byte(options.Token), 0o600), "write the agent's token")
	check(t, os.WriteFile(a.path("config.hcl"), []byte(a.config(s.Addr, options)), 0o600), "write the agent's configuration")
	a.process, err = startProcess(a.path("log"), nil, s.bin.server, "agent", "-config="+a.path("config.hcl"), "-log-level=trace")
	check(t, err, "start the agent")
	return a
}

func (a *Agent) config(address string, options AgentOptions) string {
	var config strings.Builder
	fmt.Fprintf(&config, `
vault {
  address = %q
}
auto_auth {
  method "token_file" {
    config = {
      token_file_path = %q
    }
  }
}
`, address, a.path("token"))
	for name, contents := range options.Templates {
		fmt.Fprintf(&config, "template {\n  contents    = %q\n  destination = %q\n}\n", contents, a.Path(name))
	}
	return config.String() + options.Config
}

// File is what the agent has rendered into this file so far.
func (a *Agent) File(name string) string { return readFile(a.Path(name)) }

// Path is where that file is.
func (a *Agent) Path(name string) string { return filepath.Join(a.dir, "rendered", name) }

// WaitFile waits until the file satisfies the condition, and returns its
// contents.
func (a *Agent) WaitFile(t testing.TB, name string, timeout time.Duration, satisfies func(contents string) bool) string {
	t.Helper()
	var contents string
	WaitFor(t, timeout, "the agent to render "+name, func() error {
		if contents = a.File(name); satisfies(contents) {
			return nil
		}
		if a.process.ended() {
			return fmt.Errorf("the agent has ended")
		}
		return fmt.Errorf("it has %d bytes", len(contents))
	})
	return contents
}

// Logs is all that the agent has logged, at trace level.
func (a *Agent) Logs() string { return readFile(a.path("log")) }

// Kill ends the agent with SIGKILL.
func (a *Agent) Kill() { a.process.kill() }

// path is a file of the agent's own.
func (a *Agent) path(name string) string { return filepath.Join(a.dir, name) }

func (a *Agent) cleanUp(t testing.TB) {
	t.Helper()
	if a.process != nil {
		a.process.kill()
	}
	if t.Failed() {
		t.Logf("The end of the agent's log:\n%s", lastLines(withoutNoise(a.Logs()), 30))
	}
	_ = os.RemoveAll(a.dir)
}

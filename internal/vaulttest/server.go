// SPDX-License-Identifier: MPL-2.0

package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
)

// Mount is where the plugin is mounted.
const Mount = "adobeims/"

const (
	startTimeout = 60 * time.Second
	bindError    = "address already in use"
)

// Options of a server. The zero value is good.
type Options struct {
	Env      []string // added to the environment of the server, which the plugin inherits
	Audit    bool     // enable an audit device; see AuditLog
	Config   string   // HCL, added to the server's configuration
	Plugin   string   // another plugin binary than the one under test
	LogLevel string   // "" = trace, so that RequireNotLogged looks at everything
}

// Server is a Vault server with integrated storage.
type Server struct {
	Addr      string // http://127.0.0.1:port
	RootToken string

	bin        *binaries
	options    Options
	name       string
	dir        string
	unsealKey  string
	apiPort    int
	clusterURL string

	mu        sync.Mutex
	process   *process
	processes []*process // all that there were: a killed server may have left its plugin behind
}

// Start starts a server, initialises and unseals it, and mounts the plugin at
// Mount. The end of the test ends it; a test that failed gets the end of the
// server's log.
func Start(t testing.TB, options ...Options) *Server {
	t.Helper()
	s := newServer(t, "server", options)
	s.initialize(t)
	s.Unseal(t)
	s.WaitActive(t)
	s.mountPlugin(t)
	return s
}

// newServer starts a server and leaves it as it is then: not initialised.
func newServer(t testing.TB, name string, options []Options) *Server {
	t.Helper()
	bin, err := prepare()
	check(t, err, "prepare the binaries")
	// Main has read them before go test looks at what its cached results depend
	// on.
	_, _ = os.Getenv("VAULT_BIN"), os.Getenv("PLUGIN_BIN")
	s := &Server{bin: bin, name: name}
	if len(options) > 0 {
		s.options = options[0]
	}
	if s.options.Plugin == "" {
		s.options.Plugin = bin.plugin
	}
	if s.options.LogLevel == "" {
		s.options.LogLevel = "trace"
	}
	// Not t.TempDir: its long names would take the plugin's Unix sockets beyond
	// what a path of one may be.
	s.dir, err = os.MkdirTemp("", "vt")
	check(t, err, "make a directory for the server")
	s.dir, err = filepath.EvalSymlinks(s.dir)
	check(t, err, "find the server's directory")
	t.Cleanup(func() { s.cleanUp(t) })
	check(t, os.MkdirAll(filepath.Join(s.dir, "data"), 0o700), "make the storage directory")

	for range 5 { // somebody may take a port between its choice and its use
		s.configure(t)
		if err = s.launch(t); err == nil {
			return s
		}
	}
	t.Fatalf("%s: %v", name, err)
	return nil
}

// configure chooses ports and writes the configuration file.
func (s *Server) configure(t testing.TB) {
	t.Helper()
	var clusterPort int
	s.apiPort, clusterPort = freePort(t), freePort(t)
	s.Addr = fmt.Sprintf("http://127.0.0.1:%d", s.apiPort)
	s.clusterURL = fmt.Sprintf("https://127.0.0.1:%d", clusterPort)
	// The performance multiplier gives a new leader within a second or two, in
	// place of ten; the intervals make a new node of a cluster a voter as
	// quickly.
	config := fmt.Sprintf(`
disable_mlock    = true
plugin_directory = %q
api_addr         = %q
cluster_addr     = %q
listener "tcp" {
  address         = "127.0.0.1:%d"
  cluster_address = "127.0.0.1:%d"
  tls_disable     = true
}
storage "raft" {
  path                         = %q
  node_id                      = %q
  performance_multiplier       = 1
  autopilot_update_interval    = "200ms"
  autopilot_reconcile_interval = "200ms"
}
`, filepath.Dir(s.options.Plugin), s.Addr, s.clusterURL, s.apiPort, clusterPort,
		filepath.Join(s.dir, "data"), s.name)
	if s.bin.openBao && s.options.Audit {
		config += "unsafe_allow_api_audit_creation = true\n" // OpenBao's default is the configuration file only
	}
	check(t, os.WriteFile(s.file("config.hcl"), []byte(config+s.options.Config), 0o600), "write config.hcl")
}

// launch starts the server's process and waits until it answers.
func (s *Server) launch(t testing.TB) error {
	t.Helper()
	before := len(s.Logs())
	// The plugin's sockets go to the directory that is removed at the end.
	env := append([]string{"TMPDIR=" + s.dir, "GORACE=atexit_sleep_ms=0"}, s.options.Env...)
	p, err := startProcess(s.file("log"), env, s.bin.server, "server",
		"-config="+s.file("config.hcl"), "-log-level="+s.options.LogLevel)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.process = p
	s.processes = append(s.processes, p)
	s.mu.Unlock()

	client := s.Client(t)
	return poll(startTimeout, func() (bool, error) {
		if p.ended() {
			return true, fmt.Errorf("it ended at once:\n%s", lastLines(s.Logs()[before:], 10))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := client.Sys().SealStatusWithContext(ctx)
		return err == nil, err
	})
}

func (s *Server) initialize(t testing.TB) {
	t.Helper()
	answer, err := s.Client(t).Sys().Init(&api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	check(t, err, "initialise "+s.name)
	s.unsealKey, s.RootToken = answer.KeysB64[0], answer.RootToken
}

// Unseal unseals the server.
func (s *Server) Unseal(t testing.TB) {
	t.Helper()
	client := s.Client(t)
	unseal := func() (*api.SealStatusResponse, error) { return client.Sys().Unseal(s.unsealKey) }
	WaitFor(t, startTimeout, s.name+" to be unsealed", func() error {
		status, err := unseal()
		if err != nil {
			return err // as long as a member of a cluster has not found the others
		}
		// Not twice: a member that is given its key again while it joins
		// unseals twice, and runs two elections from then on.
		unseal = client.Sys().SealStatus
		if status.Sealed {
			return errors.New("sealed")
		}
		return nil
	})
}

// WaitActive waits until the server serves requests itself.
func (s *Server) WaitActive(t testing.TB) {
	t.Helper()
	WaitFor(t, startTimeout, s.name+" to be active", func() error {
		standby, err := s.health()
		if err == nil && standby {
			err = errors.New("it is a standby")
		}
		return err
	})
}

// WaitHealthy waits until the server serves requests: itself, or as a standby
// through a leader.
func (s *Server) WaitHealthy(t testing.TB) {
	t.Helper()
	client := s.Client(t)
	WaitFor(t, startTimeout, s.name+" to be healthy", func() error {
		standby, err := s.health()
		if err != nil || !standby {
			return err
		}
		// After a restart a server that was the leader may still name itself.
		leader, err := client.Sys().Leader()
		if err == nil && (leader.LeaderAddress == "" || leader.LeaderAddress == s.Addr) {
			err = errors.New("it knows no leader")
		}
		return err
	})
}

// health reports whether the server is a standby, or what is wrong with it.
func (s *Server) health() (standby bool, err error) {
	client, err := s.newClient("")
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	health, err := client.Sys().HealthWithContext(ctx)
	if err != nil {
		return false, err
	}
	if health.Sealed || !health.Initialized {
		return false, errors.New("it is sealed")
	}
	return health.Standby, nil
}

// mountPlugin enables the audit device if there is to be one, registers the
// plugin and mounts it.
func (s *Server) mountPlugin(t testing.TB) {
	t.Helper()
	if s.options.Audit {
		check(t, s.Client(t).Sys().EnableAuditWithOptions("file", &api.EnableAuditOptions{
			Type:    "file",
			Options: map[string]string{"file_path": s.file("audit.log")},
		}), "enable the audit device")
	}
	s.Register(t)
	check(t, s.Client(t).Sys().Mount(strings.TrimSuffix(Mount, "/"), &api.MountInput{Type: PluginName}), "mount the plugin")
}

// Register registers the plugin in the server's catalogue by its checksum. To
// be done again when the binary was replaced.
func (s *Server) Register(t testing.TB) {
	t.Helper()
	s.register(t, PluginName, filepath.Base(s.options.Plugin), nil)
}

func (s *Server) register(t testing.TB, name, command string, env []string) {
	t.Helper()
	sum, err := sha256OfFile(filepath.Join(filepath.Dir(s.options.Plugin), command))
	check(t, err, "read the plugin")
	check(t, s.Client(t).Sys().RegisterPlugin(&api.RegisterPluginInput{
		Name:    name,
		Type:    api.PluginTypeSecrets,
		Command: command,
		SHA256:  sum,
		Env:     env,
	}), "register the plugin "+name)
}

// MountBeside mounts another plugin, which lies in the directory of the one
// under test and gives its file name to the catalogue and the mount.
func (s *Server) MountBeside(t testing.TB, name string, env ...string) {
	t.Helper()
	s.register(t, name, name, env)
	check(t, s.Client(t).Sys().Mount(name, &api.MountInput{Type: name}), "mount the plugin "+name)
}

// Kill ends the server and its plugins with SIGKILL, as a power cut would.
func (s *Server) Kill() { s.current().kill() }

// KillServerOnly ends the server with SIGKILL and not the plugin's process, as
// the kernel does that runs out of memory.
func (s *Server) KillServerOnly() { s.current().killAlone() }

// Stop ends the server in an orderly way.
func (s *Server) Stop() { s.current().stop() }

// KillPlugin ends the plugin's process with SIGKILL, and waits until the server
// has started another, which it does at a request. As long as it has not
// noticed, requests fail; that takes it a moment.
func (s *Server) KillPlugin(t testing.TB) {
	t.Helper()
	if s.current().killChildren(t) == 0 {
		t.Fatalf("%s has no plugin running", s.name)
	}
	client := s.Client(t)
	WaitFor(t, 10*time.Second, "another plugin process", func() error {
		_, err := client.Logical().Read(Mount + "info")
		var answer *api.ResponseError
		if errors.As(err, &answer) && answer.StatusCode < http.StatusInternalServerError {
			return nil // another plugin than ours, but one that runs
		}
		return err
	})
}

// PID is the process ID of the server itself.
func (s *Server) PID() int { return s.current().pid() }

// PluginProcesses are the process IDs of the plugins running: none on a
// standby.
func (s *Server) PluginProcesses(t testing.TB) []int {
	t.Helper()
	return s.current().children(t)
}

// Launch starts a server that was ended, on the same storage and ports, and
// leaves it sealed.
func (s *Server) Launch(t testing.TB) {
	t.Helper()
	if !s.current().ended() {
		t.Fatalf("%s is running already", s.name)
	}
	// The port may be taken for a moment by a connection of somebody else's.
	WaitFor(t, startTimeout, s.name+" to start again", func() error { return s.launch(t) })
}

// Restart ends the server in an orderly way if it runs, starts and unseals it.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if !s.current().ended() {
		s.Stop()
	}
	s.Launch(t)
	s.Unseal(t)
	s.WaitHealthy(t)
}

// Logs is all that the server and its plugin have logged, restarts included.
func (s *Server) Logs() string { return readFile(s.file("log")) }

// AuditLog is what the audit device has written.
func (s *Server) AuditLog() string { return readFile(s.file("audit.log")) }

// RequireNotLogged fails the test if one of the secrets is in the server's log
// or its audit log.
func (s *Server) RequireNotLogged(t testing.TB, secrets ...string) {
	t.Helper()
	logs, audit := s.Logs(), s.AuditLog()
	if logs == "" {
		t.Fatal("the server's log is empty, so its contents prove nothing")
	}
	for i, secret := range secrets {
		switch {
		case secret == "":
			t.Fatalf("secret %d is empty", i)
		case strings.Contains(logs, secret):
			t.Fatalf("secret %d is in the server's log", i)
		case strings.Contains(audit, secret):
			t.Fatalf("secret %d is in the audit log", i)
		}
	}
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

func (s *Server) cleanUp(t testing.TB) {
	t.Helper()
	for _, p := range s.processes {
		p.kill()
	}
	logs := s.Logs()
	for _, trouble := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if at := strings.Index(logs, trouble); at >= 0 {
			t.Errorf("%s has logged:\n%s", s.name, firstLines(logs[at:], 60))
		}
	}
	if t.Failed() {
		t.Logf("The end of the log of %s:\n%s", s.name, lastLines(withoutNoise(logs), 40))
	}
	_ = os.RemoveAll(s.dir)
}

// freePort is a port that nobody listens on at the moment.
func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err, "find a free port")
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

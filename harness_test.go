// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const (
	testClientID     = "e053e1a8c0ffee00e053e1a8c0ffee00"
	testClientSecret = "p8e-s3cr3t-of-the-tests_0123456789"
	testOrgID        = "0123456789ABCDEF@AdobeOrg"
	tokenLife        = 24 * time.Hour
)

// mount is a mounted backend beside an emulated Adobe, both on one clock.
type mount struct {
	t       testing.TB
	backend *backend
	storage *testStorage
	system  *logical.StaticSystemView
	clock   *clockwork.FakeClock
	ims     *emulator.Server
	imsURL  string
	log     *logBuffer
	events  *logical.MockEventSender
}

// newMount mounts a backend with nothing written to it.
func newMount(t testing.TB) *mount {
	t.Helper()
	// Tokens' times are whole seconds in answers, so tests start on one.
	clock := clockwork.NewFakeClockAt(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	server := emulator.New(emulator.Options{Clock: clock, TokenLife: tokenLife})
	server.AddClient(emulator.Client{ID: testClientID, Secrets: []string{testClientSecret}, OrgID: testOrgID})
	url, err := server.Start("")
	require.NoError(t, err)
	t.Cleanup(server.Stop)

	m := &mount{
		t:       t,
		storage: &testStorage{Storage: &logical.InmemStorage{}, calls: map[string]int{}},
		system: &logical.StaticSystemView{
			DefaultLeaseTTLVal: time.Hour,
			MaxLeaseTTLVal:     32 * 24 * time.Hour,
			PluginEnvironment:  &logical.PluginEnvironment{VaultVersion: "1.21.2"},
		},
		clock:  clock,
		ims:    server,
		imsURL: url,
		log:    &logBuffer{},
	}
	m.restart()
	t.Cleanup(func() { m.backend.Cleanup(context.Background()) })
	return m
}

// newServingMount mounts a backend with a config and a role "firefly".
func newServingMount(t testing.TB) *mount {
	t.Helper()
	m := newMount(t)
	m.write("config/default", m.validConfig())
	m.write("roles/firefly", map[string]any{"scopes": "openid, AdobeID,firefly_api", "verify": false})
	m.ims.ResetCounters()
	m.storage.reset()
	return m
}

func (m *mount) validConfig() map[string]any {
	return map[string]any{"client_id": testClientID, "client_secret": testClientSecret, "ims_url": m.imsURL, "max_retries": 0}
}

// restart replaces the backend by a new one on the same storage, as after a
// crash of the plugin.
func (m *mount) restart() {
	m.t.Helper()
	if m.backend != nil {
		m.backend.Cleanup(context.Background())
	}
	m.events = logical.NewMockEventSender()
	b, err := newBackend(context.Background(), &logical.BackendConfig{
		Logger:       hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: m.log}),
		System:       m.system,
		StorageView:  m.storage,
		EventsSender: m.events,
	}, m.clock)
	require.NoError(m.t, err)
	require.NoError(m.t, b.Initialize(context.Background(), &logical.InitializationRequest{Storage: m.storage}))
	m.backend = b
}

func (m *mount) handle(op logical.Operation, path string, data map[string]any) (*logical.Response, error) {
	req := &logical.Request{Operation: op, Path: path, Data: data, Storage: m.storage, MountPoint: "adobeims/"}
	if op == logical.CreateOperation {
		// Vault asks which of the two a write is.
		if checked, exists, err := m.backend.HandleExistenceCheck(context.Background(), req); err != nil {
			return nil, err
		} else if !checked || exists {
			req.Operation = logical.UpdateOperation
		}
	}
	return m.backend.HandleRequest(context.Background(), req)
}

// write succeeds or ends the test.
func (m *mount) write(path string, data map[string]any) *logical.Response {
	m.t.Helper()
	resp, err := m.handle(logical.CreateOperation, path, data)
	require.NoError(m.t, err)
	if resp != nil {
		require.NoError(m.t, resp.Error())
	}
	return resp
}

// read succeeds or ends the test.
func (m *mount) read(path string) *logical.Response {
	m.t.Helper()
	resp, err := m.handle(logical.ReadOperation, path, nil)
	require.NoError(m.t, err)
	require.NotNil(m.t, resp)
	require.NoError(m.t, resp.Error())
	return resp
}

// token reads the role's token.
func (m *mount) token(role string) string {
	m.t.Helper()
	return m.read("token/" + role).Data["access_token"].(string)
}

func (m *mount) delete(path string) (*logical.Response, error) {
	return m.handle(logical.DeleteOperation, path, nil)
}

// refused makes a request that must be answered with the status, and returns
// the message.
func (m *mount) refused(status int, op logical.Operation, path string, data map[string]any) string {
	m.t.Helper()
	resp, err := m.handle(op, path, data)
	return refusal(m.t, status, resp, err)
}

// refusal is the message of an answer that must have the status.
func refusal(t testing.TB, status int, resp *logical.Response, err error) string {
	t.Helper()
	if err == nil {
		require.NotNil(t, resp, "an error was wanted")
		err = resp.Error()
		require.Error(t, err)
		require.Equal(t, status, http.StatusBadRequest, "answered 400: %s", err)
		return err.Error()
	}
	var coded logical.HTTPCodedError
	require.True(t, errors.As(err, &coded), "an error with a status was wanted, not %v", err)
	require.Equal(t, status, coded.Code(), err.Error())
	return err.Error()
}

// revoke ends the lease of a response, as Vault does: what it stored with the
// lease went through JSON.
func (m *mount) revoke(resp *logical.Response) error {
	m.t.Helper()
	secret := *resp.Secret
	req := &logical.Request{
		Operation: logical.RevokeOperation,
		Secret:    &secret,
		Data:      resp.Data,
		Storage:   m.storage,
	}
	_, err := m.backend.HandleRequest(context.Background(), req)
	return err
}

// latency makes Adobe take its time.
func (m *mount) latency(d time.Duration) {
	m.ims.Configure(func(o *emulator.Options) { o.Latency = d })
}

// mints is how many tokens were asked for.
func (m *mount) mints() int { return m.ims.Count(emulator.TokenPath) }

func (m *mount) eventually(condition func() bool, what string) {
	m.t.Helper()
	require.Eventually(m.t, condition, 10*time.Second, 2*time.Millisecond, what)
}

// testStorage counts its calls and fails where it is told to.
type testStorage struct {
	logical.Storage

	mu    sync.Mutex
	calls map[string]int
	fault func(op, key string) error
}

func (s *testStorage) call(op, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[op]++
	if s.fault != nil {
		return s.fault(op, key)
	}
	return nil
}

// failOn makes the calls fail whose operation and key begin like this.
func (s *testStorage) failOn(op, key string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = func(o, k string) error {
		if strings.HasPrefix(o, op) && strings.HasPrefix(k, key) {
			return err
		}
		return nil
	}
}

func (s *testStorage) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = nil
}

func (s *testStorage) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.calls)
}

func (s *testStorage) count(ops ...string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for op, count := range s.calls {
		for _, wanted := range ops {
			if op == wanted {
				n += count
			}
		}
	}
	return n
}

func (s *testStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if err := s.call("get", key); err != nil {
		return nil, err
	}
	return s.Storage.Get(ctx, key)
}

func (s *testStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	if err := s.call("put", entry.Key); err != nil {
		return err
	}
	return s.Storage.Put(ctx, entry)
}

func (s *testStorage) Delete(ctx context.Context, key string) error {
	if err := s.call("delete", key); err != nil {
		return err
	}
	return s.Storage.Delete(ctx, key)
}

func (s *testStorage) List(ctx context.Context, prefix string) ([]string, error) {
	if err := s.call("list", prefix); err != nil {
		return nil, err
	}
	return s.Storage.List(ctx, prefix)
}

// keys lists all that is stored.
func (s *testStorage) keys(t testing.TB) []string {
	t.Helper()
	keys, err := logical.CollectKeys(context.Background(), s.Storage)
	require.NoError(t, err)
	return keys
}

// logBuffer is a log that tests read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

const (
	clientID     = "e053e1a8c0ffee00e053e1a8c0ffee00"
	otherClient  = "0000000000000000000000000000beef"
	firstSecret  = "p8e-s3cr3t-of-the-tests_0123456789"
	otherSecret  = "p8e-s3cr3t-of-another-client_98765"
	consoleOrg   = "23294"
	credentialID = "436084"
)

var secretsPath = emulator.SecretsPath(consoleOrg, credentialID)

// mount is a Service beside an emulated Adobe, both on one clock.
type mount struct {
	t       *testing.T
	clock   *clockwork.FakeClock
	adobe   *emulator.Server
	url     string
	storage *testStorage
	log     *logBuffer
	node    *testNode
	events  *eventLog

	*Service
	pool *ims.Pool
	stop context.CancelFunc
}

// newMount has a config "default", whose secret was set an hour ago.
func newMount(t *testing.T, options ...func(*emulator.Options)) *mount {
	t.Helper()
	clock := clockwork.NewFakeClockAt(t0)
	m := &mount{
		t: t, clock: clock, log: &logBuffer{}, node: &testNode{mayWrite: true}, events: &eventLog{},
		storage: &testStorage{Storage: &logical.InmemStorage{}},
	}
	m.adobe, m.url = startAdobe(t, clock, options...)
	m.restart()
	t.Cleanup(func() {
		m.stop()
		m.store.Close()
		m.pool.Close()
		m.requireNoSecretShown()
	})
	m.put("default", m.config())
	m.clock.Advance(time.Hour)
	return m
}

func startAdobe(t *testing.T, clock clockwork.Clock, options ...func(*emulator.Options)) (*emulator.Server, string) {
	t.Helper()
	o := emulator.Options{Clock: clock}
	for _, option := range options {
		option(&o)
	}
	adobe := emulator.New(o)
	adobe.AddClient(emulator.Client{ID: clientID, Secrets: []string{firstSecret}, ConsoleOrgID: consoleOrg, CredentialID: credentialID})
	adobe.AddClient(emulator.Client{ID: otherClient, Secrets: []string{otherSecret}, ConsoleOrgID: consoleOrg, CredentialID: "777"})
	url, err := adobe.Start("")
	require.NoError(t, err)
	t.Cleanup(adobe.Stop)
	return adobe, url
}

func (m *mount) config() *credential.Credential {
	c := &credential.Credential{Settings: credential.Defaults()}
	c.ClientID, c.ConsoleOrgID, c.CredentialID = clientID, consoleOrg, credentialID
	c.IMSURL, c.ConsoleURL, c.MaxRetries = m.url, m.url, 0
	c.Current, c.Set = firstSecret, m.clock.Now()
	return c
}

// restart replaces the Service by a new one on the same storage, as after a
// crash of the plugin.
func (m *mount) restart() {
	if m.stop != nil {
		m.stop()
		m.store.Close()
		m.pool.Close()
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	h := &host.Host{
		Context: ctx, Clock: m.clock, Log: hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: m.log}),
		Storage: m.storage, Node: m.node, Events: m.events,
	}
	m.pool = ims.NewPool("test", m.clock.Now)
	m.Service = New(h, credential.NewStore(h, m.pool, &entry.Order{}))
}

func (m *mount) put(name string, c *credential.Credential) {
	m.t.Helper()
	require.NoError(m.t, m.store.Put(context.Background(), name, c))
}

// write is what a write of the config does: it takes the lock, and stores a
// change of what it finds.
func (m *mount) write(change func(*credential.Credential)) {
	m.t.Helper()
	unlock, err := m.store.Lock(context.Background(), "default")
	require.NoError(m.t, err)
	defer unlock()
	next := *m.stored()
	change(&next)
	m.put("default", &next)
}

// writeSecret is what a write of a client_secret that IMS accepts does.
func (m *mount) writeSecret(value string) {
	m.t.Helper()
	m.write(func(c *credential.Credential) {
		c.Secrets = c.Replaced(secret.Secret(value), m.clock.Now(), c.PreviousSecretTTL)
		c.RotationFailure = nil
	})
}

func (m *mount) stored() *credential.Credential {
	m.t.Helper()
	stored, err := m.store.Get(context.Background(), "default")
	require.NoError(m.t, err)
	return stored.Value
}

func (m *mount) rotate() (*Result, error) { return m.Rotate(context.Background(), "default") }

// rotated succeeds or ends the test.
func (m *mount) rotated() *Result {
	m.t.Helper()
	result, err := m.rotate()
	require.NoError(m.t, err)
	return result
}

// rotateWith lets a rotation fail.
func (m *mount) rotateWith(fault emulator.Fault) error {
	m.t.Helper()
	remove := m.adobe.Inject(fault)
	defer remove()
	_, err := m.rotate()
	require.Error(m.t, err)
	return err
}

func (m *mount) tick() {
	m.t.Helper()
	require.NoError(m.t, m.Tick(context.Background()))
}

// ticks lets so much time pass, with the periodic work every minute.
func (m *mount) ticks(d time.Duration) {
	m.t.Helper()
	for ; d > 0; d -= time.Minute {
		m.clock.Advance(time.Minute)
		m.tick()
	}
}

// rollback is what Vault does with the WAL, whatever its age.
func (m *mount) rollback() (failed []error) {
	m.t.Helper()
	ids, err := framework.ListWAL(context.Background(), m.storage)
	require.NoError(m.t, err)
	for _, id := range ids {
		found, err := framework.GetWAL(context.Background(), m.storage, id)
		require.NoError(m.t, err)
		if found == nil {
			continue
		}
		if err := m.Rollback(context.Background(), found.Kind, found.Data); err != nil {
			failed = append(failed, err)
		} else {
			require.NoError(m.t, framework.DeleteWAL(context.Background(), m.storage, id))
		}
	}
	return failed
}

// settle is the work in the background, over some hours.
func (m *mount) settle() {
	m.t.Helper()
	for range 5 {
		m.clock.Advance(time.Hour)
		m.tick()
		_ = m.rollback()
	}
}

func (m *mount) wal() []string {
	m.t.Helper()
	ids, err := framework.ListWAL(context.Background(), m.storage)
	require.NoError(m.t, err)
	return ids
}

func (m *mount) uuids() (uuids []string) {
	for _, s := range m.adobe.SecretsOf(clientID) {
		uuids = append(uuids, s.UUID)
	}
	return uuids
}

func (m *mount) posts() (n int) {
	for _, r := range m.adobe.Requests(secretsPath) {
		if r.Method == http.MethodPost {
			n++
		}
	}
	return n
}

// requireSound is what holds whenever nothing is under way, whatever was
// interrupted: a secret that works is stored, and each one at Adobe is known to
// the config, or to an intent on record, or is somebody else's.
func (m *mount) requireSound(what string, foreign ...string) {
	m.t.Helper()
	c := m.stored()
	open, err := openIntents(context.Background(), m.storage, "default")
	require.NoError(m.t, err)
	works := false
	for _, s := range m.adobe.SecretsOf(clientID) {
		has := slices.Contains(c.Values(), secret.Secret(s.Value))
		works = works || has && (s.UsableAt.Equal(s.CreatedAt) || !m.clock.Now().Before(s.UsableAt))
		on := slices.ContainsFunc(open, func(in intent) bool {
			return !s.CreatedAt.Before(in.From) && !s.CreatedAt.After(in.Until)
		})
		explained := has || on || knows(c, s.UUID) || slices.Contains(foreign, s.UUID)
		require.True(m.t, explained, "%s: nobody knows the secret %s at Adobe, created at %s", what, s.UUID, s.CreatedAt)
	}
	require.True(m.t, works, "%s: no secret is stored that works", what)
	for _, uuid := range foreign {
		require.Contains(m.t, m.uuids(), uuid, "%s: somebody else's secret was removed", what)
	}
}

// requireTidy is what holds in the end: besides, the current secret works, and
// nothing is left behind, here or at Adobe.
func (m *mount) requireTidy(what string) {
	m.t.Helper()
	m.requireSound(what)
	c := m.stored()
	require.Nil(m.t, c.Pending, what)
	require.Empty(m.t, c.Retired, what)
	require.Empty(m.t, m.wal(), what)
	m.requireCurrentWorks(what)
	require.Len(m.t, m.uuids(), 1, what)
}

func (m *mount) requireCurrentWorks(what string) {
	m.t.Helper()
	c := m.stored()
	for _, s := range m.adobe.SecretsOf(clientID) {
		if s.Value == string(c.Current) {
			require.Contains(m.t, []string{"", s.UUID}, c.UUID, what)
			return
		}
	}
	require.Fail(m.t, "the current secret is not at Adobe", what)
}

// requireTokensDead proves that every token that was obtained to rotate was
// ended.
func (m *mount) requireTokensDead() {
	m.t.Helper()
	used := map[string]bool{}
	for _, request := range m.adobe.Requests(secretsPath + "*") {
		used[strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer ")] = true
	}
	require.NotEmpty(m.t, used)
	for token := range used {
		require.False(m.t, m.adobe.Valid(token))
		require.NotContains(m.t, m.log.String(), token)
	}
}

func (m *mount) requireNoSecretShown() {
	m.t.Helper()
	shown := m.log.String() + m.events.String()
	if c := m.stored(); c != nil && c.RotationFailure != nil {
		shown += c.RotationFailure.Text
	}
	require.NotContains(m.t, shown, "p8e-")
}

// proofs matches the requests with which a pending secret is proven.
func proofs(r *http.Request) bool { return r.PostForm.Get("scope") == proofScope }

// waitFor returns when so many timers of the clock are waited for: one is that
// of the run, one that of Rotate.
func (m *mount) waitFor(timers int) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(m.t, m.clock.BlockUntilContext(ctx, timers))
}

type testNode struct {
	mu                sync.Mutex
	mayWrite, tainted bool
}

func (n *testNode) set(mayWrite, tainted bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mayWrite, n.tainted = mayWrite, tainted
}

func (n *testNode) MayWriteLocal() bool { return true }

func (n *testNode) MayWrite() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mayWrite
}

func (n *testNode) Tainted() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.tainted
}

type eventLog struct {
	mu     sync.Mutex
	events []string
}

func (e *eventLog) Send(_ context.Context, kind, path string, metadata ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, fmt.Sprint(kind, " ", path, " ", metadata))
}

func (e *eventLog) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.events, "\n")
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

// testStorage has each call go through a hook, if there is one.
type testStorage struct {
	logical.Storage

	mu   sync.Mutex
	hook func(op, key string, call func() error) error
}

func (s *testStorage) set(hook func(op, key string, call func() error) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

func (s *testStorage) run(op, key string, call func() error) error {
	s.mu.Lock()
	hook := s.hook
	s.mu.Unlock()
	if hook == nil {
		return call()
	}
	return hook(op, key, call)
}

func (s *testStorage) Get(ctx context.Context, key string) (found *logical.StorageEntry, err error) {
	err = s.run("get", key, func() (err error) { found, err = s.Storage.Get(ctx, key); return err })
	return found, err
}

func (s *testStorage) List(ctx context.Context, prefix string) (keys []string, err error) {
	err = s.run("list", prefix, func() (err error) { keys, err = s.Storage.List(ctx, prefix); return err })
	return keys, err
}

func (s *testStorage) Put(ctx context.Context, e *logical.StorageEntry) error {
	return s.run("put", e.Key, func() error { return s.Storage.Put(ctx, e) })
}

func (s *testStorage) Delete(ctx context.Context, key string) error {
	return s.run("delete", key, func() error { return s.Storage.Delete(ctx, key) })
}

func (m *mount) putWAL(in intent) string {
	m.t.Helper()
	id, err := framework.PutWAL(context.Background(), m.storage, intentKind, &in)
	require.NoError(m.t, err)
	return id
}

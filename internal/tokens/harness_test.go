// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

const (
	day  = 24 * time.Hour
	role = "firefly"
)

// start is when the fake clock starts.
var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// mount is a Service beside an IMS, storage and roles that do what a test tells
// them. It lives in a bubble of synctest, so settle can tell when everything that
// could happen has happened. The Service's clock moves only by advance; the time
// limits of contexts run out when everybody waits.
type mount struct {
	*Service
	t       *testing.T
	clock   *clockwork.FakeClock
	ims     *fakeIMS
	roles   *fakeRoles
	storage *fakeStorage
	node    *fakeNode
	events  *fakeEvents
	log     *syncBuffer
	stop    context.CancelFunc
}

// bubble runs a test with a mount that has one shared role.
func bubble(t *testing.T, test func(m *mount)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		order := &entry.Order{}
		clock := clockwork.NewFakeClockAt(start)
		m := &mount{
			t:       t,
			clock:   clock,
			ims:     &fakeIMS{clock: clock, life: day, issued: map[string]*Token{}, ended: map[string]int{}},
			roles:   &fakeRoles{order: order, specs: map[string]Spec{}},
			storage: &fakeStorage{Storage: &logical.InmemStorage{}, calls: map[string]int{}},
			node:    &fakeNode{},
		}
		m.node.mayWriteLocal.Store(true)
		m.restart()
		m.roles.write(role, nil)
		defer m.close()
		test(m)
	})
}

// restart puts a new Service on the same storage, as after a crash.
func (m *mount) restart() {
	if m.stop != nil {
		m.stop()
		m.Close()
		m.settle()
	}
	m.events, m.log = &fakeEvents{}, &syncBuffer{}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	m.Service = m.newService(ctx)
}

func (m *mount) newService(ctx context.Context) *Service {
	return New(&host.Host{
		Context: ctx,
		Clock:   m.clock,
		Log:     hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: m.log}),
		Storage: m.storage,
		Node:    m.node,
		Events:  m.events,
	}, m.roles.order, m.roles.lookup, m.ims, m.ims)
}

// close lets everything that is held go on and ends the mount. Goroutines that
// live on fail the test: synctest sees to that.
func (m *mount) close() {
	m.stop()
	m.Close()
	for _, g := range []*gate{&m.ims.turn, &m.ims.sent, &m.ims.ending, &m.roles.gate, &m.storage.gate} {
		g.open()
	}
	m.settle()
}

// settle returns when everybody waits: for a gate, for the clock, or for nothing.
func (m *mount) settle() { synctest.Wait() }

func (m *mount) advance(d time.Duration) {
	m.settle()
	m.clock.Advance(d)
	m.settle()
}

// advanceTo moves the clock to a time after the start.
func (m *mount) advanceTo(since time.Duration) { m.advance(start.Add(since).Sub(m.clock.Now())) }

// reading is a read that may be under way.
type reading struct {
	m      *mount
	leave  context.CancelFunc
	done   chan struct{}
	answer Answer
	err    error
}

func (m *mount) start(name string) *reading {
	ctx, leave := context.WithCancel(context.Background())
	r := &reading{m: m, leave: leave, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.answer, r.err = m.Read(ctx, name)
	}()
	return r
}

func (r *reading) finished() bool {
	r.m.settle()
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func (r *reading) requireWaits() {
	r.m.t.Helper()
	require.False(r.m.t, r.finished(), "the reader should wait")
}

// token is what the reader got without anything else happening.
func (r *reading) token() string {
	r.m.t.Helper()
	require.True(r.m.t, r.finished(), "the reader waits")
	require.NoError(r.m.t, r.err)
	return string(r.answer.Token.AccessToken)
}

func (r *reading) failure() error {
	r.m.t.Helper()
	require.True(r.m.t, r.finished(), "the reader waits")
	require.Error(r.m.t, r.err)
	return r.err
}

func (m *mount) read() string { m.t.Helper(); return m.start(role).token() }

func (m *mount) answer() Answer {
	m.t.Helper()
	r := m.start(role)
	r.token()
	return r.answer
}

func (m *mount) mints() int { m.settle(); return int(m.ims.mints.Load()) }

// run starts what may hang, and returns whether it has ended by now.
func (m *mount) run(act func()) (ended func() bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		act()
	}()
	return func() bool {
		m.settle()
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
}

// tick lets a minute pass and does the periodic work.
func (m *mount) tick() {
	m.t.Helper()
	m.advance(time.Minute)
	require.NoError(m.t, m.Tick(context.Background()))
	m.settle()
}

// stored is the record of a role in storage, by access token.
func (m *mount) stored(name string) map[string]*Token {
	m.t.Helper()
	r, err := loadRecord(context.Background(), m.storage.Storage, name)
	require.NoError(m.t, err)
	tokens := map[string]*Token{}
	for _, t := range r.Tokens {
		tokens[string(t.AccessToken)] = t
	}
	return tokens
}

// requireNothingLost is the invariant: every token that IMS gave and that lives was
// ended, is on record in storage, or was handed to a reader of an exclusive role,
// who has it under a lease.
func (m *mount) requireNothingLost(leased ...string) {
	m.t.Helper()
	m.settle()
	onRecord := map[string]*Token{}
	for _, name := range m.roles.all() {
		maps.Copy(onRecord, m.stored(name))
	}
	m.ims.mu.Lock()
	defer m.ims.mu.Unlock()
	for access, t := range m.ims.issued {
		if m.ims.ended[access] > 0 || onRecord[access] != nil || slices.Contains(leased, access) || !t.Expires.After(m.clock.Now()) {
			continue
		}
		m.t.Errorf("%s was lost: it is neither ended, nor on record, nor leased", access)
	}
}

// requireNothingLeft tells that no role is in memory and no timer is running.
func (m *mount) requireNothingLeft() {
	m.t.Helper()
	m.settle()
	m.Service.roles.Range(func(name, value any) bool {
		m.t.Errorf("%v is still in memory: %+v", name, &value.(*roleState).state)
		return true
	})
	require.Zero(m.t, m.timers(), "timers")
}

// timers is how many timers of the clock are running.
func (m *mount) timers() int {
	count := 0
	for ; ; count++ {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if m.clock.BlockUntilContext(ctx, count+1) != nil {
			return count
		}
	}
}

// gate is a place where a test can hold others up.
type gate struct {
	mu     sync.Mutex
	closed chan struct{}
}

func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
}

// detach lets others pass, and returns how those that are held up are let go.
func (g *gate) detach() (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	held := g.closed
	g.closed = nil
	return func() { close(held) }
}

func (g *gate) pass(ctx context.Context) error {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed == nil {
		return nil
	}
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fakeIMS is a Minter and an Ender. A request that was sent is answered whatever
// becomes of its context, as the real one's.
type fakeIMS struct {
	clock *clockwork.FakeClock

	turn   gate          // before a request's turn has come; left with the context
	turns  chan struct{} // if not nil, how many requests are under way at a time
	sent   gate          // the request is at IMS
	ending gate          // invalidations are at IMS; left with the context

	mints  atomic.Int32 // requests that were sent
	ends   atomic.Int32 // requests to invalidate
	orders sync.Map     // number of the mint to its Order

	mu     sync.Mutex
	life   time.Duration
	err    error              // of minting
	both   bool               // a token beside the error
	endErr func(*Token) error // of ending
	issued map[string]*Token
	ended  map[string]int
}

func (f *fakeIMS) Mint(ctx context.Context, spec Spec, order Order) (*Token, error) {
	if err := f.turn.pass(ctx); err != nil {
		return nil, err
	}
	if f.turns != nil {
		select {
		case f.turns <- struct{}{}:
			defer func() { <-f.turns }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := order.Proceed(); err != nil {
		return nil, err
	}
	sent := f.clock.Now()
	n := f.mints.Add(1)
	f.orders.Store(int(n), order)
	_ = f.sent.pass(context.WithoutCancel(ctx))
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(f.err, errPanic) {
		panic("a bug")
	}
	if f.err != nil && !f.both {
		return nil, f.err
	}
	t := &Token{
		AccessToken: secret.Secret(fmt.Sprintf("%s-%d", spec.Name, n)),
		Issued:      sent,
		Expires:     sent.Add(f.life),
		Identity:    spec.Identity,
		Scopes:      spec.Role.Scopes,
	}
	f.issued[string(t.AccessToken)] = t
	return t, f.err
}

func (f *fakeIMS) End(ctx context.Context, t *Token) error {
	if !t.Expires.After(f.clock.Now()) {
		return nil
	}
	f.ends.Add(1)
	if err := f.ending.pass(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.endErr != nil {
		if err := f.endErr(t); err != nil {
			return err
		}
	}
	f.ended[string(t.AccessToken)]++
	return nil
}

func (f *fakeIMS) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeIMS) refuseEnding(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endErr = func(*Token) error { return err }
}

func (f *fakeIMS) live(life time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.life = life
}

// dead reports whether a token was ended.
func (f *fakeIMS) dead(access string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended[access] > 0
}

// fakeRoles is what a Lookup looks at.
type fakeRoles struct {
	order *entry.Order
	gate  gate // held lookups answer with what they found before

	mu    sync.Mutex
	specs map[string]Spec
	names []string // of all that ever were
	err   error
	count int
}

func (f *fakeRoles) lookup(ctx context.Context, name string) (Spec, error) {
	f.mu.Lock()
	spec, ok := f.specs[name]
	err := f.err
	f.count++
	f.mu.Unlock()
	if failed := f.gate.pass(ctx); failed != nil {
		return Spec{}, failed
	}
	switch {
	case err != nil:
		return Spec{}, err
	case !ok:
		return Spec{}, advice.Missing("role %q does not exist", name)
	}
	return spec, nil
}

// write writes a role, from what it is.
func (f *fakeRoles) write(name string, edit func(*Spec)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	spec, ok := f.specs[name]
	if !ok {
		spec = testSpec(0)
		spec.Name = name
		f.names = append(f.names, name)
	}
	r := *spec.Role
	spec.Role = &r
	if edit != nil {
		edit(&spec)
	}
	spec.Revision = f.order.Next()
	f.specs[name] = spec
}

func (f *fakeRoles) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.specs, name)
}

func (f *fakeRoles) spec() Spec {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.specs[role]
}

func (f *fakeRoles) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeRoles) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.names)
}

// write changes a role as the root package does.
func (m *mount) write(edit func(*Spec)) {
	m.roles.write(role, edit)
	m.Changed(context.Background(), role)
}

// fakeStorage counts, fails or holds up requests.
type fakeStorage struct {
	logical.Storage
	gate gate // for those that fails says nothing of

	mu    sync.Mutex
	calls map[string]int
	fails func(op, key string) error
	holds func(op, key string) bool
}

func (s *fakeStorage) ask(ctx context.Context, op, key string) error {
	s.mu.Lock()
	s.calls[op]++
	fails, holds := s.fails, s.holds
	s.mu.Unlock()
	if holds != nil && holds(op, key) {
		if err := s.gate.pass(ctx); err != nil {
			return err
		}
	}
	if fails != nil {
		if err := fails(op, key); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *fakeStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	// What a held Get answers is what it found before.
	found, _ := s.Storage.Get(context.WithoutCancel(ctx), key)
	if err := s.ask(ctx, "get", key); err != nil {
		return nil, err
	}
	return found, nil
}

func (s *fakeStorage) Put(ctx context.Context, e *logical.StorageEntry) error {
	if err := s.ask(ctx, "put", e.Key); err != nil {
		return err
	}
	return s.Storage.Put(ctx, e)
}

func (s *fakeStorage) Delete(ctx context.Context, key string) error {
	if err := s.ask(ctx, "delete", key); err != nil {
		return err
	}
	return s.Storage.Delete(ctx, key)
}

func (s *fakeStorage) List(ctx context.Context, prefix string) ([]string, error) {
	if err := s.ask(ctx, "list", prefix); err != nil {
		return nil, err
	}
	return s.Storage.List(ctx, prefix)
}

// failOn has some operations fail; all, if op is empty.
func (s *fakeStorage) failOn(err error, ops ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = func(op, _ string) error {
		if slices.Contains(ops, op) {
			return err
		}
		return nil
	}
}

func (s *fakeStorage) heal() {
	s.mu.Lock()
	s.fails, s.holds = nil, nil
	s.mu.Unlock()
	s.gate.open()
}

// holdOn has some operations wait until heal, or until their context ends.
func (s *fakeStorage) holdOn(key string, ops ...string) {
	s.gate.hold()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds = func(op, k string) bool { return slices.Contains(ops, op) && (key == "" || k == key) }
}

func (s *fakeStorage) total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, count := range s.calls {
		n += count
	}
	return n
}

type fakeNode struct{ mayWriteLocal atomic.Bool }

func (n *fakeNode) MayWriteLocal() bool { return n.mayWriteLocal.Load() }
func (n *fakeNode) MayWrite() bool      { return n.mayWriteLocal.Load() }
func (n *fakeNode) Tainted() bool       { return false }

type fakeEvents struct {
	mu    sync.Mutex
	kinds []string
}

func (e *fakeEvents) Send(_ context.Context, kind, path string, _ ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kinds = append(e.kinds, kind+" "+path)
}

func (e *fakeEvents) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.kinds)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// testSpec is a shared, leased role.
func testSpec(revision uint64) Spec {
	return Spec{
		Name:     role,
		Role:     &Role{Config: "default", Scopes: []string{"openid", "AdobeID"}, Leased: true},
		Identity: Identity{Config: "default", ClientID: "client", IMSURL: "https://ims.example.com"},
		Revision: revision,
	}
}

// testToken is a token of a spec.
func testToken(name string, spec Spec, issued time.Time, life time.Duration) *Token {
	return &Token{
		AccessToken: secret.Secret(name),
		Issued:      issued,
		Expires:     issued.Add(life),
		Identity:    spec.Identity,
		Scopes:      spec.Role.Scopes,
	}
}

// throttled is an error with which IMS asks to be left alone.
type throttled struct{ wait time.Duration }

func (throttled) Error() string         { return "429" }
func (e throttled) Wait() time.Duration { return e.wait }

func number(access string) string { return access[strings.LastIndex(access, "-")+1:] }

// memory is what the Service has of roles in memory.
func (m *mount) memory() *sync.Map { return &m.Service.roles }

// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

const (
	clientID     = "0123456789abcdef0123456789abcdef"
	clientSecret = "p8e-s3cr3t-of-the-tests_0123456789"
	redirectURI  = "https://vault.example:8200/v1/adobeims/callback"
	refreshLife  = 14 * 24 * time.Hour
	tokenLife    = 24 * time.Hour
	alice        = "alice@example.com"
	bob          = "bob@example.com"
)

var errBroken = errors.New("storage is broken")

// fixture is a Service beside an emulated Adobe, both on one clock.
type fixture struct {
	*Service
	t       *testing.T
	clock   *clockwork.FakeClock
	storage *faultyStorage
	log     *logBuffer
	events  *eventLog
	order   *entry.Order
	creds   *credential.Store
	store   *fakeStore
	roles   *fakeRoles
	node    *fakeNode
	ims     *emulator.Server
	imsURL  string
	gates   *gates
}

// newFixture has a role "designer" that nobody has authorized.
func newFixture(t *testing.T, opts ...func(*emulator.Options)) *fixture {
	t.Helper()
	clock := clockwork.NewFakeClockAt(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	options := emulator.Options{Clock: clock, TokenLife: tokenLife, RefreshTokenLife: refreshLife}
	for _, opt := range opts {
		opt(&options)
	}
	adobe := emulator.New(options)
	for _, id := range []string{clientID, "another-client"} {
		adobe.AddClient(emulator.Client{
			ID: id, CredentialType: emulator.OAuthWebApp, Secrets: []string{clientSecret}, RedirectURIs: []string{redirectURI, redirectURI + "2"},
		})
	}
	g := &gates{next: adobe}
	server := httptest.NewServer(g)
	t.Cleanup(func() {
		g.openAll()
		server.Close()
	})
	f := &fixture{
		t:       t,
		clock:   clock,
		storage: &faultyStorage{Storage: &logical.InmemStorage{}, calls: map[string]int{}},
		log:     &logBuffer{},
		roles:   &fakeRoles{specs: map[string]tokens.Spec{}},
		node:    &fakeNode{},
		ims:     adobe,
		imsURL:  server.URL,
		gates:   g,
	}
	f.restart()
	f.configure("person", func(*credential.Credential) {})
	f.role("designer", "person", "openid", "AdobeID", "offline_access")
	adobe.ResetCounters()
	f.storage.reset()
	return f
}

func authorized(t *testing.T, opts ...func(*emulator.Options)) *fixture {
	t.Helper()
	f := newFixture(t, opts...)
	f.signIn(alice)
	f.ims.ResetCounters()
	f.storage.reset()
	return f
}

// restart replaces the Service by a new one on the same storage.
func (f *fixture) restart() {
	f.t.Helper()
	f.events = &eventLog{}
	f.order = &entry.Order{}
	h := &host.Host{
		Context: context.Background(),
		Clock:   f.clock,
		Log:     hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: f.log}),
		Storage: f.storage,
		Node:    f.node,
		Events:  f.events,
	}
	pool := ims.NewPool("test", f.clock.Now)
	creds := credential.NewStore(h, pool, f.order)
	f.t.Cleanup(func() {
		creds.Close()
		pool.Close()
	})
	f.creds = creds
	f.store = &fakeStore{}
	f.Service = New(h, creds, f.roles.lookup, f.store, f.order)
	f.revokeTimeout = 2 * time.Second
}

func (f *fixture) configure(name string, change func(*credential.Credential)) {
	f.t.Helper()
	c := &credential.Credential{Settings: credential.Defaults()}
	c.ClientID, c.Type, c.RedirectURI, c.IMSURL = clientID, credential.WebApp, redirectURI, f.imsURL
	c.RequestTimeout, c.MaxRetries = 5*time.Second, 0
	c.Current = clientSecret
	change(c)
	require.NoError(f.t, f.creds.Put(f.t.Context(), name, c))
	f.roles.rewrite(name, c)
}

func (f *fixture) role(name, config string, scopes ...string) {
	f.t.Helper()
	found, err := f.creds.Get(f.t.Context(), config)
	require.NoError(f.t, err)
	f.roles.put(tokens.Spec{
		Name:     name,
		Role:     &tokens.Role{Config: config, Scopes: scopes, Leased: true},
		Identity: tokens.Identity{Config: config, ClientID: found.Value.ClientID, IMSURL: found.Value.IMSURL},
		Revision: f.order.Next(),
	})
}

func (f *fixture) spec(role string) tokens.Spec {
	f.t.Helper()
	spec, err := f.roles.lookup(f.t.Context(), role)
	require.NoError(f.t, err)
	return spec
}

func (f *fixture) begin(replace bool) *SignIn {
	f.t.Helper()
	in, err := f.Begin(f.t.Context(), f.spec("designer"), replace)
	require.NoError(f.t, err)
	return in
}

// consent is what Adobe gives to the redirect URI of a person who consents.
func (f *fixture) consent(in *SignIn, person string) (code, state string) {
	f.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.PostForm(in.URL, url.Values{"email": {person}, "decision": {"allow"}})
	require.NoError(f.t, err)
	defer func() { _ = resp.Body.Close() }()
	to, err := resp.Location()
	require.NoError(f.t, err)
	require.NotEmpty(f.t, to.Query().Get("code"), to)
	return to.Query().Get("code"), to.Query().Get("state")
}

func (f *fixture) signIn(person string) *Authorization {
	f.t.Helper()
	code, state := f.consent(f.begin(true), person)
	role, a, err := f.Redeem(f.t.Context(), state, code, "", false)
	require.NoError(f.t, err)
	require.Equal(f.t, "designer", role)
	return a
}

// onRecord is what a new Service finds in storage; nil for nothing.
func (f *fixture) onRecord() *Authorization {
	f.t.Helper()
	a, err := read[Authorization](f.t.Context(), f.storage.Storage, Prefix+"designer")
	require.NoError(f.t, err)
	return a
}

func (f *fixture) refreshToken() secret.Secret {
	f.t.Helper()
	a, err := f.Get(f.t.Context(), "designer")
	require.NoError(f.t, err)
	require.NotNil(f.t, a)
	return a.RefreshToken
}

func (f *fixture) valid(token secret.Secret) bool { return f.ims.Valid(string(token)) }

func (f *fixture) mint() (*tokens.Token, error) {
	return f.Mint(f.t.Context(), f.spec("designer"), tokens.Order{Proceed: func() error { return nil }})
}

func (f *fixture) mustMint() *tokens.Token {
	f.t.Helper()
	token, err := f.mint()
	require.NoError(f.t, err)
	require.True(f.t, f.valid(token.AccessToken))
	return token
}

// minting is a mint under way whose request IMS has dealt with and not answered.
func (f *fixture) minting() (answer func() (*tokens.Token, error)) {
	f.t.Helper()
	type result struct {
		token *tokens.Token
		err   error
	}
	results := make(chan result, 1)
	arrived, open := f.gates.hold()
	go func() {
		token, err := f.mint()
		results <- result{token, err}
	}()
	<-arrived
	return func() (*tokens.Token, error) {
		open()
		r := <-results
		return r.token, r.err
	}
}

func (f *fixture) requireUnauthorized(err error) {
	f.t.Helper()
	var unauthorized *Unauthorized
	require.ErrorAs(f.t, err, &unauthorized)
	var told *advice.Error
	require.ErrorAs(f.t, err, &told)
	require.Equal(f.t, "vault write -f <mount>/authorize/designer", told.Command)
}

func (f *fixture) states() (hashes, lists int) {
	for _, key := range f.storage.keys(f.t) {
		switch {
		case strings.HasPrefix(key, openPrefix):
			lists++
		case strings.HasPrefix(key, StatePrefix):
			hashes++
		}
	}
	return hashes, lists
}

// requireIdle makes sure that nothing is kept of what is over.
func (f *fixture) requireIdle() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Empty(f.t, f.memories)
}

// gates hold answers back: what was asked has taken effect by then.
type gates struct {
	next http.Handler

	mu   sync.Mutex
	held []*gate
	told func(access, refresh string) // of the tokens in an answer
}

func (g *gates) answered(told func(access, refresh string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.told = told
}

// tell tells of the tokens in an answer.
func (g *gates) tell(body []byte) {
	var answer struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
	}
	g.mu.Lock()
	told := g.told
	g.mu.Unlock()
	if told != nil && json.Unmarshal(body, &answer) == nil && answer.RefreshToken != "" {
		told(answer.AccessToken, answer.RefreshToken)
	}
}

type gate struct {
	arrived chan struct{}
	opened  chan struct{}
	taken   bool
}

// hold holds the next answer of the token endpoint.
func (g *gates) hold() (arrived <-chan struct{}, open func()) {
	held := &gate{arrived: make(chan struct{}), opened: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = append(g.held, held)
	return held.arrived, sync.OnceFunc(func() { close(held.opened) })
}

func (g *gates) openAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, held := range g.held {
		select {
		case <-held.opened:
		default:
			close(held.opened)
		}
	}
}

func (g *gates) take(path string) *gate {
	if path != emulator.TokenPath {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, held := range g.held {
		if !held.taken {
			held.taken = true
			return held
		}
	}
	return nil
}

func (g *gates) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	held := g.take(r.URL.Path)
	answer := httptest.NewRecorder()
	g.next.ServeHTTP(answer, r)
	g.tell(answer.Body.Bytes())
	if held != nil {
		close(held.arrived)
		<-held.opened
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// fakeStore is the token store.
type fakeStore struct {
	mu       sync.Mutex
	adopted  []*tokens.Token
	strays   []*tokens.Token
	renewed  []string
	adoptErr error
}

func (s *fakeStore) Adopt(_ context.Context, _ tokens.Spec, token *tokens.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.adoptErr != nil {
		return s.adoptErr
	}
	s.adopted = append(s.adopted, token)
	return nil
}

func (s *fakeStore) EndStray(_ context.Context, _ string, token *tokens.Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.strays = append(s.strays, token)
}

func (s *fakeStore) Renew(_ context.Context, role string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewed = append(s.renewed, role)
}

func (s *fakeStore) renewals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.renewed)
}

type fakeRoles struct {
	mu    sync.Mutex
	specs map[string]tokens.Spec
}

func (r *fakeRoles) lookup(_ context.Context, role string) (tokens.Spec, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	spec, ok := r.specs[role]
	if !ok {
		return tokens.Spec{}, advice.Missing("role %q does not exist", role)
	}
	return spec, nil
}

func (r *fakeRoles) put(spec tokens.Spec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.specs[spec.Name] = spec
}

func (r *fakeRoles) remove(role string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.specs, role)
}

// rewrite brings the specs up to a config that was written.
func (r *fakeRoles) rewrite(config string, c *credential.Credential) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, spec := range r.specs {
		if spec.Config == config {
			spec.ClientID, spec.IMSURL = c.ClientID, c.IMSURL
			r.specs[name] = spec
		}
	}
}

type fakeNode struct{ standby bool }

func (n *fakeNode) MayWriteLocal() bool { return !n.standby }
func (n *fakeNode) MayWrite() bool      { return !n.standby }
func (n *fakeNode) Tainted() bool       { return false }

type eventLog struct {
	mu   sync.Mutex
	sent []string
}

func (l *eventLog) Send(_ context.Context, kind, path string, _ ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, kind+" "+path)
}

// fault makes calls of storage fail.
type fault struct {
	op, prefix string
	skip       int // how many succeed first
	hang       chan struct{}
	after      bool // the call takes effect all the same
}

// faultyStorage counts its calls and fails where it is told to.
type faultyStorage struct {
	logical.Storage

	waiting atomic.Int32 // calls that hang

	mu     sync.Mutex
	calls  map[string]int
	faults []*fault
}

func (s *faultyStorage) fail(f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// hangOn makes calls wait until the channel is closed.
func (s *faultyStorage) hangOn(op, prefix string, until chan struct{}) {
	s.fail(fault{op: op, prefix: prefix, hang: until})
}

func (s *faultyStorage) heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (s *faultyStorage) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.calls)
}

func (s *faultyStorage) count(ops ...string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range ops {
		n += s.calls[op]
	}
	return n
}

func (s *faultyStorage) call(op, key string, do func() error) error {
	s.mu.Lock()
	s.calls[op]++
	var strikes *fault
	for _, f := range s.faults {
		if f.op == op && strings.HasPrefix(key, f.prefix) {
			if f.skip > 0 {
				f.skip--
				continue
			}
			strikes = f
			break
		}
	}
	s.mu.Unlock()
	if strikes != nil && strikes.hang != nil {
		s.waiting.Add(1)
		<-strikes.hang
		s.waiting.Add(-1)
		strikes = nil
	}
	if strikes != nil && !strikes.after {
		return errBroken
	}
	if err := do(); err != nil {
		return err
	}
	if strikes != nil {
		return errBroken
	}
	return nil
}

func (s *faultyStorage) Get(ctx context.Context, key string) (found *logical.StorageEntry, err error) {
	err = s.call("get", key, func() (err error) {
		found, err = s.Storage.Get(ctx, key)
		return err
	})
	return found, err
}

func (s *faultyStorage) Put(ctx context.Context, e *logical.StorageEntry) error {
	return s.call("put", e.Key, func() error { return s.Storage.Put(ctx, e) })
}

func (s *faultyStorage) Delete(ctx context.Context, key string) error {
	return s.call("delete", key, func() error { return s.Storage.Delete(ctx, key) })
}

func (s *faultyStorage) List(ctx context.Context, prefix string) (keys []string, err error) {
	err = s.call("list", prefix, func() (err error) {
		keys, err = s.Storage.List(ctx, prefix)
		return err
	})
	return keys, err
}

func (s *faultyStorage) keys(t *testing.T) []string {
	t.Helper()
	keys, err := logical.CollectKeys(context.Background(), s.Storage)
	require.NoError(t, err)
	slices.Sort(keys)
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

func numbered(prefix string, n int) string { return fmt.Sprint(prefix, n) }

func (f *fixture) revoke() []Left {
	f.t.Helper()
	left, err := f.Revoke(context.Background(), "designer")
	require.NoError(f.t, err)
	return left
}

// forgetSubject makes of the authorization one that an earlier version stored,
// which did not know whose it is.
func (f *fixture) forgetSubject() {
	f.t.Helper()
	a := *f.onRecord()
	a.Subject = ""
	require.NoError(f.t, put(f.t.Context(), f.storage, Prefix+"designer", &a))
	f.Forget("designer")
}

// hideSubject has IMS tell of nobody whose token it is.
func (f *fixture) hideSubject() {
	f.ims.AlterToken(func(answer map[string]any) { delete(answer, "sub") })
	f.ims.AlterClaims(func(claims map[string]any) { delete(claims, "user_id") })
}

// issuedTokens are what IMS has issued since they are recorded.
type issuedTokens struct {
	mu                  sync.Mutex
	accesses, refreshes []secret.Secret
}

func (f *fixture) recordIssued() *issuedTokens {
	i := &issuedTokens{}
	f.gates.answered(func(access, refresh string) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.accesses = append(i.accesses, secret.Secret(access))
		i.refreshes = append(i.refreshes, secret.Secret(refresh))
	})
	return i
}

func (i *issuedTokens) refresh() []secret.Secret {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.refreshes)
}

func (i *issuedTokens) access() []secret.Secret {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.accesses)
}

func (f *fixture) storageUnder(prefix string) (keys []string) {
	for _, key := range f.storage.keys(f.t) {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys
}

// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// mint is a call that obtains a token.
func mint(t *testing.T) func(*ims.Client, ims.Credential) error {
	t.Helper()
	return func(client *ims.Client, credential ims.Credential) error {
		_, err := client.ClientCredentials(t.Context(), credential, []string{"openid"})
		return err
	}
}

func TestStoreKeepsWhatItStores(t *testing.T) {
	a, b := newAdobe(t, "p8e-good"), newBench(t)
	c := rotating(a.URL, "p8e-good")
	c.Pending = &Secret{Value: "p8e-pending", UUID: "u-2"}
	c.RotationFailure = &Failure{Count: 2, Text: "no"}
	require.NoError(t, b.Put(t.Context(), "default", c))

	stored, err := b.Get(t.Context(), "default")
	require.NoError(t, err)
	require.Same(t, c, stored.Value)

	b.Forget("default")
	again, err := b.Get(t.Context(), "default")
	require.NoError(t, err)
	require.NotSame(t, c, again.Value)
	require.Equal(t, c, again.Value)
	require.Greater(t, again.Revision, stored.Revision)

	names, err := b.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"default"}, names)

	require.NoError(t, b.Delete(t.Context(), "default"))
	gone, err := b.Get(t.Context(), "default")
	require.NoError(t, err)
	require.Nil(t, gone.Value)
}

// The names in storage are those of the engine before.
func TestStoredFormat(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.storage.Put(t.Context(), &logical.StorageEntry{Key: "config/default", Value: []byte(`{
		"client_id": "c1", "client_secret": "p8e-1", "credential_type": "oauth_server_to_server", "org_id": "1@AdobeOrg",
		"ims_url": "https://ims", "request_timeout": 10000000000, "max_retries": 2, "console_org_id": "4711",
		"credential_id": "900001", "console_url": "https://api", "rotation_period": 86400000000000,
		"previous_secret_ttl": 3600000000000, "client_secret_uuid": "u-1", "secret_added": true,
		"secret_set": "2026-11-01T00:00:00Z", "pending_secret": {"value": "p8e-2", "uuid": "u-2", "known": ["u-1"]},
		"retired_secrets": [{"value": "p8e-0", "uuid": "u-0", "ours": true, "remove_at": "2026-11-02T00:00:00Z"}],
		"rotation_failure": {"at": "2026-11-03T00:00:00Z", "count": 1, "text": "x"}}`)}))
	stored, err := b.Get(t.Context(), "default")
	require.NoError(t, err)
	require.Equal(t, &Credential{
		Settings: Settings{
			ClientID: "c1", Type: ServerToServer, OrgID: "1@AdobeOrg", IMSURL: "https://ims", RequestTimeout: 10 * time.Second, MaxRetries: 2,
			ConsoleOrgID: "4711", CredentialID: "900001", ConsoleURL: "https://api", RotationPeriod: 24 * time.Hour, PreviousSecretTTL: time.Hour,
		},
		Secrets: Secrets{
			Current: "p8e-1", UUID: "u-1", Added: true, Set: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
			Pending: &Secret{Value: "p8e-2", UUID: "u-2", ListedBefore: []string{"u-1"}},
			Retired: []Secret{{Value: "p8e-0", UUID: "u-0", Ours: true, RemoveAt: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)}},
		},
		RotationFailure: &Failure{At: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC), Count: 1, Text: "x"},
	}, stored.Value)
}

func TestNoSecretIsPrinted(t *testing.T) {
	c := rotating("https://ims", "p8e-current")
	c.Pending = &Secret{Value: "p8e-pending"}
	c.Retired = []Secret{{Value: "p8e-retired"}}
	for _, value := range []any{c, *c, c.Secrets, c.Retired, *c.Pending, c.InOrder(), Proof{Secret: "p8e-x"},
		Issued{Token: "p8e-x"}, &Session{token: "p8e-x", c: c}, Imported{Secrets: []secret.Secret{"p8e-x"}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			require.NotContains(t, fmt.Sprintf(verb, value), "p8e-", "%T", value)
		}
	}
}

func TestConfigsShareAClient(t *testing.T) {
	b := newBench(t)
	one, two := at("http://127.0.0.1:1", "p8e-1"), at("http://127.0.0.1:1", "p8e-2")
	slow := at("http://127.0.0.1:1", "p8e-3")
	slow.RequestTimeout = time.Minute
	for name, c := range map[string]*Credential{"one": one, "two": two, "slow": slow} {
		require.NoError(t, b.Put(t.Context(), name, c))
	}
	client := func(c *Credential) *ims.Client {
		client, err := b.IMS(c)
		require.NoError(t, err)
		return client
	}
	shared := client(one)
	require.Same(t, shared, client(one))
	require.Same(t, shared, client(two))
	require.NotSame(t, shared, client(slow))

	// It stays as long as one of them uses it.
	require.NoError(t, b.Delete(t.Context(), "one"))
	require.Same(t, shared, client(two))
	b.Forget("two")
	require.NotSame(t, shared, client(two))
	require.Len(t, b.clients.kept, 1, "that of slow")

	// What is read again is used again.
	stored, err := b.Get(t.Context(), "two")
	require.NoError(t, err)
	require.Same(t, client(stored.Value), client(two))

	b.Close()
	require.Empty(t, b.clients.kept)
	require.Empty(t, b.clients.uses)
}

func TestConfigWritesLeaveNoConnections(t *testing.T) {
	a, b := newAdobe(t, "p8e-good"), newBench(t)
	for i := range 300 {
		c := at(a.URL, "p8e-good")
		c.RequestTimeout = time.Duration(10+i%7) * time.Second
		name := fmt.Sprintf("config-%d", i%3)
		_, err := b.Prove(t.Context(), c, nil)
		require.NoError(t, err)
		require.NoError(t, b.Put(t.Context(), name, c))
		_, err = b.Use(t.Context(), name, c, mint(t))
		require.NoError(t, err)
		switch i % 5 {
		case 0:
			b.Forget(name)
		case 1:
			_, err := b.Get(t.Context(), name)
			require.NoError(t, err)
		}
		// 3 configs are in memory, and a connection takes a moment to close.
		require.Less(t, a.connections(), 20)
	}
	for i := range 3 {
		require.NoError(t, b.Delete(t.Context(), fmt.Sprintf("config-%d", i)))
	}
	require.Empty(t, b.clients.kept)
	require.Empty(t, b.clients.uses)
	require.Eventually(t, func() bool { return a.connections() == 0 }, 5*time.Second, 5*time.Millisecond)
}

// A client outlives its config for who got it before, and leaves nothing
// behind.
func TestClientOfAConfigThatIsGone(t *testing.T) {
	a, b := newAdobe(t, "p8e-good"), newBench(t)
	c := at(a.URL, "p8e-good")
	require.NoError(t, b.Put(t.Context(), "default", c))
	before, err := b.IMS(c)
	require.NoError(t, err)
	b.Forget("default")
	after, err := b.IMS(c)
	require.NoError(t, err)
	for _, client := range []*ims.Client{before, after} {
		_, err := client.ClientCredentials(t.Context(), c.With("p8e-good"), []string{"openid"})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return a.connections() == 0 }, 5*time.Second, 5*time.Millisecond)
}

// A config that was read before something was forgotten may be out of memory:
// it must not keep a client that nobody would close. Nor must an older
// revision.
func TestWhatIsNoUserOfAClient(t *testing.T) {
	stored := func(url string, revision uint64) entry.Stored[Credential] {
		return entry.Stored[Credential]{Value: at(url, "p8e-1"), Revision: revision}
	}
	k := newClients(ims.NewPool("test", time.Now))
	began := k.began()
	k.release("default")
	k.enter("default", stored("http://127.0.0.1:1", 1), began)
	require.Empty(t, k.uses)
	require.Empty(t, k.kept)

	began = k.began()
	newer, older := stored("http://127.0.0.1:2", 3), stored("http://127.0.0.1:1", 2)
	k.enter("default", newer, began)
	k.enter("default", older, began)
	require.True(t, k.isCurrent("default", newer.Value))
	require.Equal(t, map[string]use{"default": {options(newer.Value, newer.Value.IMSURL), 3}}, k.uses)
	require.Len(t, k.kept, 1)
}

func TestReadsAndForgetsAtOnce(t *testing.T) {
	b := newBench(t)
	c := at("http://127.0.0.1:1", "p8e-1")
	require.NoError(t, b.Put(t.Context(), "default", c))
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 50 {
				switch (i + j) % 4 {
				case 0:
					b.Forget("default")
				case 1:
					next := *c
					next.MaxRetries = j % 3
					_ = b.Put(t.Context(), "default", &next)
				default:
					if stored, err := b.Get(t.Context(), "default"); err == nil {
						_, _ = b.IMS(stored.Value)
					}
				}
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, len(b.clients.uses), 1)
	require.LessOrEqual(t, len(b.clients.kept), 1)
	b.Forget("default")
	require.Empty(t, b.clients.kept)
}

// A read of what is in memory takes no lock and allocates nothing.
func TestReadFromMemoryAllocatesNothing(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.Put(t.Context(), "default", at("http://127.0.0.1:1", "p8e-1")))
	b.clients.mu.Lock()
	defer b.clients.mu.Unlock()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := b.Get(t.Context(), "default"); err != nil {
			panic(err)
		}
	}))
}

type failing struct{ logical.Storage }

var errReadOnly = errors.New("cannot write to readonly storage")

func (failing) Put(context.Context, *logical.StorageEntry) error { return errReadOnly }

func TestStorageErrorsComeBackAsTheyAre(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.Put(t.Context(), "default", at("http://127.0.0.1:1", "p8e-1")))
	h := *b.host
	h.Storage = failing{b.storage}
	s := NewStore(&h, b.pool, newOrder())
	_, err := s.Get(t.Context(), "default")
	require.NoError(t, err)
	require.Len(t, s.clients.uses, 1)
	err = s.Put(t.Context(), "default", at("http://127.0.0.1:2", "p8e-1"))
	require.Equal(t, errReadOnly, err)
	require.Empty(t, s.clients.uses)
	stored, err := s.Get(t.Context(), "default")
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:1", stored.Value.IMSURL)
}

func TestLockIsByExactNameAndEndsWithTheContext(t *testing.T) {
	b := newBench(t)
	unlock, err := b.Lock(t.Context(), "default")
	require.NoError(t, err)
	for i := range 600 { // more than there would be buckets
		other, err := b.Lock(t.Context(), fmt.Sprintf("config-%d", i))
		require.NoError(t, err)
		defer other()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.Share(ctx, "default")
	require.ErrorIs(t, err, context.Canceled)
	unlock()
	share, err := b.Share(t.Context(), "default")
	require.NoError(t, err)
	share()
}

func TestUse(t *testing.T) {
	withSecrets := func(url string) *Credential {
		c := at(url, "p8e-current")
		c.Pending = &Secret{Value: "p8e-pending"}
		c.Retired = []Secret{{Value: "p8e-oldest"}, {UUID: "u-1"}, {Value: "p8e-older"}}
		return c
	}
	for name, test := range map[string]struct {
		accepted string
		asked    []string
		warns    bool
	}{
		"the current":        {accepted: "p8e-current", asked: []string{"p8e-current"}},
		"the pending":        {accepted: "p8e-pending", asked: []string{"p8e-current", "p8e-pending"}, warns: true},
		"the newest retired": {accepted: "p8e-older", asked: []string{"p8e-current", "p8e-pending", "p8e-older"}, warns: true},
		"the oldest":         {accepted: "p8e-oldest", asked: []string{"p8e-current", "p8e-pending", "p8e-older", "p8e-oldest"}, warns: true},
		"none":               {accepted: "p8e-x", asked: []string{"p8e-current", "p8e-pending", "p8e-older", "p8e-oldest"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newAdobe(t, test.accepted), newBench(t)
			c := withSecrets(a.URL)
			require.NoError(t, b.Put(t.Context(), "default", c))
			used, err := b.Use(t.Context(), "default", c, mint(t))
			if test.accepted == "p8e-x" {
				require.True(t, ims.RefusedWith(err, ims.CodeInvalidClient))
				require.Equal(t, c.With("p8e-current"), used)
			} else {
				require.NoError(t, err)
				require.Equal(t, c.With(secret.Secret(test.accepted)), used)
			}
			for i := range test.asked {
				test.asked[i] = tokenPath + " " + test.asked[i]
			}
			require.Equal(t, test.asked, a.requests())
			if test.warns {
				require.Contains(t, b.log.String(), "IMS refuses the client secret")
			} else {
				require.Empty(t, b.log.String())
			}
		})
	}
	t.Run("a client that IMS does not know is asked for once", func(t *testing.T) {
		a, b := newAdobe(t), newBench(t)
		c := withSecrets(a.URL)
		c.ClientID = "gone"
		_, err := b.Use(t.Context(), "default", c, mint(t))
		require.True(t, ims.ClientUnknown(err))
		require.Len(t, a.requests(), 1)
	})
	t.Run("another failure ends it", func(t *testing.T) {
		a, b := newAdobe(t, "p8e-oldest"), newBench(t)
		c := withSecrets(a.URL)
		a.instead(tokenPath, 503, "text/html", page)
		used, err := b.Use(t.Context(), "default", c, mint(t))
		require.Equal(t, ims.Unavailable, kindOf(err))
		require.Equal(t, c.With("p8e-current"), used)
		require.Len(t, a.requests(), 1)
	})
}

func TestUseOfAConfigThatWasWrittenSince(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Credential)
		asked  int
		ok     bool
	}{
		"another secret":           {change: func(c *Credential) { c.Current = "p8e-new" }, asked: 2, ok: true},
		"a secret that is pending": {change: func(c *Credential) { c.Pending = &Secret{Value: "p8e-new"} }, asked: 2, ok: true},
		"another client":           {change: func(c *Credential) { c.ClientID, c.Current = "x", "p8e-new" }, asked: 1},
		"another IMS":              {change: func(c *Credential) { c.IMSURL, c.Current = "http://127.0.0.1:1", "p8e-new" }, asked: 1},
		"nothing of use":           {change: func(c *Credential) { c.MaxRetries = 1 }, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newAdobe(t, "p8e-new"), newBench(t)
			c := at(a.URL, "p8e-old")
			next := *c
			test.change(&next)
			require.NoError(t, b.Put(t.Context(), "default", &next))
			used, err := b.Use(t.Context(), "default", c, mint(t))
			require.Len(t, a.requests(), test.asked)
			if test.ok {
				require.NoError(t, err)
				require.Equal(t, c.With("p8e-new"), used)
				return
			}
			require.True(t, ims.RefusedWith(err, ims.CodeInvalidClient))
			require.Equal(t, c.With("p8e-old"), used)
		})
	}
}

func TestWithManagement(t *testing.T) {
	a, b := newAdobe(t, "p8e-retired"), newBench(t)
	c := rotating(a.URL, "p8e-good")
	c.Retired = []Secret{{Value: "p8e-retired"}}
	require.NoError(t, b.Put(t.Context(), "default", c))

	// No token is obtained unless it is needed.
	failed := errors.New("the work's own")
	require.Equal(t, failed, b.WithManagement(t.Context(), "default", c, func(*Session) error { return failed }))
	require.Empty(t, a.requests())

	err := b.WithManagement(t.Context(), "default", c, func(m *Session) error {
		current, err := m.UsesCurrent(t.Context())
		require.NoError(t, err)
		require.False(t, current)
		listing, err := m.List(t.Context())
		require.NoError(t, err)
		require.Equal(t, "u-1", listing.Secrets[0].UUID)
		_, err = m.List(t.Context())
		require.NoError(t, err)
		// A rotation goes on to another secret, and the one before is removed.
		a.accept("p8e-next")
		next := *c
		next.Current = "p8e-next"
		require.NoError(t, b.Put(t.Context(), "default", &next))
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{tokenPath + " p8e-good", tokenPath + " p8e-retired", consolePath, consolePath, invalidatePath + " p8e-next"}, a.requests())
	require.Zero(t, a.livingTokens())
	require.Eventually(t, func() bool { return a.connections() <= 2 }, 5*time.Second, 5*time.Millisecond)
}

func TestWithManagementRefuses(t *testing.T) {
	b := newBench(t)
	never := func(*Session) error { panic("called") }
	webApp := rotating("http://127.0.0.1:1", "p8e-1")
	webApp.Type = WebApp
	err := b.WithManagement(t.Context(), "w", webApp, never)
	require.ErrorContains(t, err, "Adobe offers no rotation for the oauth_web_app credential of config/w")
	require.ErrorContains(t, err, "vault write <mount>/config/w client_secret=@secret.txt")
	err = b.WithManagement(t.Context(), "d", at("http://127.0.0.1:1", "p8e-1"), never)
	require.ErrorContains(t, err, "vault write <mount>/config/d console_org_id=")

	a := newAdobe(t, "p8e-1")
	a.instead(tokenPath, 400, "application/json", `{"error":"invalid_scope"}`)
	err = b.WithManagement(t.Context(), "d", rotating(a.URL, "p8e-1"), func(m *Session) error {
		_, err := m.List(t.Context())
		return err
	})
	require.ErrorContains(t, err, "I/O Management API")
}

func TestEnd(t *testing.T) {
	for name, test := range map[string]struct {
		stored  func(url string) *Credential // nil: none
		left    time.Duration
		prepare func(*adobe)
		asked   []string // at invalidatePath, with what secret
		says    string   // "": ended
		gone    bool     // *Unendable
	}{
		"with the current secret": {stored: func(url string) *Credential { return at(url, "p8e-good") }, asked: []string{"p8e-good"}},
		"with a retired secret": {
			stored: func(url string) *Credential {
				c := at(url, "p8e-bad")
				c.Retired = []Secret{{Value: "p8e-good"}}
				return c
			},
			// Of a secret that is refused, IMS is asked once more without it.
			prepare: func(a *adobe) { a.needSecret() },
			asked:   []string{"p8e-bad", "", "p8e-good"},
		},
		"expired":                {stored: func(url string) *Credential { return at(url, "p8e-good") }, left: -time.Hour},
		"about to expire":        {stored: func(url string) *Credential { return at(url, "p8e-good") }, left: 2 * time.Second},
		"without a config":       {asked: []string{""}},
		"of another client":      {stored: func(url string) *Credential { c := at(url, "p8e-good"); c.ClientID = "x"; return c }, asked: []string{""}},
		"of another IMS":         {stored: func(string) *Credential { return at("http://127.0.0.1:1", "p8e-good") }, asked: []string{""}},
		"no config, and refused": {prepare: func(a *adobe) { a.needSecret() }, asked: []string{""}, says: "client_id " + clientOne, gone: true},
		"no config, and IMS fails": {
			prepare: func(a *adobe) { a.instead(invalidatePath, 503, "text/html", page) },
			asked:   []string{"", "", ""}, says: "503", gone: true,
		},
		"another client, and refused": {
			stored:  func(url string) *Credential { c := at(url, "p8e-good"); c.ClientID = "x"; return c },
			prepare: func(a *adobe) { a.needSecret() }, asked: []string{""}, says: "lives until 20", gone: true,
		},
		"another client, and IMS fails": {
			stored:  func(url string) *Credential { c := at(url, "p8e-good"); c.ClientID = "x"; return c },
			prepare: func(a *adobe) { a.instead(invalidatePath, 503, "text/html", page) }, asked: []string{""}, says: "503",
		},
		"a page answers": {
			stored:  func(url string) *Credential { return at(url, "p8e-good") },
			prepare: func(a *adobe) { a.instead(invalidatePath, 200, "text/html", page) }, asked: []string{"p8e-good"}, says: "HTTPS_PROXY",
		},
		"the credential was deleted at Adobe": {
			stored:  func(url string) *Credential { return at(url, "p8e-good") },
			prepare: func(a *adobe) { a.clientID = "other" }, asked: []string{"p8e-good"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newAdobe(t, "p8e-good"), newBench(t)
			if test.prepare != nil {
				test.prepare(a)
			}
			if test.stored != nil {
				require.NoError(t, b.Put(t.Context(), "default", test.stored(a.URL)))
			}
			left := test.left
			if left == 0 {
				left = time.Hour
			}
			token := Issued{Config: "default", ClientID: clientOne, IMSURL: a.URL, Token: "e30.token.x", Expires: b.clock.Now().Add(left)}
			err := b.End(t.Context(), token)
			var asked []string
			for _, request := range a.requests() {
				if len(request) >= len(invalidatePath) && request[:len(invalidatePath)] == invalidatePath {
					asked = append(asked, request[min(len(invalidatePath)+1, len(request)):])
				}
			}
			require.Equal(t, test.asked, asked)
			if test.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.says)
			var gone *Unendable
			require.Equal(t, test.gone, errors.As(err, &gone))
		})
	}
}

// A token whose end is not known is ended like any other.
func TestEndWithoutExpiry(t *testing.T) {
	a, b := newAdobe(t, "p8e-good"), newBench(t)
	token := Issued{Config: "default", ClientID: clientOne, IMSURL: a.URL, Token: "e30.token.x"}
	require.NoError(t, b.End(t.Context(), token))
	require.Equal(t, []string{invalidatePath}, a.requests())
	a.needSecret()
	require.ErrorContains(t, b.End(t.Context(), token), "lives until it expires")
}

// needSecret has IMS refuse an invalidation without a client secret.
func (a *adobe) needSecret() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer[invalidatePath] = func(w http.ResponseWriter, r *http.Request) {
		if !a.refuses(w, r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")) {
			w.WriteHeader(http.StatusOK)
		}
	}
}

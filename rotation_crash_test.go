// SPDX-License-Identifier: MPL-2.0

package adobeims

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

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

var errDead = errors.New("the process is dead")

// crash makes the process die at a step: a call of storage or of Adobe, before
// it takes effect or after. What the dead process calls then has no effect.
type crash struct {
	mu    sync.Mutex
	at    int
	after bool
	step  int
	dead  bool
}

// dies counts a step and tells whether the process is dead before it, and
// whether it dies with it.
func (c *crash) dies() (before, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return true, false
	}
	c.step++
	c.dead = c.step == c.at
	return c.dead && !c.after, c.dead && c.after
}

func (c *crash) happened() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

type crashingStorage struct {
	logical.Storage
	crash *crash
}

func (s *crashingStorage) run(call func() error) error {
	before, after := s.crash.dies()
	if before {
		return errDead
	}
	err := call()
	if after {
		return errDead
	}
	return err
}

func (s *crashingStorage) Get(ctx context.Context, key string) (entry *logical.StorageEntry, err error) {
	return entry, s.run(func() error { entry, err = s.Storage.Get(ctx, key); return err })
}

func (s *crashingStorage) List(ctx context.Context, prefix string) (keys []string, err error) {
	return keys, s.run(func() error { keys, err = s.Storage.List(ctx, prefix); return err })
}

func (s *crashingStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	return s.run(func() error { return s.Storage.Put(ctx, entry) })
}

func (s *crashingStorage) Delete(ctx context.Context, key string) error {
	return s.run(func() error { return s.Storage.Delete(ctx, key) })
}

// arm makes the mount's process die as the crash says. The returned function
// brings it back to life on what it left behind.
func (m *mount) arm(c *crash) (revive func()) {
	whole := m.storage.Storage
	m.storage.Storage = &crashingStorage{whole, c}
	var dying bool
	var mu sync.Mutex
	removeBefore := m.ims.Inject(emulator.Fault{Drop: true, Match: func(*http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		var before bool
		before, dying = c.dies()
		return before
	}})
	removeAfter := m.ims.Inject(emulator.Fault{Drop: true, After: true, Match: func(*http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		return dying
	}})
	return func() {
		removeBefore()
		removeAfter()
		m.storage.Storage = whole
		m.restart()
	}
}

// The process dies at every single step of a rotation, before it takes effect
// and after, and comes back.
func TestRotationSurvivesACrashAtEveryStep(t *testing.T) {
	for _, bare := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("bare answers %v, after the effect %v", bare, after), func(t *testing.T) {
				steps := 0
				for at := 1; ; at++ {
					if !crashOnce(t, bare, &crash{at: at, after: after}) {
						break
					}
					steps = at
				}
				t.Logf("died at each of %d steps", steps)
				require.Greater(t, steps, 12)
			})
		}
	}
}

func crashOnce(t *testing.T, bare bool, c *crash) (died bool) {
	t.Helper()
	m := newRotatingMount(t)
	m.useAdobe(emulator.Options{BareNewSecret: bare})
	m.rotate() // so that there is a previous secret, too
	m.clock.Advance(time.Hour)

	revive := m.arm(c)
	_, _ = m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	died = c.happened()
	revive()
	what := fmt.Sprintf("died at step %d, after its effect: %v", c.at, c.after)

	// Readers are served at once, and the next rotation works.
	m.clock.Advance(2 * time.Second)
	require.NotEmpty(t, m.token("firefly"), what)
	m.clock.Advance(time.Minute)
	m.rotate()
	require.LessOrEqual(t, len(m.uuids()), 2, what)
	m.requireWorkingSecret()

	// In the end nothing is left behind, here or at Adobe.
	m.clock.Advance(2 * time.Hour)
	_, err := m.handle(logical.RollbackOperation, "", map[string]any{"immediate": true})
	require.NoError(t, err, what)
	require.Equal(t, []string{m.stored().SecretUUID}, m.uuids(), what)
	require.Empty(t, walKeys(m), what)
	require.Empty(t, m.stored().Retired, what)
	require.Nil(t, m.stored().Pending, what)
	m.requireWorkingSecret()
	return died
}

// After a crash, the work in the background alone brings things in order.
func TestBackgroundRecoversFromACrash(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			m := newRotatingMount(t)
			c := &crash{at: at, after: after}
			revive := m.arm(c)
			_, _ = m.handle(logical.UpdateOperation, "config/default/rotate", nil)
			died := c.happened()
			revive()
			what := fmt.Sprintf("died at step %d, after its effect: %v", at, after)
			for range 3 {
				m.clock.Advance(2 * time.Hour)
				_, err := m.handle(logical.RollbackOperation, "", map[string]any{"immediate": true})
				require.NoError(t, err, what)
			}
			require.Len(t, m.uuids(), 1, what)
			require.Empty(t, walKeys(m), what)
			m.requireWorkingSecret()
			if !died {
				break
			}
		}
	}
}

// useAdobe replaces the emulated Adobe by one with other options.
func (m *mount) useAdobe(o emulator.Options) {
	m.t.Helper()
	o.Clock = m.clock
	adobe := emulator.New(o)
	adobe.AddClient(emulator.Client{
		ID: testClientID, Secrets: []string{testClientSecret},
		ConsoleOrgID: testConsoleOrg, CredentialID: testCredentialID,
	})
	url, err := adobe.Start("")
	require.NoError(m.t, err)
	m.t.Cleanup(adobe.Stop)
	m.write("config/default", map[string]any{"ims_url": url, "console_url": url, "client_secret": testClientSecret})
	m.ims = adobe
}

// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
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

// dies counts a step and reports whether the process is dead before it, and
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

func (c *crash) String() string {
	return fmt.Sprintf("died at step %d, after its effect: %v", c.at, c.after)
}

// arm makes the mount's process die as the crash says. The returned function
// brings it back to life on what it left behind.
func (m *mount) arm(c *crash) (revive func()) {
	m.storage.set(func(_, _ string, call func() error) error {
		before, after := c.dies()
		if before {
			return errDead
		}
		if err := call(); err != nil || !after {
			return err
		}
		return errDead
	})
	var dying bool
	var mu sync.Mutex
	removeBefore := m.adobe.Inject(emulator.Fault{Drop: true, Match: func(*http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		var before bool
		before, dying = c.dies()
		return before
	}})
	removeAfter := m.adobe.Inject(emulator.Fault{Drop: true, After: true, Match: func(*http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		return dying
	}})
	return func() {
		removeBefore()
		removeAfter()
		m.storage.set(nil)
		m.restart()
	}
}

// scenario is work during which the process dies.
type scenario struct {
	prepare  func(*mount)
	work     func(*mount)
	minSteps int
}

func rotateByHand(m *mount) { _, _ = m.rotate() }

var scenarios = map[string]scenario{
	"the first rotation": {
		prepare:  func(*mount) {},
		work:     rotateByHand,
		minSteps: 14,
	},
	"a rotation that makes room": {
		prepare:  func(m *mount) { m.rotated(); m.clock.Advance(time.Minute) },
		work:     rotateByHand,
		minSteps: 17,
	},
	"a rotation that removes the secret before at once": {
		prepare: func(m *mount) {
			m.write(func(c *credential.Credential) { c.PreviousSecretTTL = 0 })
		},
		work:     rotateByHand,
		minSteps: 16,
	},
	"a rotation by period": {
		prepare:  func(m *mount) { m.write(func(c *credential.Credential) { c.RotationPeriod = time.Hour }) },
		work:     func(m *mount) { _ = m.Tick(context.Background()) },
		minSteps: 15,
	},
	"a removal": {
		prepare:  func(m *mount) { m.rotated(); m.clock.Advance(time.Hour) },
		work:     func(m *mount) { _ = m.Tick(context.Background()) },
		minSteps: 6,
	},
	"proving later on": {
		prepare: func(m *mount) {
			m.rotateWith(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: proofs})
			m.clock.Advance(time.Minute)
		},
		work:     func(m *mount) { _ = m.Tick(context.Background()) },
		minSteps: 5,
	},
	"giving up": {
		prepare: func(m *mount) {
			m.adobe.Configure(func(o *emulator.Options) { o.SecretDelay = 30 * 24 * time.Hour })
			m.rotateWith(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: proofs})
			m.adobe.Configure(func(o *emulator.Options) { o.SecretDelay = 0 })
			m.clock.Advance(2 * time.Hour)
		},
		work:     func(m *mount) { _ = m.Tick(context.Background()) },
		minSteps: 6,
	},
	"clearing up after a lost answer": {
		prepare: func(m *mount) {
			remove := m.adobe.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Skip: 1, Status: 500})
			defer remove()
			m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
			m.clock.Advance(time.Minute)
		},
		work:     rotateByHand,
		minSteps: 18,
	},
	"Vault's rollback": {
		prepare: func(m *mount) {
			remove := m.adobe.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Skip: 1, Status: 500})
			defer remove()
			m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
			m.clock.Advance(time.Minute)
		},
		work: func(m *mount) {
			open, _ := openIntents(context.Background(), m.storage.Storage, "default")
			_ = m.Rollback(context.Background(), intentKind, open[0])
		},
		minSteps: 7,
	},
}

// The process dies at every single call of storage and of Adobe, before it takes
// effect and after, and comes back. What is left behind is sound at once; and the
// work in the background alone, or the next rotation by hand, puts it in order.
func TestCrashAtEveryStep(t *testing.T) {
	for name, s := range scenarios {
		for _, bare := range []bool{false, true} {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, bare answers %v, after the effect %v", name, bare, after), func(t *testing.T) {
					t.Parallel()
					at := 1
					for ; s.dies(t, bare, &crash{at: at, after: after}); at++ {
					}
					require.GreaterOrEqual(t, at-1, s.minSteps)
				})
			}
		}
	}
}

func (s scenario) dies(t *testing.T, bare bool, c *crash) (died bool) {
	t.Helper()
	for _, recover := range []func(*mount){
		func(m *mount) { m.settle() },
		func(m *mount) {
			m.clock.Advance(2 * time.Second)
			m.rotated()
			require.LessOrEqual(t, len(m.uuids()), maxSecrets, c)
			m.requireSound(c.String())
			m.requireCurrentWorks(c.String())
			m.write(func(c *credential.Credential) { c.RotationPeriod = 0 })
			m.settle()
		},
	} {
		m := newMount(t, func(o *emulator.Options) { o.BareNewSecret = bare })
		s.prepare(m)
		revive := m.arm(c)
		s.work(m)
		died = c.happened()
		revive()
		m.requireSound(c.String())
		if m.stored().RotationPeriod > 0 && m.stored().Added {
			m.write(func(c *credential.Credential) { c.RotationPeriod = 0 })
		}
		recover(m)
		m.write(func(c *credential.Credential) { c.RotationPeriod = 0 })
		m.settle()
		m.requireTidy(c.String())
		require.Nil(t, m.stored().RotationFailure, c)
		*c = crash{at: c.at, after: c.after}
	}
	return died
}

// Storage or Adobe fails for a single call, before its effect or after, and the
// process lives on.
func TestSingleFailureAtEveryStep(t *testing.T) {
	for name, s := range scenarios {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after the effect %v", name, after), func(t *testing.T) {
				t.Parallel()
				for at := 1; ; at++ {
					m := newMount(t)
					s.prepare(m)
					c := &crash{at: at, after: after}
					once := &crash{at: 1}
					failing := c.failsOnce(once)
					remove := m.arm(failing)
					s.work(m)
					happened := failing.happened()
					_ = remove
					m.heal()
					m.requireSound(c.String())
					m.settle()
					m.write(func(c *credential.Credential) { c.RotationPeriod = 0 })
					m.settle()
					m.requireTidy(c.String())
					if !happened {
						break
					}
				}
			})
		}
	}
}

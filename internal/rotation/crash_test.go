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
	once  bool // only that call fails: the process lives on
	step  int
	dead  bool
}

// dies counts a step and reports whether the process is dead before it, and
// whether it dies with it.
func (c *crash) dies() (before, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return !c.once, false
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

// arm makes calls fail as the crash says, until heal is called.
func (m *mount) arm(c *crash) (heal func()) {
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
	}
}

// scenario is work during which the process dies.
type scenario struct {
	prepare  func(*mount)
	work     func(*mount)
	minSteps int
	bare     bool // also with answers that do not name the new secret
}

func rotateByHand(m *mount) { _, _ = m.rotate() }

var scenarios = map[string]scenario{
	"the first rotation": {
		prepare:  func(*mount) {},
		work:     rotateByHand,
		minSteps: 12,
		bare:     true,
	},
	"a rotation that makes room": {
		prepare:  func(m *mount) { m.rotated(); m.clock.Advance(time.Minute) },
		work:     rotateByHand,
		minSteps: 14,
	},
	"a rotation that removes the secret before at once": {
		prepare: func(m *mount) {
			m.write(func(c *credential.Credential) { c.PreviousSecretTTL = 0 })
		},
		work:     rotateByHand,
		minSteps: 15,
	},
	"a rotation by period": {
		prepare: func(m *mount) {
			m.write(func(c *credential.Credential) { c.RotationPeriod = 24 * time.Hour })
			m.clock.Advance(23 * time.Hour)
		},
		work:     func(m *mount) { _ = m.Tick(context.Background()) },
		minSteps: 13,
	},
	"a removal": {
		prepare:  func(m *mount) { m.rotated(); m.clock.Advance(time.Hour) },
		work:     func(m *mount) { _ = m.Tick(context.Background()) },
		minSteps: 6,
	},
	"proving later on": {
		prepare: func(m *mount) {
			_ = m.rotateWith(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: proofs})
			m.clock.Advance(time.Minute)
		},
		work:     func(m *mount) { _ = m.Tick(context.Background()) },
		minSteps: 5,
	},
	"giving up": {
		prepare: func(m *mount) {
			m.adobe.Configure(func(o *emulator.Options) { o.SecretDelay = 30 * 24 * time.Hour })
			_ = m.rotateWith(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: proofs})
			m.adobe.Configure(func(o *emulator.Options) { o.SecretDelay = 0 })
			m.clock.Advance(2 * time.Hour)
		},
		work:     func(m *mount) { _ = m.Tick(context.Background()) },
		minSteps: 6,
		bare:     true,
	},
	"clearing up after a lost answer": {
		prepare: func(m *mount) {
			remove := m.adobe.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Skip: 1, Status: 500})
			defer remove()
			_ = m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
			m.clock.Advance(time.Minute)
		},
		work:     rotateByHand,
		minSteps: 15,
	},
	"Vault's rollback": {
		prepare: func(m *mount) {
			remove := m.adobe.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Skip: 1, Status: 500})
			defer remove()
			_ = m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
			m.clock.Advance(time.Minute)
		},
		work: func(m *mount) {
			open, _ := openIntents(context.Background(), m.storage.Storage, "default")
			_ = m.Rollback(context.Background(), intentKind, open[0])
		},
		minSteps: 7,
	},
}

// The process dies at every single call of storage and of Adobe, before it
// takes effect and after, and comes back. What is left behind is sound at once;
// and the work in the background alone, or the next rotation by hand, puts it
// in order.
func TestCrashAtEveryStep(t *testing.T) {
	for name, s := range scenarios {
		for _, bare := range []bool{false, true} {
			if bare && !s.bare {
				continue
			}
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
		func(*mount) {},
		func(m *mount) {
			m.clock.Advance(2 * time.Second)
			m.rotated()
			require.LessOrEqual(t, len(m.uuids()), maxSecrets, c)
			m.requireSound(c.String())
			m.requireCurrentWorks(c.String())
			require.Nil(m.t, m.stored().RotationFailure, c)
		},
	} {
		m := newMount(t, func(o *emulator.Options) { o.BareNewSecret = bare })
		s.prepare(m)
		this := &crash{at: c.at, after: c.after}
		heal := m.arm(this)
		s.work(m)
		heal()
		m.restart()
		died = this.happened()
		m.requireSound(c.String())
		recover(m)
		m.requireSettled(c.String())
	}
	return died
}

// requireSettled lets the work in the background come to its end.
func (m *mount) requireSettled(what string) {
	m.t.Helper()
	m.settle()
	if m.stored().RotationPeriod > 0 {
		m.write(func(c *credential.Credential) { c.RotationPeriod = 0 })
		m.settle()
	}
	m.requireTidy(what)
}

// Storage or Adobe fails for a single call, before its effect or after it, and
// the process lives on.
func TestFailureAtEveryStep(t *testing.T) {
	for name, s := range scenarios {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after the effect %v", name, after), func(t *testing.T) {
				t.Parallel()
				for at := 1; ; at++ {
					m := newMount(t)
					s.prepare(m)
					c := &crash{at: at, after: after, once: true}
					heal := m.arm(c)
					s.work(m)
					heal()
					m.requireSound(c.String())
					m.clock.Advance(time.Minute)
					m.rotated()
					require.Nil(m.t, m.stored().RotationFailure, c)
					m.requireSettled(c.String())
					if !c.happened() {
						break
					}
				}
			})
		}
	}
}

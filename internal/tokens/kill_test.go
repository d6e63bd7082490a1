// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// threeTokens makes a role with three outstanding tokens.
func (m *mount) threeTokens() {
	m.t.Helper()
	for i, scope := range []string{"a", "b", "c"} {
		m.write(func(s *Spec) { s.Role.Scopes = []string{scope} })
		require.Equal(m.t, fmt.Sprint("firefly-", i+1), m.read())
	}
}

func (m *mount) kill() (int, error) {
	m.t.Helper()
	ended, err := m.Kill(context.Background(), role)
	m.settle()
	return ended, err
}

func (m *mount) status() Status {
	m.t.Helper()
	status, err := m.Status(context.Background(), m.roles.spec())
	require.NoError(m.t, err)
	return status
}

func TestKill(t *testing.T) {
	bubble(t, func(m *mount) {
		m.threeTokens()
		ended, err := m.kill()
		require.NoError(t, err)
		require.Equal(t, 3, ended)
		require.Empty(t, m.stored(role))
		require.Equal(t, Idle, m.status().Condition)
		require.Contains(t, m.events.all(), "token-invalidate token/firefly")
		require.Equal(t, "firefly-4", m.read())
		for i := range 3 {
			require.Equal(t, 1, m.ims.ended[fmt.Sprint("firefly-", i+1)])
		}
		ended, err = m.kill()
		require.NoError(t, err)
		require.Equal(t, 1, ended)
		ended, err = m.kill()
		require.NoError(t, err)
		require.Zero(t, ended, "nothing outstanding")
	})
}

func TestKillOfExpiredTokensAsksNobody(t *testing.T) {
	bubble(t, func(m *mount) {
		m.read()
		m.restart()
		m.advance(day)
		ended, err := m.kill()
		require.NoError(t, err)
		require.Zero(t, ended)
		require.Zero(t, m.ims.ends.Load())
		require.Empty(t, m.stored(role))
	})
}

// What IMS did not end stays on record condemned, across a restart, and is tried
// again: by the periodic work with growing pauses, and by the next kill.
func TestTokensThatIMSDoesNotEnd(t *testing.T) {
	bubble(t, func(m *mount) {
		m.threeTokens()
		m.ims.endErr = func(t *Token) error {
			if t.AccessToken == "firefly-2" {
				return errRefused
			}
			return nil
		}
		ended, err := m.kill()
		require.Equal(t, 2, ended)
		var failed *KillError
		require.ErrorAs(t, err, &failed)
		require.ErrorIs(t, err, errRefused)
		require.Equal(t, 3, failed.Of)
		require.Len(t, failed.Failed, 1)
		require.Equal(t, "firefly-2", string(failed.Failed[0].Token.AccessToken))

		m.restart()
		require.True(t, m.stored(role)["firefly-2"].Condemned)
		require.Equal(t, 1, m.status().Uninvalidated)
		m.write(func(s *Spec) { s.Role.Scopes = []string{"b"} })
		require.Equal(t, "firefly-4", m.read(), "it is handed to nobody")

		asked := m.ims.ends.Load()
		m.tick() // at once
		require.Equal(t, asked+1, m.ims.ends.Load())
		var at []int
		for minute := range 130 {
			m.tick()
			if now := m.ims.ends.Load(); now != asked+1 {
				at, asked = append(at, minute+1), now-1
			}
		}
		require.Equal(t, []int{1, 3, 7, 15, 31, 63, 123}, at)

		_, err = m.kill()
		require.ErrorAs(t, err, &failed, "the next kill tries it, whatever the pause")
		require.Equal(t, 2, failed.Of)
		require.True(t, m.ims.dead("firefly-4"))
		m.ims.refuseEnding(nil)
		ended, err = m.kill()
		require.NoError(t, err)
		require.Equal(t, 1, ended)
		require.Empty(t, m.stored(role))
		m.requireNothingLost()
	})
}

// After a restart nobody has to read a role for its condemned tokens to be ended.
func TestCondemnedTokensOfBeforeARestart(t *testing.T) {
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprint("role is gone: ", gone), func(t *testing.T) {
			bubble(t, func(m *mount) {
				m.roles.write("fine", nil)
				m.start("fine").token()
				m.read()
				m.ims.refuseEnding(errRefused)
				if gone {
					m.roles.remove(role)
					_, err := m.Delete(context.Background(), role)
					require.Error(t, err)
				} else {
					_, err := m.kill()
					require.Error(t, err)
				}
				m.restart()
				m.ims.refuseEnding(nil)
				broken := errors.New("storage is broken")
				m.storage.failOn(broken, "list")
				require.Equal(t, broken, m.Tick(context.Background()))
				m.storage.heal()
				m.tick()
				require.True(t, m.ims.dead("firefly-2"))
				require.Empty(t, m.stored(role))
				require.Len(t, m.stored("fine"), 1)
				_, loaded := m.memory().Load("fine")
				require.False(t, loaded, "what wants nothing done is not read into memory")
				_, loaded = m.memory().Load(role)
				require.Equal(t, !gone, loaded)
				lists := m.storage.calls["list"]
				m.tick()
				require.Equal(t, lists, m.storage.calls["list"], "once")
			})
		})
	}
}

// From its first moment a kill waits for nobody: not for a mint that hangs, and
// whoever reads next has another minted meanwhile.
func TestKillWhileAMintHangs(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.ims.sent.hold()
		m.Renew(context.Background(), role)
		require.Equal(t, 2, m.mints())
		_, err := m.kill()
		require.NoError(t, err)
		require.True(t, m.ims.dead(first))

		r := m.start(role)
		r.requireWaits()
		require.Equal(t, 3, m.mints(), "the next read has another minted")
		m.ims.sent.open()
		require.Equal(t, "firefly-3", r.token())
		m.settle()
		require.True(t, m.ims.dead("firefly-2"), "the late one is ended")
		require.False(t, m.ims.dead("firefly-3"))
		require.Equal(t, "firefly-3", m.read())
		m.requireNothingLost()
	})
}

// While invalidations hang, the role's readers get another token (attack 14), and
// the kill ends in time.
func TestKillWhileInvalidationsHang(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.ims.ending.hold()
		var err error
		began := time.Now()
		killed := m.run(func() { _, err = m.Kill(context.Background(), role) })
		require.False(t, killed())
		require.True(t, m.stored(role)[first].Condemned, "condemned in storage before IMS is asked")
		require.Equal(t, "firefly-2", m.read())
		time.Sleep(EndLimit) // of the bubble: it takes no time
		require.True(t, killed())
		require.LessOrEqual(t, time.Since(began), EndLimit+time.Second)
		var failed *KillError
		require.ErrorAs(t, err, &failed)
		require.ErrorIs(t, err, ErrNoAnswer)
		require.Equal(t, "firefly-2", m.read(), "what was minted since lives on")
		m.ims.ending.open()
		m.tick()
		m.tick()
		require.True(t, m.ims.dead(first))
		require.False(t, m.ims.dead("firefly-2"))
		m.requireNothingLost()
	})
}

func TestKillWhileSavesHang(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.storage.holdOn("", "put", "delete")
		began := time.Now()
		ctx, leave := context.WithTimeout(context.Background(), 90*time.Second)
		defer leave()
		_, err := m.Kill(ctx, role)
		require.Error(t, err)
		require.LessOrEqual(t, time.Since(began), 2*saveTimeout+time.Second, "an emergency does not wait for storage")
		require.True(t, m.ims.dead(first))
		m.storage.heal()
		require.NotEqual(t, first, m.read())
		m.tick()
		require.Len(t, m.stored(role), 1)
		m.requireNothingLost()
	})
}

func TestKillWhileStorageFails(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		broken := errors.New("storage is broken")
		m.storage.failOn(broken, "get", "put", "delete")
		_, err := m.kill()
		require.Equal(t, broken, err, "as it came")
		require.True(t, m.ims.dead(first))
		m.restart()
		_, err = m.kill()
		require.Equal(t, broken, err, "its record cannot be read")
	})
}

// A kill that is cut off by a crash after it began is known of afterwards.
func TestKillSurvivesBeingKilled(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		died := errors.New("the process died")
		m.storage.failOn(died, "delete")
		_, err := m.kill()
		require.Equal(t, died, err)
		m.storage.heal()
		m.restart()
		require.NotEqual(t, first, m.read(), "a token that may be dead is never handed out again")
	})
}

// The kill is over even if its caller goes away; what it condemned is condemned.
func TestCallerOfAKillGoesAway(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.ims.ending.hold()
		ctx, leave := context.WithCancel(context.Background())
		var err error
		killed := m.run(func() { _, err = m.Kill(ctx, role) })
		require.False(t, killed())
		leave()
		require.True(t, killed())
		require.ErrorIs(t, err, ErrNoAnswer)
		m.ims.ending.open()
		require.NotEqual(t, first, m.read())
		m.tick()
		m.tick()
		require.True(t, m.ims.dead(first))
	})
}

func TestKillWhileReadersRead(t *testing.T) {
	bubble(t, func(m *mount) {
		stop := make(chan struct{})
		for range 8 {
			go func() {
				for {
					select {
					case <-stop:
						return
					default:
						_, _ = m.Read(context.Background(), role)
					}
				}
			}()
		}
		for range 30 {
			_, err := m.Kill(context.Background(), role)
			require.NoError(t, err)
		}
		close(stop)
		require.False(t, m.ims.dead(m.read()))
		m.requireNothingLost()
	})
}

// An ender that panics ends nobody.
func TestEnderThatPanics(t *testing.T) {
	bubble(t, func(m *mount) {
		m.read()
		m.ims.endErr = func(*Token) error { panic("a bug") }
		_, err := m.Kill(context.Background(), role)
		require.Error(t, err)
		require.Contains(t, m.log.String(), "a panic was recovered")
		require.Equal(t, 1, m.status().Uninvalidated)
	})
}

func TestOutstanding(t *testing.T) {
	bubble(t, func(m *mount) {
		count := func() int {
			n, err := m.Outstanding(context.Background(), role)
			require.NoError(t, err)
			return n
		}
		require.Zero(t, count())
		m.threeTokens()
		require.Equal(t, 3, count())
		m.restart()
		require.Equal(t, 3, count(), "from storage")
		m.requireNothingLeft()
		m.status() // reads it into memory
		require.Equal(t, 3, count())
		m.advance(day)
		require.Zero(t, count())
		m.restart()
		require.Zero(t, count())
		broken := errors.New("storage is broken")
		m.storage.failOn(broken, "get")
		_, err := m.Outstanding(context.Background(), role)
		require.Equal(t, broken, err)
	})
}

func TestAdopt(t *testing.T) {
	ctx := context.Background()
	adopt := func(m *mount, name string) error {
		token := testToken(name, m.roles.spec(), m.clock.Now(), day)
		m.ims.mu.Lock()
		m.ims.issued[name] = token
		m.ims.mu.Unlock()
		return m.Adopt(ctx, m.roles.spec(), token)
	}
	t.Run("the next reader gets it", func(t *testing.T) {
		bubble(t, func(m *mount) {
			require.NoError(t, adopt(m, "adopted"))
			require.Equal(t, "adopted", m.read())
			require.Zero(t, m.mints())
			require.Contains(t, m.stored(role), "adopted")
			m.advanceTo(12 * time.Hour)
			require.Equal(t, 1, m.mints(), "it is replaced like any other")
		})
	})
	t.Run("it ends the backing off", func(t *testing.T) {
		bubble(t, func(m *mount) {
			m.ims.refuse(throttled{time.Hour})
			_ = m.start(role).failure()
			require.NoError(t, adopt(m, "adopted"))
			a := m.answer()
			require.Equal(t, "adopted", string(a.Token.AccessToken))
			require.Nil(t, a.Failure)
		})
	})
	t.Run("who waits gets it", func(t *testing.T) {
		bubble(t, func(m *mount) {
			m.ims.sent.hold()
			r := m.start(role)
			r.requireWaits()
			require.NoError(t, adopt(m, "adopted"))
			require.Equal(t, "adopted", r.token(), "though IMS hangs")
			require.Equal(t, 1, m.mints())
			m.ims.sent.open()
			m.requireNothingLost()
		})
	})
	t.Run("not if the role was written since", func(t *testing.T) {
		bubble(t, func(m *mount) {
			was := m.roles.spec()
			m.read()
			m.write(func(s *Spec) { s.Role.Scopes = []string{"openid"} })
			m.read()
			require.NoError(t, m.Adopt(ctx, was, testToken("adopted", was, m.clock.Now(), day)))
			m.settle()
			require.True(t, m.ims.dead("adopted"))
			require.Equal(t, "firefly-2", m.read())
		})
	})
	t.Run("not if the role is gone", func(t *testing.T) {
		bubble(t, func(m *mount) {
			was := m.roles.spec()
			m.roles.remove(role)
			require.NoError(t, m.Adopt(ctx, was, testToken("adopted", was, m.clock.Now(), day)))
			m.settle()
			require.True(t, m.ims.dead("adopted"))
			m.requireNothingLeft()
		})
	})
	t.Run("not if it is from before a kill", func(t *testing.T) {
		bubble(t, func(m *mount) {
			before := testToken("adopted", m.roles.spec(), m.clock.Now(), day)
			m.advance(time.Second)
			_, err := m.Kill(ctx, role)
			require.NoError(t, err)
			require.NoError(t, m.Adopt(ctx, m.roles.spec(), before))
			m.settle()
			require.True(t, m.ims.dead("adopted"))
			require.Equal(t, "firefly-1", m.read())
		})
	})
	t.Run("not if it is killed meanwhile", func(t *testing.T) {
		bubble(t, func(m *mount) {
			m.storage.holdOn("", "put")
			adopted := m.run(func() { require.NoError(t, adopt(m, "adopted")) })
			require.False(t, adopted())
			killed := m.run(func() { _, err := m.Kill(ctx, role); require.NoError(t, err) })
			require.False(t, killed())
			m.storage.heal()
			require.True(t, adopted())
			require.True(t, killed())
			require.True(t, m.ims.dead("adopted"))
			require.Equal(t, "firefly-1", m.read())
		})
	})
	t.Run("not if the record cannot be read", func(t *testing.T) {
		bubble(t, func(m *mount) {
			broken := errors.New("storage is broken")
			m.storage.failOn(broken, "get")
			require.Equal(t, broken, adopt(m, "adopted"))
			m.settle()
			require.True(t, m.ims.dead("adopted"))
		})
	})
	t.Run("not if it cannot be stored", func(t *testing.T) {
		bubble(t, func(m *mount) {
			broken := errors.New("storage is broken")
			m.storage.failOn(broken, "put")
			require.Equal(t, broken, adopt(m, "adopted"))
			m.settle()
			require.True(t, m.ims.dead("adopted"))
			m.storage.heal()
			require.Equal(t, "firefly-1", m.read())
		})
	})
}

func TestEndStray(t *testing.T) {
	ctx := context.Background()
	t.Run("ended, and on record until then", func(t *testing.T) {
		bubble(t, func(m *mount) {
			m.ims.ending.hold()
			m.EndStray(ctx, role, testToken("stray", m.roles.spec(), start, day))
			m.settle()
			require.True(t, m.stored(role)["stray"].Condemned)
			require.Equal(t, "firefly-1", m.read())
			m.ims.ending.open()
			m.settle()
			require.True(t, m.ims.dead("stray"))
			require.NotContains(t, m.stored(role), "stray")
		})
	})
	t.Run("tried again", func(t *testing.T) {
		bubble(t, func(m *mount) {
			m.ims.refuseEnding(errRefused)
			m.EndStray(ctx, role, testToken("stray", m.roles.spec(), start, day))
			m.settle()
			require.Contains(t, m.log.String(), "could not be invalidated yet")
			require.NotContains(t, m.log.String(), "stray")
			m.ims.refuseEnding(nil)
			m.tick()
			require.True(t, m.ims.dead("stray"))
		})
	})
	t.Run("also of a role that does not exist", func(t *testing.T) {
		bubble(t, func(m *mount) {
			m.EndStray(ctx, "fierfly", testToken("stray", testSpec(1), start, day))
			m.settle()
			require.True(t, m.ims.dead("stray"))
			m.requireNothingLeft()
		})
	})
	t.Run("also if the record cannot be read", func(t *testing.T) {
		bubble(t, func(m *mount) {
			m.storage.failOn(errors.New("storage is broken"), "get")
			m.EndStray(ctx, role, testToken("stray", testSpec(1), start, day))
			m.settle()
			require.True(t, m.ims.dead("stray"))
			m.requireNothingLeft()
		})
	})
	t.Run("while the mount is being removed", func(t *testing.T) {
		bubble(t, func(m *mount) {
			m.read()
			m.stop()
			m.EndStray(ctx, role, testToken("stray", testSpec(1), start, day))
			m.settle()
			require.True(t, m.ims.dead("stray"))
		})
	})
	t.Run("the record does not grow without bound", func(t *testing.T) {
		bubble(t, func(m *mount) {
			m.ims.refuseEnding(errRefused)
			for i := range 2 * maxOutstanding {
				m.EndStray(ctx, role, testToken(fmt.Sprint("stray", i), testSpec(1), start, day))
			}
			m.settle()
			require.Len(t, m.stored(role), maxOutstanding)
			require.EqualValues(t, 2*maxOutstanding, m.ims.ends.Load(), "IMS was asked to end each")
		})
	})
}

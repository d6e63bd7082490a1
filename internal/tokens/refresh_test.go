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

func TestTokenInUseIsReplacedAhead(t *testing.T) {
	bubble(t, func(m *mount) {
		a := m.answer()
		at := a.Token.refreshAt(0)
		m.advance(at.Sub(start) - 1)
		require.Equal(t, 1, m.mints())
		m.advance(1)
		require.Equal(t, 2, m.mints())
		order, _ := m.ims.orders.Load(2)
		require.True(t, order.(Order).Background)
		second := m.answer()
		require.Equal(t, "firefly-2", string(second.Token.AccessToken))
		require.Nil(t, second.Failure)
		require.Equal(t, 2, m.mints())
	})
}

func TestNobodyWaitsForTheReplacement(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.ims.sent.hold()
		m.advanceTo(12*time.Hour + time.Second)
		require.Equal(t, 2, m.mints())
		a := m.answer()
		require.Equal(t, first, string(a.Token.AccessToken))
		require.NotZero(t, a.MintingSince)
	})
}

func TestIdleRoleIsLeftAlone(t *testing.T) {
	bubble(t, func(m *mount) {
		m.read()
		m.advanceTo(12 * time.Hour) // it was in use, so it is replaced
		require.Equal(t, 2, m.mints())
		for range 100 {
			m.advance(6 * time.Hour)
		}
		require.Equal(t, 2, m.mints())
	})
}

// A reader who is served the old token while the new one is being stored has not
// read the new one, and one who reads right after it was stored has.
func TestInUseWhileTheRecordIsSaved(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.storage.holdOn("", "put")
		m.advanceTo(12*time.Hour + time.Second)
		require.Equal(t, 2, m.mints())
		require.Equal(t, first, m.read())
		m.storage.heal()
		m.settle()
		m.advanceTo(30 * time.Hour)
		require.Equal(t, 2, m.mints(), "nobody has read the second")
		require.Equal(t, "firefly-3", m.read(), "after a pause")
	})
}

func TestNotMoreThanEightInTheBackground(t *testing.T) {
	bubble(t, func(m *mount) {
		for i := range 30 {
			name := fmt.Sprint("role", i)
			m.roles.write(name, nil)
			m.start(name).token()
		}
		m.ims.sent.hold()
		m.advanceTo(12 * time.Hour)
		require.Equal(t, 30+maxBackground, m.mints())

		// Who has no token does not queue behind them.
		m.roles.write("role29", func(s *Spec) { s.Role.Scopes = []string{"other"} })
		r := m.start("role29")
		r.requireWaits()
		require.Equal(t, 30+maxBackground+1, m.mints())
		m.ims.sent.open()
		r.token()
		require.GreaterOrEqual(t, m.mints(), 60)
	})
}

// A mint that still waits in the background is begun at once for who has no token.
func TestQueuedMintIsBegunForWhoWaits(t *testing.T) {
	bubble(t, func(m *mount) {
		for i := range maxBackground {
			name := fmt.Sprint("role", i)
			m.roles.write(name, nil)
			m.start(name).token()
		}
		m.read()
		m.ims.sent.hold()
		for i := range maxBackground {
			m.Renew(context.Background(), fmt.Sprint("role", i))
		}
		m.settle()
		m.Renew(context.Background(), role)
		require.Equal(t, 2*maxBackground+1, m.mints(), "the role's own is queued")
		m.advance(day) // its token dies
		before := m.mints()
		r := m.start(role)
		r.requireWaits()
		require.Equal(t, before+1, m.mints())
		m.ims.sent.open()
		r.token()
	})
}

// What was planned by the former fields is planned anew (house 1e).
func TestMinTTLRaised(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.advance(time.Hour)
		m.write(func(s *Spec) { s.Role.MinTTL = 18 * time.Hour })
		require.Equal(t, 1, m.mints())
		m.advanceTo(6 * time.Hour)
		require.Equal(t, 2, m.mints(), "ahead of the time from which readers would wait")
		require.NotEqual(t, first, m.read())

		m.write(func(s *Spec) { s.Role.MinTTL = 48 * time.Hour })
		for range 10 {
			m.read()
		}
		m.write(func(s *Spec) { s.Role.MinTTL = 0 })
		minted := m.mints()
		m.advance(3 * time.Hour)
		require.Equal(t, minted, m.mints(), "lowered")
	})
}

// The write takes effect also if it falls between the end of a mint and the plan
// for the next.
func TestMinTTLRaisedWhileAMintEnds(t *testing.T) {
	bubble(t, func(m *mount) {
		m.read()
		m.ims.sent.hold()
		m.advanceTo(12 * time.Hour)
		require.Equal(t, 2, m.mints())
		m.storage.holdOn("", "put")
		m.ims.sent.open()
		m.settle()
		m.roles.gate.hold() // the lookup at the end of the mint finds the role as it was
		m.storage.heal()
		m.settle()
		release := m.roles.gate.detach()
		second := m.answer()
		require.Equal(t, "firefly-2", string(second.Token.AccessToken))
		m.write(func(s *Spec) { s.Role.MinTTL = 18 * time.Hour })
		release()
		m.settle()
		m.advance(second.Token.servedUntil(18 * time.Hour).Sub(m.clock.Now()))
		require.Equal(t, 3, m.mints())
	})
}

func TestBackgroundLeavesStorageThatFailsAlone(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		broken := errors.New("storage is broken")
		m.storage.failOn(broken, "get")
		m.advanceTo(12 * time.Hour)
		a := m.answer()
		require.Equal(t, first, string(a.Token.AccessToken))
		require.ErrorIs(t, a.Failure.Err, broken)
		require.Equal(t, 1, m.mints(), "a token that cannot be stored is better not minted")
		m.storage.heal()
		m.advance(time.Minute)
		require.Equal(t, 2, m.mints())
	})
}

func TestBackgroundLooksAgainAfterAFailedLookup(t *testing.T) {
	bubble(t, func(m *mount) {
		m.read()
		m.roles.fail(errors.New("storage is broken"))
		m.advanceTo(12 * time.Hour)
		require.Equal(t, 1, m.mints())
		m.roles.fail(nil)
		m.advance(refreshRetry)
		require.Equal(t, 2, m.mints())
	})
}

func TestRenew(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.Renew(context.Background(), role)
		require.Equal(t, 2, m.mints(), "although it is not due")
		require.NotEqual(t, first, m.read())

		m.ims.sent.hold()
		m.Renew(context.Background(), role)
		m.Renew(context.Background(), role)
		require.Equal(t, 3, m.mints(), "one is under way")
		m.ims.refuse(throttled{time.Hour})
		m.ims.sent.open()
		m.settle()
		m.Renew(context.Background(), role)
		require.Equal(t, 3, m.mints(), "IMS is left alone")
		m.Renew(context.Background(), "fierfly")
		require.Contains(t, m.log.String(), "fierfly")
	})
}

func TestStandby(t *testing.T) {
	bubble(t, func(m *mount) {
		m.roles.write("leaseless", func(s *Spec) { s.Role.Leased = false })
		m.roles.write("exclusive", func(s *Spec) { s.Role.Exclusive = true })
		m.start("leaseless").token()
		m.read()
		m.restart()
		m.node.mayWriteLocal.Store(false)
		for _, name := range []string{role, "exclusive"} {
			require.Equal(t, ErrForward, m.start(name).failure())
		}
		require.Equal(t, ErrForward, m.start("leaseless").failure(), "the first read")
		r := m.start("leaseless")
		require.Equal(t, "leaseless-1", r.token())
		m.advance(r.answer.Token.forwardedFrom(0).Sub(start) - 1)
		m.start("leaseless").token()
		m.advance(1)
		require.Equal(t, ErrForward, m.start("leaseless").failure())
		m.advance(day)
		require.Equal(t, ErrForward, m.start("leaseless").failure())
		require.Equal(t, 2, m.mints(), "it mints nothing, neither for readers nor ahead")
	})
}

// Who reads through a standby alone, and only when a newer token is to be had, waits
// no more than a reader of the leader does.
func TestNobodyWaitsBehindAStandby(t *testing.T) {
	bubble(t, func(m *mount) {
		m.write(func(s *Spec) { s.Role.Leased = false })
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		leader := m.node
		m.node = &fakeNode{}
		standby := m.newService(ctx)
		m.node = leader
		defer standby.Close()
		read := func() Answer {
			answer, err := standby.Read(ctx, role)
			if errors.Is(err, ErrForward) {
				answer, err = m.Read(ctx, role)
			}
			require.NoError(t, err)
			return answer
		}

		answer := read()
		for range 4 {
			m.advance(answer.Until.Sub(m.clock.Now()) + time.Second)
			standby.Forget(role)
			mints := m.mints()
			answer = read()
			require.Equal(t, mints, m.mints(), "the token was replaced before anybody came")
		}
	})
}

// A standby that has a record in memory reads it again when the leader has written
// it, also if what it has is not what was stored (it left out what has expired).
func TestStandbyForgets(t *testing.T) {
	bubble(t, func(m *mount) {
		m.write(func(s *Spec) { s.Role.Leased = false })
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		leader := m.newService(ctx)
		m.node.mayWriteLocal.Store(true)
		m.ims.live(time.Hour)
		_, err := leader.Read(ctx, role)
		require.NoError(t, err)
		m.ims.live(day)
		m.advance(time.Hour - time.Second)
		_, err = leader.Read(ctx, role)
		require.NoError(t, err)
		require.Len(t, m.stored(role), 2)
		m.advance(2 * time.Second)

		m.node.mayWriteLocal.Store(false)
		require.Equal(t, ErrForward, m.start(role).failure(), "the first read")
		killed := m.read()
		m.node.mayWriteLocal.Store(true)
		_, err = leader.Kill(ctx, role)
		require.NoError(t, err)
		m.node.mayWriteLocal.Store(false)
		m.Forget(role)
		for range 2 {
			require.Equal(t, ErrForward, m.start(role).failure(), "the token is dead: %s", killed)
		}
		leader.Close()
	})
}

// A record that was being read while the leader wrote it is read again.
func TestForgetWhileTheRecordIsRead(t *testing.T) {
	bubble(t, func(m *mount) {
		m.write(func(s *Spec) { s.Role.Leased = false })
		first := m.read()
		m.restart()
		m.node.mayWriteLocal.Store(false)
		m.storage.holdOn("", "get")
		r := m.start(role)
		r.requireWaits() // it has found the first token
		token := testToken("newer", m.roles.spec(), start, day)
		require.NoError(t, saveRecord(context.Background(), m.storage.Storage, role, record{Tokens: []*Token{token}}))
		m.Forget(role)
		m.storage.heal()
		require.Equal(t, ErrForward, r.failure(), "the first read")
		require.Equal(t, "newer", m.read(), "not %s", first)
	})
}

// What this node is writing itself is not forgotten.
func TestForgetKeepsWhatIsBeingWritten(t *testing.T) {
	bubble(t, func(m *mount) {
		m.ims.sent.hold()
		r := m.start(role)
		r.requireWaits()
		m.Forget(role)
		m.ims.sent.open()
		require.Equal(t, "firefly-1", r.token())
		m.Forget(role)
		require.Equal(t, "firefly-1", m.read())
		require.Equal(t, 1, m.mints())
	})
}

func TestCloseStopsTheTimers(t *testing.T) {
	bubble(t, func(m *mount) {
		m.read()
		require.Equal(t, 1, m.timers())
		m.stop()
		m.Close()
		require.Zero(t, m.timers())
		m.advance(day)
		require.Equal(t, 1, m.mints())
	})
}

// Nothing stays in memory of roles that were deleted (house 1f). Bubble fails if a
// goroutine does.
func TestDeletedRolesLeaveNothing(t *testing.T) {
	bubble(t, func(m *mount) {
		ctx := context.Background()
		for i := range 500 {
			name := fmt.Sprint("role", i)
			m.roles.write(name, func(s *Spec) { s.Role.Exclusive = i%5 == 4 })
			m.start(name).token()
		}
		require.Equal(t, 400, m.timers())
		for i := range 500 {
			name := fmt.Sprint("role", i)
			m.roles.remove(name)
			_, err := m.Delete(ctx, name)
			require.NoError(t, err)
		}
		m.requireNothingLeft()
		keys, err := m.storage.List(ctx, Prefix)
		require.NoError(t, err)
		require.Empty(t, keys)
	})
}

// Nor of one whose tokens could not be ended until they expired, or whose record
// could not be stored.
func TestDeletedRoleLeavesNothingInTheEnd(t *testing.T) {
	for name, fail := range map[string]func(m *mount){
		"IMS":     func(m *mount) { m.ims.refuseEnding(errRefused) },
		"storage": func(m *mount) { m.storage.failOn(errRefused, "put", "delete") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(m *mount) {
				m.read()
				fail(m)
				m.roles.remove(role)
				_, err := m.Delete(context.Background(), role)
				require.ErrorIs(t, err, errRefused)
				m.storage.heal()
				m.advance(day)
				m.tick()
				require.Empty(t, m.stored(role))
				m.requireNothingLeft()
			})
		})
	}
}

// Nor if a reader had looked it up before it was deleted.
func TestReaderOfADeletedRoleLeavesNothing(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		bubble(t, func(m *mount) {
			m.write(func(s *Spec) { s.Role.Exclusive = exclusive })
			m.roles.gate.hold()
			r := m.start(role)
			r.requireWaits()
			m.roles.remove(role)
			release := m.roles.gate.detach()
			_, err := m.Delete(context.Background(), role)
			require.NoError(t, err)
			m.requireNothingLeft()
			release()
			require.Error(t, r.failure())
			require.Zero(t, m.mints(), "it is not minted for (1b)")
			m.requireNothingLeft()
		})
	}
}

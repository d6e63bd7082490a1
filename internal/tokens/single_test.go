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

// exclusively runs a test with a mount whose role is exclusive.
func exclusively(t *testing.T, test func(m *mount)) {
	t.Helper()
	bubble(t, func(m *mount) {
		m.write(func(s *Spec) { s.Role.Exclusive = true })
		test(m)
	})
}

func (m *mount) several(n int) (readers []*reading) {
	for range n {
		readers = append(readers, m.start(role))
	}
	m.settle()
	return readers
}

func TestExclusiveTokens(t *testing.T) {
	exclusively(t, func(m *mount) {
		seen := map[string]bool{}
		for _, r := range m.several(50) {
			require.False(t, seen[r.token()], "everybody has a token of their own")
			seen[r.token()] = true
			require.Equal(t, start.Add(day), r.answer.Until)
			require.True(t, r.answer.Role.Exclusive)
		}
		require.Equal(t, 50, m.mints())
		require.Empty(t, m.stored(role), "on no record but Vault's")
		require.Zero(t, m.ims.ends.Load())
		require.Zero(t, m.timers())
		require.Equal(t, Ready, m.status().Condition)
	})
}

// 300 readers at once with a wrong secret: only the requests that were under way
// when the first failed are made (attack 8).
func TestExclusiveReadersWhenIMSRefuses(t *testing.T) {
	exclusively(t, func(m *mount) {
		const turns = 6
		m.ims.turns = make(chan struct{}, turns)
		m.ims.sent.hold()
		m.ims.refuse(errRefused)
		readers := m.several(300)
		require.Equal(t, turns, m.mints())
		m.advance(time.Millisecond)
		m.ims.sent.open()
		crowd := 0
		for _, r := range readers {
			err := r.failure()
			var crowded *CrowdError
			var failed *MintError
			if errors.As(err, &crowded) {
				crowd++
				continue
			}
			require.ErrorAs(t, err, &failed)
			require.ErrorIs(t, err, errRefused)
		}
		require.Equal(t, 300-maxSingles, crowd)
		require.LessOrEqual(t, m.mints(), 2*turns)
		require.Equal(t, 1, m.status().Failure.Count, "mints under way together fail once")

		asked := m.mints()
		for _, r := range m.several(300) {
			require.ErrorIs(t, r.failure(), errRefused)
		}
		require.Equal(t, asked, m.mints(), "IMS is left alone")
		m.ims.refuse(nil)
		m.advance(time.Minute)
		m.read()
	})
}

// Readers who hang up while they wait for their turn cost IMS nothing (attack 1).
func TestExclusiveReadersWhoHangUpInTheQueue(t *testing.T) {
	exclusively(t, func(m *mount) {
		m.ims.turn.hold()
		readers := m.several(maxSingles)
		var crowded *CrowdError
		require.ErrorAs(t, m.start(role).failure(), &crowded)
		require.Equal(t, maxSingles, crowded.Count)
		for _, r := range readers {
			r.leave()
			require.ErrorIs(t, r.failure(), context.Canceled)
		}
		last := m.start(role)
		m.ims.turn.open()
		last.token()
		require.Equal(t, 1, m.mints())
		require.Nil(t, m.status().Failure, "that they left says nothing about IMS")
	})
}

func TestExclusiveReaderWhoHangsUpAfterItsRequestWasSent(t *testing.T) {
	exclusively(t, func(m *mount) {
		m.ims.sent.hold()
		r := m.start(role)
		r.requireWaits()
		r.leave()
		require.ErrorIs(t, r.failure(), context.Canceled)
		m.ims.ending.hold()
		m.ims.sent.open()
		m.settle()
		require.True(t, m.stored(role)["firefly-1"].Condemned, "on record until it is dead")
		m.ims.ending.open()
		m.settle()
		require.True(t, m.ims.dead("firefly-1"))
		require.Empty(t, m.stored(role))
	})
}

// The reader goes when the token is there but not taken yet.
func TestExclusiveReaderWhoHangsUpBeforeItTakesItsToken(t *testing.T) {
	exclusively(t, func(m *mount) {
		m.ims.sent.hold()
		r := m.start(role)
		r.requireWaits()
		m.roles.gate.hold()
		m.ims.sent.open()
		r.requireWaits()
		r.leave()
		require.ErrorIs(t, r.failure(), context.Canceled)
		m.roles.gate.open()
		m.requireNothingLost()
		require.True(t, m.ims.dead("firefly-1"))
	})
}

// A role that is deleted while a reader has not taken its token yet stays in memory
// until the token is dead: the record has one writer at a time.
func TestRoleDeletedBeforeAnExclusiveTokenIsTaken(t *testing.T) {
	exclusively(t, func(m *mount) {
		m.ims.sent.hold()
		r := m.start(role)
		r.requireWaits()
		m.roles.gate.hold()
		m.ims.sent.open()
		r.requireWaits()
		release := m.roles.gate.detach()
		m.roles.remove(role)
		_, err := m.Delete(context.Background(), role)
		require.NoError(t, err)
		m.settle()
		_, kept := m.memory().Load(role)
		require.True(t, kept)
		release()
		_ = r.failure()
		m.settle()
		require.Equal(t, 1, m.ims.ended["firefly-1"])
		m.requireNothingLeft()
	})
}

func TestExclusiveReaderLimit(t *testing.T) {
	exclusively(t, func(m *mount) {
		m.ims.sent.hold()
		r := m.start(role)
		m.advance(ReaderLimit)
		require.Equal(t, ErrSlow, r.failure())
		m.ims.sent.open()
		m.settle()
		require.True(t, m.ims.dead("firefly-1"))
	})
}

func TestExclusiveTokenBesideAnError(t *testing.T) {
	exclusively(t, func(m *mount) {
		m.ims.refuse(errRefused)
		m.ims.both = true
		require.ErrorIs(t, m.start(role).failure(), errRefused)
		m.settle()
		require.True(t, m.ims.dead("firefly-1"))
	})
}

func TestExclusiveBackingOff(t *testing.T) {
	exclusively(t, func(m *mount) {
		m.ims.refuse(throttled{30 * time.Second})
		for range 100 {
			var failed *MintError
			require.ErrorAs(t, m.start(role).failure(), &failed)
			require.Equal(t, start.Add(30*time.Second), failed.Failure.RetryAt)
		}
		require.Equal(t, 1, m.mints())
		require.Equal(t, Failing, m.status().Condition)
		require.Equal(t, []string{"token-mint-fail token/firefly"}, m.events.all())
		m.ims.refuse(nil)
		m.advance(30 * time.Second)
		m.read()
		require.Equal(t, Ready, m.status().Condition)
	})
}

// A request that IMS lets hang until its time limit is a failure, though its error
// is a context's.
func TestExclusiveRequestThatTimesOut(t *testing.T) {
	exclusively(t, func(m *mount) {
		m.ims.refuse(fmt.Errorf("IMS: no complete answer within 10s: %w", context.DeadlineExceeded))
		_ = m.start(role).failure()
		_ = m.start(role).failure()
		require.Equal(t, 1, m.mints())
		require.Equal(t, 1, m.status().Failure.Count)
	})
}

// Tokens that could not be ended are tried again also while the role is never
// without a mint under way.
func TestEndingIsTriedAgainOnABusyRole(t *testing.T) {
	exclusively(t, func(m *mount) {
		m.ims.refuseEnding(errRefused)
		m.ims.sent.hold()
		r := m.start(role)
		r.requireWaits()
		r.leave()
		_ = r.failure()
		m.ims.sent.open()
		m.settle()
		require.False(t, m.ims.dead("firefly-1"))
		m.ims.refuseEnding(nil)
		m.ims.sent.hold()
		m.start(role).requireWaits()
		m.tick()
		require.True(t, m.ims.dead("firefly-1"))
	})
}

// errPanic is what the fake Minter panics at.
var errPanic = errors.New("panic")

// No more exclusive tokens are minted while too many of before could not be ended:
// the record of those is bounded.
func TestExclusiveRecordBound(t *testing.T) {
	exclusively(t, func(m *mount) {
		m.ims.refuseEnding(errRefused)
		for range 5 {
			m.ims.sent.hold()
			for _, r := range m.several(maxSingles) {
				r.leave()
				_ = r.failure()
			}
			m.ims.sent.open()
			m.settle()
		}
		require.Len(t, m.stored(role), maxOutstanding)
		require.Equal(t, 2*maxSingles, m.mints())
		var full *FullError
		require.ErrorAs(t, m.start(role).failure(), &full)
		require.Equal(t, maxOutstanding, full.Count)
		m.ims.refuseEnding(nil)
		m.tick()
		m.read()
		require.Empty(t, m.stored(role))
	})
}

func TestMinterThatPanics(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		bubble(t, func(m *mount) {
			m.write(func(s *Spec) { s.Role.Exclusive = exclusive })
			m.ims.refuse(errPanic)
			require.ErrorContains(t, m.start(role).failure(), "a panic")
			require.Contains(t, m.log.String(), "a panic was recovered")
			m.ims.refuse(nil)
			m.advance(time.Second)
			m.read()
		})
	}
}

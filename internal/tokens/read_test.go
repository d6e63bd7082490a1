// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

func TestFirstReadersShareOneMint(t *testing.T) {
	bubble(t, func(m *mount) {
		m.ims.sent.hold()
		var readers []*reading
		for range 100 {
			readers = append(readers, m.start(role))
		}
		readers[0].requireWaits()
		m.ims.sent.open()
		for _, r := range readers {
			require.Equal(t, "firefly-1", r.token())
		}
		require.Equal(t, "firefly-1", m.read())
		require.Equal(t, 1, m.mints())
		require.Equal(t, []string{"token-mint token/firefly"}, m.events.all())
		require.Contains(t, m.stored(role), "firefly-1")
	})
}

func TestReaderWhoLeavesDoesNotEndTheMint(t *testing.T) {
	for _, g := range []string{"waiting for its turn", "at IMS"} {
		t.Run(g, func(t *testing.T) {
			bubble(t, func(m *mount) {
				held := map[string]*gate{"waiting for its turn": &m.ims.turn, "at IMS": &m.ims.sent}[g]
				held.hold()
				first, second := m.start(role), m.start(role)
				first.requireWaits()
				first.leave()
				require.ErrorIs(t, first.failure(), context.Canceled)
				second.requireWaits()
				held.open()
				require.Equal(t, "firefly-1", second.token())
				require.Equal(t, 1, m.mints())
			})
		})
	}
}

func TestAnswer(t *testing.T) {
	bubble(t, func(m *mount) {
		a := m.answer()
		require.Same(t, m.roles.spec().Role, a.Role)
		require.Equal(t, start.Add(12*time.Hour), a.Until)
		require.Nil(t, a.Failure)
		require.Zero(t, a.MintingSince)
	})
}

func TestCachedReadTouchesNoStorage(t *testing.T) {
	bubble(t, func(m *mount) {
		m.read()
		require.Equal(t, 1, m.storage.calls["put"], "once for each mint")
		before := m.storage.total()
		for range 100 {
			m.read()
		}
		require.Equal(t, before, m.storage.total())
		require.Equal(t, 1, m.mints())
	})
}

func TestRestart(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.advance(time.Hour)
		m.restart()
		m.ims.refuse(errRefused)
		require.Equal(t, first, m.read())
		require.Equal(t, 1, m.mints())
	})
}

// A reader who comes after a pause waits two seconds for a newer token.
func TestLinger(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.restart() // knows of no readers
		m.advanceTo(13 * time.Hour)
		second := m.read()
		require.NotEqual(t, first, second, "IMS answers at once")

		m.restart()
		m.advanceTo(27 * time.Hour)
		m.ims.sent.hold()
		a := m.start(role)
		m.advance(readerGrace - time.Second)
		b := m.start(role)
		a.requireWaits()
		b.requireWaits()
		m.advance(time.Second)
		require.Equal(t, second, a.token())
		require.Equal(t, second, b.token(), "no longer than the first")
		require.Equal(t, start.Add(27*time.Hour), a.answer.MintingSince)
		require.Equal(t, second, m.read(), "nobody else waits")
		require.Equal(t, 3, m.mints())
		m.ims.sent.open()
		m.settle()
		require.NotEqual(t, second, m.read())
		require.Equal(t, 3, m.mints())
	})
}

func TestReaderWhoLingersGetsTheLivingTokenIfTheMintFails(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.restart()
		m.advanceTo(13 * time.Hour)
		m.ims.refuse(errRefused)
		a := m.start(role)
		require.Equal(t, first, a.token())
		require.ErrorIs(t, a.answer.Failure.Err, errRefused)
		require.Equal(t, first, m.read())
		require.Equal(t, 2, m.mints())
	})
}

func TestReaderLimit(t *testing.T) {
	bubble(t, func(m *mount) {
		m.ims.sent.hold()
		r := m.start(role)
		m.advance(ReaderLimit - time.Second)
		r.requireWaits()
		m.advance(time.Second)
		require.Equal(t, ErrSlow, r.failure())
		m.ims.sent.open()
		require.Equal(t, "firefly-1", m.read(), "the mint went on")
	})
}

// Twelve hours without IMS, a reader every minute: nobody is without a token, and
// IMS is not asked more than about once a minute.
func TestOutage(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.advanceTo(12*time.Hour - 20*time.Minute)
		m.ims.refuse(errRefused)
		m.advanceTo(12 * time.Hour)
		for range 12*60 - 2 {
			m.advance(time.Minute)
			a := m.answer()
			require.Equal(t, first, string(a.Token.AccessToken))
			require.ErrorIs(t, a.Failure.Err, errRefused)
		}
		require.Less(t, m.mints(), 2*12*60)
		require.Greater(t, m.mints(), 12*60/2)

		m.ims.refuse(nil)
		m.advance(time.Minute)
		a := m.answer()
		require.NotEqual(t, first, string(a.Token.AccessToken))
		require.Nil(t, a.Failure)
		require.Contains(t, m.log.String(), "minting works again")
	})
}

func TestBackingOff(t *testing.T) {
	bubble(t, func(m *mount) {
		m.ims.refuse(errRefused)
		var failed *MintError
		for range 1000 {
			require.ErrorAs(t, m.start(role).failure(), &failed)
			require.ErrorIs(t, failed, errRefused)
			require.Equal(t, start.Add(time.Second), failed.Failure.RetryAt)
			require.Equal(t, start, failed.Now)
		}
		require.Equal(t, 1, m.mints())
		for range 3600 {
			_ = m.start(role).failure()
			m.clock.Advance(time.Second)
		}
		require.Less(t, m.mints(), 150, "an hour of a wrong secret, read every second")
		require.Greater(t, m.mints(), 50)
		m.ims.refuse(throttled{100 * time.Second})
		m.advance(time.Minute)
		_ = m.start(role).failure()
		m.ims.refuse(nil)
		m.advance(100*time.Second - 1)
		_ = m.start(role).failure()
		m.advance(1)
		m.read()
	})
}

// Whoever mends the role or its config need not wait for the next attempt.
func TestWritingEndsTheBackingOff(t *testing.T) {
	bubble(t, func(m *mount) {
		m.ims.refuse(throttled{time.Hour})
		_ = m.start(role).failure()
		m.ims.refuse(nil)
		_ = m.start(role).failure()
		m.write(nil)
		m.read()
		require.Equal(t, 2, m.mints())
	})
}

func TestUnknownRole(t *testing.T) {
	bubble(t, func(m *mount) {
		require.True(t, advice.IsMissing(m.start("fierfly").failure()))
		m.requireNothingLeft()
	})
}

// A slow read of one role's record holds nobody else up, and waiting for it ends
// with the reader.
func TestSlowStorageOfOneRole(t *testing.T) {
	bubble(t, func(m *mount) {
		m.roles.write("slow", nil)
		m.storage.holdOn(Prefix+"slow", "get", "put")
		a, b := m.start("slow"), m.start("slow")
		a.requireWaits()
		require.Equal(t, "firefly-1", m.read())
		b.leave()
		require.ErrorIs(t, b.failure(), context.Canceled)
		a.requireWaits()
		m.storage.heal()
		require.Equal(t, "slow-2", a.token())
		m.requireNothingLost()
	})
}

func TestRecordThatCannotBeRead(t *testing.T) {
	bubble(t, func(m *mount) {
		first := m.read()
		m.restart()
		broken := errors.New("storage is broken")
		m.storage.failOn(broken, "get")
		require.Equal(t, broken, m.start(role).failure())
		m.storage.heal()
		require.Equal(t, first, m.read(), "no second mint because storage failed")
		require.Equal(t, 1, m.mints())
	})
}

// Nobody gets a token that is not on record: after a restart the kill switch would
// not find it.
func TestRecordThatCannotBeWritten(t *testing.T) {
	for name, op := range map[string]func(*mount){
		"refused": func(m *mount) { m.storage.failOn(errors.New("storage is broken"), "put") },
		"hangs":   func(m *mount) { m.storage.holdOn("", "put") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(m *mount) {
				op(m)
				r := m.start(role)
				<-r.done // time limits run out
				var failed *MintError
				require.ErrorAs(t, r.failure(), &failed)
				if name == "refused" {
					require.Equal(t, "storage is broken", failed.Failure.Err.Error(), "storage's own: Vault forwards by its text")
				}
				m.storage.heal()
				m.advance(time.Hour)
				require.NoError(t, m.Tick(context.Background()))
				require.True(t, m.ims.dead("firefly-1"))
				require.Equal(t, 1, m.ims.ended["firefly-1"], "once")
				require.Empty(t, m.stored(role))
				require.Equal(t, "firefly-2", m.read())
				m.requireNothingLost()
			})
		})
	}
}

// While the record of one mint is being written another save may have it.
func TestSaveThatAnotherSaveHadDone(t *testing.T) {
	bubble(t, func(m *mount) {
		m.storage.holdOn("", "put")
		r := m.start(role)
		r.requireWaits()
		tick := m.run(func() { require.NoError(t, m.Tick(context.Background())) })
		require.False(t, tick())
		m.storage.heal()
		require.Equal(t, "firefly-1", r.token())
		require.True(t, tick())
		require.Equal(t, 1, m.storage.calls["put"])
		require.Zero(t, m.ims.ends.Load())
	})
}

// A save that gave up may have been done by another meanwhile: then the token can
// have been handed out.
func TestSaveThatGaveUpAndWasDoneByAnother(t *testing.T) {
	bubble(t, func(m *mount) {
		st := newRoleState(role)
		saved, unsaved := testToken("saved", testSpec(1), start, day), testToken("unsaved", testSpec(1), start, day)
		st.add(saved, start)
		st.saved = st.version
		st.add(unsaved, start)
		require.False(t, m.condemnUnsaved(st, saved))
		require.True(t, m.condemnUnsaved(st, unsaved))
		m.settle()
		require.False(t, m.ims.dead("saved"))
		require.True(t, m.ims.dead("unsaved"))
		require.Equal(t, []string{"saved"}, st.names())
	})
}

func TestTokenBesideAnErrorIsEnded(t *testing.T) {
	bubble(t, func(m *mount) {
		m.ims.refuse(errRefused)
		m.ims.both = true
		require.ErrorIs(t, m.start(role).failure(), errRefused)
		m.settle()
		require.True(t, m.ims.dead("firefly-1"))
		require.Empty(t, m.stored(role))
	})
}

func TestRecordBound(t *testing.T) {
	bubble(t, func(m *mount) {
		for i := range maxOutstanding {
			m.write(func(s *Spec) { s.Role.Scopes = []string{fmt.Sprint("scope", i)} })
			m.read()
		}
		m.write(func(s *Spec) { s.Role.Scopes = []string{"one too many"} })
		var full *FullError
		require.ErrorAs(t, m.start(role).failure(), &full)
		require.Equal(t, &FullError{Role: role, Count: maxOutstanding, Until: start.Add(day)}, full)
		require.Equal(t, maxOutstanding, m.mints(), "refused before it is minted")
		require.Len(t, m.stored(role), maxOutstanding)

		m.write(func(s *Spec) { s.Role.Scopes = []string{"scope7"} })
		require.Equal(t, "firefly-8", m.read(), "a living token that fits is handed out")
		m.advanceTo(13 * time.Hour)
		require.Equal(t, "firefly-8", m.read(), "also past its time, at once")

		token := testToken("adopted", m.roles.spec(), m.clock.Now(), day)
		m.ims.issued["adopted"] = token
		require.ErrorAs(t, m.Adopt(context.Background(), m.roles.spec(), token), &full)
		m.settle()
		require.True(t, m.ims.dead("adopted"))
		require.Len(t, m.stored(role), maxOutstanding)

		ended, err := m.Kill(context.Background(), role)
		require.NoError(t, err)
		require.Equal(t, maxOutstanding, ended)
		require.Equal(t, fmt.Sprint("firefly-", maxOutstanding+1), m.read())
		m.requireNothingLost()
	})
}

// When the mount ends nobody waits for what does not come, and nobody spins.
func TestEndOfTheMount(t *testing.T) {
	bubble(t, func(m *mount) {
		m.roles.write("exclusive", func(s *Spec) { s.Role.Exclusive = true })
		m.ims.sent.hold()
		shared, exclusive := m.start(role), m.start("exclusive")
		shared.requireWaits()
		exclusive.requireWaits()
		m.stop()
		m.Close()
		require.ErrorIs(t, shared.failure(), context.Canceled)
		require.ErrorIs(t, exclusive.failure(), context.Canceled)
		late := m.start(role)
		require.ErrorIs(t, late.failure(), context.Canceled)
		m.ims.sent.open()
		m.settle()
		m.requireNothingLost()
		require.Zero(t, m.timers())
	})
}

func TestEndOfTheMountBeforeTheTurn(t *testing.T) {
	bubble(t, func(m *mount) {
		m.ims.turn.hold()
		r := m.start(role)
		r.requireWaits()
		m.stop()
		require.ErrorIs(t, r.failure(), context.Canceled)
		require.Zero(t, m.mints())
	})
}

// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

// change is what can happen to a role while a token is minted for it.
type change struct {
	name string
	make func(m *mount)
	gone bool // the role is

	// between is whether the role is gone for a moment.
	between bool
}

func changes() []change {
	write := func(edit func(*Spec)) func(*mount) { return func(m *mount) { m.write(edit) } }
	kill := func(m *mount) { _, _ = m.Kill(context.Background(), role) }
	remove := func(m *mount) {
		m.roles.remove(role)
		_, _ = m.Delete(context.Background(), role)
	}
	return []change{
		{name: "killed", make: kill},
		{name: "deleted", make: remove, gone: true},
		{name: "deleted and written again", between: true, make: func(m *mount) {
			exclusive := m.roles.spec().Role.Exclusive
			remove(m)
			m.write(func(s *Spec) { s.Role.Exclusive = exclusive })
		}},
		{name: "narrowed", make: write(func(s *Spec) { s.Role.Scopes = s.Role.Scopes[:1] })},
		{name: "another client", make: write(func(s *Spec) { s.ClientID = "other" })},
		{name: "another IMS", make: write(func(s *Spec) { s.IMSURL = "https://other.example.com" })},
		{name: "exclusive or not any more", make: write(func(s *Spec) { s.Role.Exclusive = !s.Role.Exclusive })},
	}
}

// moment of a mint at which it is held up.
type pause struct {
	name string
	hold func(m *mount)

	// release lets the mint go on. It is called after the change.
	release func(m *mount)

	// instead takes the place of release: it is called before the change, to
	// bring the mint to where it is held up in the end.
	instead func(m *mount) (release func())
}

func sharedPauses() []pause {
	return []pause{
		{
			name:    "waits for its turn",
			hold:    func(m *mount) { m.ims.turn.hold() },
			release: func(m *mount) { m.ims.turn.open() },
		},
		{
			name:    "is at IMS",
			hold:    func(m *mount) { m.ims.sent.hold() },
			release: func(m *mount) { m.ims.sent.open() },
		},
		{
			name: "looks again when its token is there, and finds the role as it was",
			hold: func(m *mount) { m.ims.sent.hold() },
			instead: func(m *mount) func() {
				m.roles.gate.hold()
				m.ims.sent.open()
				m.settle()
				return m.roles.gate.detach()
			},
		},
		{
			name:    "has its record saved",
			hold:    func(m *mount) { m.storage.holdOn("", "put") },
			release: func(m *mount) { m.storage.heal() },
		},
		{
			name: "has its record saved, which fails",
			hold: func(m *mount) { m.storage.holdOn("", "put") },
			release: func(m *mount) {
				m.storage.failOn(errors.New("storage is broken"), "put")
				m.storage.gate.open()
				m.settle()
				m.storage.heal()
			},
		},
	}
}

// At every moment of a mint the role can be written, killed or deleted. Nothing of
// before is handed out, nothing is minted that is neither ended nor on record, and
// nobody waits for the mint of before.
func TestRoleChangesWhileItsTokenIsMinted(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		pauses := sharedPauses()
		if exclusive {
			pauses = pauses[:3] // its token is on no record
		}
		for _, p := range pauses {
			for _, c := range changes() {
				name := c.name + " while the mint " + p.name
				if exclusive {
					name += " (exclusive)"
				}
				t.Run(name, func(t *testing.T) {
					bubble(t, func(m *mount) { testChange(m, p, c, exclusive) })
				})
			}
		}
	}
}

func testChange(m *mount, p pause, c change, exclusive bool) {
	t := m.t
	m.write(func(s *Spec) { s.Role.Exclusive = exclusive })
	p.hold(m)
	readers := []*reading{m.start(role)}
	if !exclusive {
		readers = append(readers, m.start(role))
	}
	readers[0].requireWaits()
	release := func() { p.release(m) }
	if p.instead != nil {
		release = p.instead(m)
	}
	before := m.mints()
	changed := m.run(func() { c.make(m) })
	m.settle()
	release()
	require.True(t, changed())

	var leased []string
	for _, r := range readers {
		requireOfAfter(m, r, c, before, &leased)
	}
	m.requireNothingLost(leased...)
	last := m.start(role)
	requireOfAfter(m, last, c, before, &leased)
	m.requireNothingLost(leased...)
	m.tick()
	if c.gone {
		m.requireNothingLeft()
	}
	for access, times := range m.ims.ended {
		require.Equal(t, 1, times, "%s was ended more than once", access)
	}
}

func requireOfAfter(m *mount, r *reading, c change, before int, leased *[]string) {
	t := m.t
	t.Helper()
	require.True(t, r.finished(), "the reader waits")
	switch {
	case c.gone:
		require.True(t, advice.IsMissing(r.err), r.err)
		return
	case c.between && advice.IsMissing(r.err):
		return
	}
	if r.err != nil { // storage failed the mint of after as well
		require.EqualError(t, r.err, "storage is broken")
		return
	}
	access := string(r.answer.Token.AccessToken)
	n, err := strconv.Atoi(number(access))
	require.NoError(t, err)
	require.Greater(t, n, before, "a token of before")
	spec := m.roles.spec()
	require.Same(t, spec.Role, r.answer.Role)
	require.True(t, r.answer.Token.Fits(spec))
	require.False(t, m.ims.dead(access))
	if spec.Role.Exclusive {
		require.NotContains(t, *leased, access)
		*leased = append(*leased, access)
		require.NotContains(t, m.stored(role), access)
	} else {
		require.Contains(t, m.stored(role), access)
	}
}

// When a request's turn has come the role is looked at once more, and what nobody
// has a use for is not asked for.
func TestRoleIsLookedAtWhenTheTurnHasCome(t *testing.T) {
	for name, edit := range map[string]func(*Spec){
		"narrowed":       func(s *Spec) { s.Role.Scopes = []string{"openid"} },
		"another client": func(s *Spec) { s.ClientID = "other" },
		"exclusive":      func(s *Spec) { s.Role.Exclusive = true },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(m *mount) {
				m.ims.turn.hold()
				r := m.start(role)
				r.requireWaits()
				m.roles.write(role, edit) // nobody was told yet
				m.ims.turn.open()
				require.Equal(t, "firefly-1", r.token(), "one mint, for the role as it is")
				require.True(t, r.answer.Token.Fits(m.roles.spec()))
			})
		})
	}
}

// What does not concern the token does not cost one.
func TestRoleIsWrittenAndItsMintGoesOn(t *testing.T) {
	bubble(t, func(m *mount) {
		m.ims.sent.hold()
		r := m.start(role)
		r.requireWaits()
		m.write(func(s *Spec) { s.Role.MaxTTL = 3600e9 })
		m.ims.sent.open()
		require.Equal(t, "firefly-1", r.token())
		require.NotZero(t, r.answer.Role.MaxTTL, "the role as it is now")
		require.Equal(t, 1, m.mints())
	})
}

// A mint that is nobody's any more does not hold up who waited for it.
func TestReadersAreLetGoWhenTheirMintIsAbandoned(t *testing.T) {
	for _, c := range changes() {
		if c.gone || c.between {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(m *mount) {
				m.ims.sent.hold()
				r := m.start(role)
				r.requireWaits()
				c.make(m)
				r.requireWaits()
				require.Equal(t, 2, m.mints(), "the reader has another minted, though the first hangs")
			})
		})
	}
}

// A reader who looked the role up before a write does not give up the mint that
// was begun after it (1c).
func TestOlderReaderDoesNotCancelANewerMint(t *testing.T) {
	bubble(t, func(m *mount) {
		m.roles.gate.hold()
		older := m.start(role)
		older.requireWaits() // it has found the role as it was
		release := m.roles.gate.detach()
		m.write(func(s *Spec) { s.Role.Scopes = []string{"openid"} })
		m.ims.sent.hold()
		newer := m.start(role)
		newer.requireWaits()
		release()
		older.requireWaits()
		require.Equal(t, 1, m.mints())
		m.ims.sent.open()
		require.Equal(t, "firefly-1", newer.token())
		require.Equal(t, "firefly-1", older.token())
		require.Equal(t, 1, m.mints())
	})
}

// A role that was written again while its deletion was under way is served.
func TestRoleWrittenAgainWhileItIsDeleted(t *testing.T) {
	bubble(t, func(m *mount) {
		m.read()
		m.roles.remove(role)
		m.write(nil)
		_, err := m.Delete(context.Background(), role)
		require.NoError(t, err)
		require.True(t, m.ims.dead("firefly-1"))
		require.Equal(t, "firefly-2", m.read())
	})
}

func TestWhatChangesWithWhat(t *testing.T) {
	for name, row := range map[string]struct {
		edit  func(*Spec)
		mints int
	}{
		"nothing":      {func(*Spec) {}, 1},
		"max_ttl":      {func(s *Spec) { s.Role.MaxTTL = 1 }, 1},
		"leased":       {func(s *Spec) { s.Role.Leased = false }, 1},
		"config":       {func(s *Spec) { s.Config = "renamed" }, 1},
		"scopes":       {func(s *Spec) { s.Role.Scopes = []string{"openid"} }, 2},
		"client":       {func(s *Spec) { s.ClientID = "other" }, 2},
		"organisation": {func(s *Spec) { s.OrgID = "other@AdobeOrg" }, 2},
		"IMS":          {func(s *Spec) { s.IMSURL = "https://other.example.com" }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(m *mount) {
				first := m.read()
				was := m.roles.spec()
				m.write(row.edit)
				require.Equal(t, row.mints == 1, m.read() == first)
				require.Equal(t, row.mints, m.mints())
				count, err := m.Outstanding(context.Background(), role)
				require.NoError(t, err)
				require.Equal(t, row.mints, count)
				m.write(func(s *Spec) { s.Role, s.Identity = was.Role, was.Identity })
				require.Equal(t, first, m.read(), "the first token fits again")
			})
		})
	}
}

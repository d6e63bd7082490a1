// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var errRefused = errors.New("refused")

// moment is a state at a moment, which a row of a table makes.
type moment struct {
	state
	spec    Spec
	standby bool
	after   time.Duration // since the first token was minted
}

func (m *moment) now() time.Time { return start.Add(m.after) }

// has puts a token on record and has it saved.
func (m *moment) has(name string, edit ...func(*Token)) {
	t := testToken(name, m.spec, start, day)
	for _, e := range edit {
		e(t)
	}
	m.add(t, start)
	m.saved = m.version
}

func (m *moment) mintUnderWay(graceUntil time.Duration) {
	m.call = &call{spec: m.spec, done: make(chan struct{}), cancel: func() {}}
	if graceUntil > 0 {
		m.call.graceUntil = start.Add(graceUntil)
	}
}

func (m *moment) failed(retryAt time.Duration) {
	m.failure = &Failure{Err: errRefused, At: m.now(), Count: 1, RetryAt: start.Add(retryAt), revision: m.spec.Revision}
}

func (m *moment) fill() {
	for m.outstanding(m.now()) < maxOutstanding {
		m.has("other", func(t *Token) { t.Scopes, t.Expires = []string{"other"}, start.Add(20*day) })
	}
}

// What docs/tokens.md says of reading, row by row. A token of the rows lives for 24
// hours: it is replaced 7.5 to 15 minutes before 12 hours, and forwarded by
// standbys from 22.5 minutes before.
func TestDecide(t *testing.T) {
	const (
		fresh = time.Hour
		due   = 12*time.Hour - time.Minute // past refreshAt, before half of the life
		past  = 13 * time.Hour
	)
	for _, row := range []struct {
		name  string
		given func(m *moment)
		want  Action
		token string
		until time.Duration // since the start
	}{
		{"the first reader waits", func(*moment) {}, Wait, "", 0},
		{"so does everybody beside it", func(m *moment) { m.mintUnderWay(0) }, Wait, "", 0},
		{"a fresh token is handed out", func(m *moment) { m.has("a"); m.after = fresh }, Serve, "a", 0},
		{"so it is after a failure", func(m *moment) { m.has("a"); m.after = fresh; m.failed(0) }, Serve, "a", 0},
		{"shortly before its half-life a token is handed out and replaced in the background",
			func(m *moment) { m.has("a"); m.after = due }, Renew, "a", 0},
		{"once: a mint is under way",
			func(m *moment) { m.has("a"); m.after = due; m.mintUnderWay(0) }, Serve, "a", 0},
		{"not while the role backs off",
			func(m *moment) { m.has("a"); m.after = due; m.failed(due + time.Second) }, Serve, "a", 0},
		{"again when it has backed off",
			func(m *moment) { m.has("a"); m.after = due; m.failed(due) }, Renew, "a", 0},
		{"not if the record is full",
			func(m *moment) { m.has("a"); m.fill(); m.after = due }, Serve, "a", 0},
		{"a reader after a pause waits two seconds",
			func(m *moment) { m.has("a"); m.after = past }, Linger, "a", past + 2*time.Second},
		{"the next one waits no longer than the first",
			func(m *moment) { m.has("a"); m.after = past; m.mintUnderWay(past + time.Second) }, Linger, "a", past + time.Second},
		{"when the two seconds are over nobody waits",
			func(m *moment) { m.has("a"); m.after = past; m.mintUnderWay(past) }, Serve, "a", 0},
		{"nobody waits for a mint in the background",
			func(m *moment) { m.has("a"); m.after = past; m.mintUnderWay(0) }, Serve, "a", 0},
		{"if IMS is known to fail nobody waits",
			func(m *moment) { m.has("a"); m.after = past; m.failed(past + time.Second) }, Serve, "a", 0},
		{"nor when it is asked again",
			func(m *moment) { m.has("a"); m.after = past; m.failed(past) }, Renew, "a", 0},
		{"a failure of before a write does not count",
			func(m *moment) { m.has("a"); m.after = past; m.failed(day); m.spec.Revision++ }, Linger, "a", past + 2*time.Second},
		{"a full record: the living token is handed out",
			func(m *moment) { m.has("a"); m.fill(); m.after = past }, Serve, "a", 0},
		{"a full record, and none that fits",
			func(m *moment) { m.fill(); m.after = past }, Full, "", 0},
		{"no token lives and IMS fails",
			func(m *moment) { m.has("a"); m.after = day; m.failed(day + time.Second) }, Refuse, "", 0},
		{"no token lives and IMS may be asked again",
			func(m *moment) { m.has("a"); m.after = day; m.failed(day) }, Wait, "", 0},
		{"no token lives, IMS failed, and is being asked again",
			func(m *moment) { m.failed(day); m.mintUnderWay(0) }, Wait, "", 0},
		{"whoever writes the role has IMS asked again",
			func(m *moment) { m.failed(day); m.spec.Revision++ }, Wait, "", 0},
		{"in its last second a token is dead",
			func(m *moment) { m.has("a"); m.after = day - time.Second + 1 }, Wait, "", 0},
		{"before that it is handed out",
			func(m *moment) { m.has("a"); m.after = day - time.Second; m.mintUnderWay(0) }, Serve, "a", 0},
		{"a condemned token is handed to nobody",
			func(m *moment) { m.has("a", func(t *Token) { t.Condemned = true }); m.after = fresh }, Wait, "", 0},
		{"nor one that is not on record yet",
			func(m *moment) { m.has("a"); m.saved = 0; m.after = fresh }, Wait, "", 0},
		{"the one before it is, meanwhile",
			func(m *moment) {
				m.has("a")
				m.add(testToken("b", m.spec, start.Add(time.Minute), day), start)
				m.after = fresh
			}, Serve, "a", 0},
		{"a token with other scopes is not the role's",
			func(m *moment) { m.has("a", func(t *Token) { t.Scopes = []string{"openid"} }); m.after = fresh }, Wait, "", 0},
		{"of two the newer is handed out",
			func(m *moment) {
				m.has("new", func(t *Token) { t.Issued = start.Add(time.Minute) })
				m.has("old")
				m.after = fresh
			}, Serve, "new", 0},
		{"min_ttl: a token with too little left is replaced",
			func(m *moment) { m.has("a"); m.spec.Role.MinTTL = 18 * time.Hour; m.after = 7 * time.Hour }, Linger, "a", 7*time.Hour + 2*time.Second},
		{"min_ttl: in the background, if in time",
			func(m *moment) { m.has("a"); m.spec.Role.MinTTL = 18 * time.Hour; m.after = 6*time.Hour - time.Minute }, Renew, "a", 0},
		{"min_ttl that no token has: nine tenths of its life",
			func(m *moment) { m.has("a"); m.spec.Role.MinTTL = 48 * time.Hour; m.after = 2 * time.Hour }, Serve, "a", 0},

		{"exclusive: everybody gets a token of their own",
			func(m *moment) { m.spec.Role.Exclusive = true }, Single, "", 0},
		{"exclusive: whatever else is under way",
			func(m *moment) {
				m.spec.Role.Exclusive = true
				m.has("a")
				m.mintUnderWay(0)
				m.singles = maxSingles - 1
			}, Single, "", 0},
		{"exclusive: IMS is left alone after a failure",
			func(m *moment) { m.spec.Role.Exclusive = true; m.failed(time.Second) }, Refuse, "", 0},
		{"exclusive: no more at a time than can be",
			func(m *moment) { m.spec.Role.Exclusive = true; m.singles = maxSingles }, Crowd, "", 0},
		{"exclusive: none while too many of before could not be ended",
			func(m *moment) { m.spec.Role.Exclusive = true; m.fill() }, Full, "", 0},

		{"who looked before a write looks again",
			func(m *moment) { m.has("a"); m.revision = m.spec.Revision + 1 }, LookAgain, "", 0},
		{"also on a standby",
			func(m *moment) { m.standby = true; m.revision = m.spec.Revision + 1 }, LookAgain, "", 0},

		{"standby: a lease is given by the leader",
			func(m *moment) { m.standby = true; m.has("a") }, Forward, "", 0},
		{"standby: an exclusive token too",
			func(m *moment) { m.standby = true; m.spec.Role.Exclusive, m.spec.Role.Leased = true, false }, Forward, "", 0},
		{"standby: without a lease a fresh token is handed out",
			func(m *moment) { m.standby, m.spec.Role.Leased = true, false; m.has("a"); m.use(); m.after = fresh }, Serve, "a", 0},
		{"standby: its first read tells the leader that it is in use",
			func(m *moment) { m.standby, m.spec.Role.Leased = true, false; m.has("a"); m.after = fresh }, Forward, "a", 0},
		{"standby: so does that of the next",
			func(m *moment) {
				m.standby, m.spec.Role.Leased = true, false
				m.has("a")
				m.use()
				m.has("b", func(t *Token) { t.Issued = start.Add(time.Minute) })
				m.after = fresh
			}, Forward, "b", 0},
		{"standby: in time for the leader to know that the role is in use, reads go there",
			func(m *moment) {
				m.standby, m.spec.Role.Leased = true, false
				m.has("a")
				m.use()
				m.after = 12*time.Hour - 22*time.Minute - 30*time.Second
			}, Forward, "a", 0},
		{"standby: a second before they do not",
			func(m *moment) {
				m.standby, m.spec.Role.Leased = true, false
				m.has("a")
				m.use()
				m.after = 12*time.Hour - 22*time.Minute - 31*time.Second
			}, Serve, "a", 0},
		{"standby: it mints nothing",
			func(m *moment) { m.standby, m.spec.Role.Leased = true, false }, Forward, "", 0},
		{"standby: nor does it backs off for the leader",
			func(m *moment) { m.standby, m.spec.Role.Leased = true, false; m.failed(day) }, Forward, "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := &moment{spec: testSpec(7)}
			row.given(m)
			d := m.decide(m.spec, !m.standby, m.now())
			require.Equal(t, row.want, d.Action)
			if row.token == "" {
				require.Nil(t, d.token)
			} else {
				require.Equal(t, row.token, string(d.token.AccessToken))
			}
			if row.until == 0 {
				require.Zero(t, d.until)
			} else {
				require.Equal(t, start.Add(row.until), d.until)
			}
		})
	}
}

func TestRenewal(t *testing.T) {
	const due = 12*time.Hour - time.Minute
	refreshAt := testToken("a", testSpec(7), start, day).refreshAt(0)
	for _, row := range []struct {
		name  string
		given func(m *moment)
		begin bool
		at    time.Time
	}{
		{"no token", func(*moment) {}, false, time.Time{}},
		{"a token that nobody has read", func(m *moment) { m.has("a"); m.after = due }, false, time.Time{}},
		{"a token in use: when it is due", func(m *moment) { m.has("a"); m.use(); m.after = time.Hour }, false, refreshAt},
		{"a token in use that is due: now", func(m *moment) { m.has("a"); m.use(); m.after = due }, true, time.Time{}},
		{"one of before was in use, this one is not", func(m *moment) {
			m.has("a")
			m.use()
			m.has("b", func(t *Token) { t.Issued = start.Add(time.Minute) })
			m.after = due
		}, false, time.Time{}},
		{"a mint is under way", func(m *moment) { m.has("a"); m.use(); m.mintUnderWay(0); m.after = due }, false, time.Time{}},
		{"the role backs off: when it has", func(m *moment) { m.has("a"); m.use(); m.after = due; m.failed(due + time.Second) }, false, start.Add(due + time.Second)},
		{"it has backed off", func(m *moment) { m.has("a"); m.use(); m.after = due; m.failed(due) }, true, time.Time{}},
		{"a failure of long ago does not bring it forward", func(m *moment) { m.has("a"); m.use(); m.failed(time.Second); m.after = time.Hour }, false, refreshAt},
		{"a failure of before a write does not count", func(m *moment) {
			m.has("a")
			m.use()
			m.after = due
			m.failed(day)
			m.spec.Revision++
		}, true, time.Time{}},
		{"the token in use died before it was replaced: now", func(m *moment) { m.has("a"); m.use(); m.after = day }, true, time.Time{}},
		{"it died because IMS fails: not unless somebody reads", func(m *moment) { m.has("a"); m.use(); m.after = day; m.failed(day) }, false, time.Time{}},
		{"the token in use is not the role's any more", func(m *moment) {
			m.has("a")
			m.use()
			m.after = due
			m.spec.Role = &Role{Scopes: []string{"openid"}}
		}, false, time.Time{}},
		{"the role has become exclusive", func(m *moment) { m.has("a"); m.use(); m.spec.Role.Exclusive = true; m.after = due }, false, time.Time{}},
		{"min_ttl was raised: at once", func(m *moment) { m.has("a"); m.use(); m.spec.Role.MinTTL = 18 * time.Hour; m.after = 7 * time.Hour }, true, time.Time{}},
		{"the record is full: when there is room", func(m *moment) {
			m.has("gone", func(t *Token) { t.Scopes, t.Expires = []string{"other"}, start.Add(time.Hour) })
			m.has("next", func(t *Token) { t.Scopes, t.Expires = []string{"other"}, start.Add(13*time.Hour) })
			m.has("a")
			m.use()
			m.after = due
			m.fill()
		}, false, start.Add(13 * time.Hour)},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := &moment{spec: testSpec(7)}
			row.given(m)
			begin, at := m.renewal(m.spec, m.now())
			require.Equal(t, row.begin, begin)
			require.Equal(t, row.at, at)
			require.True(t, at.IsZero() || at.After(m.now()), "a time that is over would be looked at again and again")
		})
	}
}

// use hands the newest token out.
func (m *moment) use() { m.served = m.newest(m.spec, m.now()) }

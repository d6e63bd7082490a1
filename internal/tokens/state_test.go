// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

func names(tokens []*Token) (list []string) {
	for _, t := range tokens {
		list = append(list, string(t.AccessToken))
	}
	return list
}

func (s *state) names() (list []string) {
	for _, t := range s.tokens {
		list = append(list, string(t.AccessToken))
	}
	return list
}

func TestTokenIsHandedOutOnceSaved(t *testing.T) {
	spec := testSpec(1)
	s := &state{}
	a, b := testToken("a", spec, start, day), testToken("b", spec, start.Add(time.Second), day)
	s.add(a, start)
	require.Nil(t, s.newest(spec, start))
	s.saved = s.version
	require.Same(t, a, s.newest(spec, start))
	s.add(b, start)
	require.Same(t, a, s.newest(spec, start), "b is not saved")
	s.saved = s.version
	require.Same(t, b, s.newest(spec, start))
}

// Whatever else changes the record in between must not make it look saved.
func TestSaveOfAnEarlierStateDoesNotCount(t *testing.T) {
	spec := testSpec(1)
	s := &state{}
	s.add(testToken("old", spec, start, time.Hour), start)
	earlier := s.version
	s.add(testToken("new", spec, start, day), start.Add(time.Hour))
	s.saved = earlier
	require.Equal(t, []string{"new"}, s.names(), "what has expired is left out")
	require.Nil(t, s.newest(spec, start.Add(time.Hour)))
}

func TestNewest(t *testing.T) {
	spec := testSpec(1)
	s := &state{}
	for _, token := range []*Token{
		testToken("late but longer ago", spec, start.Add(-time.Hour), 2*day),
		testToken("same moment", spec, start, day),
		testToken("same moment, later on record", spec, start, day),
		testToken("older", spec, start.Add(-time.Minute), 2*day),
	} {
		s.add(token, start)
	}
	s.saved = s.version
	require.Equal(t, "same moment, later on record", string(s.newest(spec, start).AccessToken))
	require.Equal(t, "older", string(s.newest(spec, start.Add(day)).AccessToken))
	require.Nil(t, s.newest(spec, start.Add(3*day)))

	for name, edit := range map[string]func(*Spec){
		"client":       func(s *Spec) { s.ClientID = "other" },
		"IMS":          func(s *Spec) { s.IMSURL = "https://other.example.com" },
		"organisation": func(s *Spec) { s.OrgID = "other@AdobeOrg" },
		"scopes":       func(s *Spec) { s.Role = &Role{Scopes: []string{"AdobeID", "openid"}} },
	} {
		other := testSpec(1)
		edit(&other)
		require.Nil(t, s.newest(other, start), name)
	}
	renamed := testSpec(9)
	renamed.Config, renamed.Role = "renamed", &Role{Config: "renamed", Scopes: spec.Role.Scopes, MaxTTL: time.Hour}
	require.NotNil(t, s.newest(renamed, start), "the name of the config does not matter")
}

func TestPrune(t *testing.T) {
	spec := testSpec(1)
	s := &state{}
	s.add(testToken("a", spec, start, time.Hour), start)
	s.add(testToken("b", spec, start, 2*time.Hour), start)
	s.saved = s.version
	seen := s.tokens
	s.prune(start.Add(time.Hour - 1))
	require.Equal(t, s.saved, s.version, "nothing has expired")
	s.prune(start.Add(time.Hour))
	require.Equal(t, []string{"b"}, s.names())
	require.Greater(t, s.version, s.saved, "to be stored")
	require.Equal(t, "a", string(seen[0].AccessToken), "who holds the list keeps what it was")
}

func TestCondemnAndBury(t *testing.T) {
	spec := testSpec(1)
	cancelled := false
	c := &call{spec: spec, done: make(chan struct{}), cancel: func() { cancelled = true }}
	s := &state{call: c, failure: &Failure{}}
	expired, a, b := testToken("expired", spec, start, time.Hour), testToken("a", spec, start, day), testToken("b", spec, start, day)
	for _, token := range []*Token{expired, a, b} {
		s.add(token, start)
	}
	s.saved, s.served = s.version, b

	doomed := s.condemn(42, start.Add(time.Hour))
	require.Equal(t, []string{"a", "b"}, names(doomed))
	require.False(t, a.Condemned, "a token is never changed in place: readers hold it")
	require.True(t, doomed[0].Condemned)
	require.Nil(t, s.newest(spec, start.Add(time.Hour)), "from the first moment, saved or not")
	require.Greater(t, s.version, s.saved)
	require.EqualValues(t, 42, s.epoch)
	require.Nil(t, s.failure, "the next read mints")
	require.Nil(t, s.served)

	require.True(t, cancelled)
	require.Nil(t, s.call)
	select {
	case <-c.done:
	default:
		require.Fail(t, "who waits for the mint has to look again")
	}

	s.bury(doomed[:1])
	require.Equal(t, []string{"b"}, s.names())
	again := s.condemn(43, start.Add(time.Hour))
	require.Equal(t, []string{"b"}, names(again), "what lives on is tried again")
	require.Same(t, doomed[1], again[0])
	version := s.version
	s.bury([]*Token{a})
	require.Equal(t, version, s.version, "nothing to take off the record")
	s.bury(again)
	require.Empty(t, s.tokens)
}

func TestCondemnStoresItselfOnce(t *testing.T) {
	s := &state{}
	s.add(testToken("a", testSpec(1), start, day), start)
	s.condemn(1, start)
	version := s.version
	s.condemn(2, start)
	require.Equal(t, version, s.version)
}

func TestFull(t *testing.T) {
	spec := testSpec(1)
	s := &state{}
	for i := range maxOutstanding {
		require.False(t, s.full(start), i)
		s.add(testToken("a", spec, start, time.Duration(i+1)*time.Hour), start)
	}
	require.True(t, s.full(start))
	require.Equal(t, maxOutstanding, s.outstanding(start))
	require.Equal(t, start.Add(time.Hour), s.nextExpiry(start))
	require.False(t, s.full(start.Add(time.Hour)), "what has expired does not count")
	require.Equal(t, start.Add(2*time.Hour), s.nextExpiry(start.Add(time.Hour)))
	require.Zero(t, s.nextExpiry(start.Add(100*day)))

	s = &state{}
	for !s.full(start) {
		s.add(testToken(strings.Repeat("a", MaxToken), spec, start, day), start)
	}
	require.Less(t, len(s.tokens), 40)
	require.Less(t, recordSize(t, s), 1<<20)
}

// Size must not be less than what a token takes, or records outgrow storage.
func TestRecordFitsStorage(t *testing.T) {
	spec := testSpec(1)
	spec.Identity = Identity{
		Config: strings.Repeat("c", 128), ClientID: strings.Repeat("d", 256),
		IMSURL: "https://" + strings.Repeat("e", 2000), OrgID: strings.Repeat("f", 128),
	}
	scopes := make([]string, MaxScopes)
	for i := range scopes {
		scopes[i] = strings.Repeat("s", i)
	}
	for name, token := range map[string]*Token{
		"ordinary": testToken(strings.Repeat("a", 1200), testSpec(1), start, day),
		"empty":    {},
		"largest": {
			AccessToken: secret.Secret(strings.Repeat("a", MaxToken)), Issued: start.Add(123456789), Expires: start.Add(987654321),
			Identity: spec.Identity, Scopes: scopes, Granted: scopes, AccountID: strings.Repeat("g", 300), Condemned: true,
		},
	} {
		encoded, err := json.Marshal(token)
		require.NoError(t, err)
		require.GreaterOrEqual(t, token.size(), len(encoded)+1, name)
		s := &state{}
		for !s.full(start) {
			alive := *token
			alive.Expires = start.Add(day)
			s.add(&alive, start)
		}
		require.Less(t, recordSize(t, s), 1<<20, name)
	}
}

func recordSize(t *testing.T, s *state) int {
	t.Helper()
	st := newRoleState(role)
	st.tokens = s.tokens
	r, _, _ := st.snapshot()
	encoded, err := json.Marshal(r)
	require.NoError(t, err)
	return len(encoded)
}

func TestSee(t *testing.T) {
	s := &state{deleted: true}
	require.True(t, s.see(testSpec(5)))
	require.False(t, s.deleted, "the role is there")
	require.True(t, s.see(testSpec(5)))
	s.deleted = true
	require.False(t, s.see(testSpec(4)), "an older reader")
	require.True(t, s.deleted)
	require.EqualValues(t, 5, s.revision)
	require.True(t, s.see(testSpec(6)))
	require.False(t, s.see(testSpec(5)))
}

// A mint is given up only by who has no use for its token.
func TestAbandonOutdated(t *testing.T) {
	for _, row := range []struct {
		name  string
		edit  func(*Spec)
		given bool
	}{
		{"the same", func(*Spec) {}, false},
		{"max_ttl", func(s *Spec) { s.Role.MaxTTL = time.Hour }, false},
		{"min_ttl", func(s *Spec) { s.Role.MinTTL = time.Hour }, false},
		{"another config of the same client", func(s *Spec) { s.Config = "other" }, false},
		{"scopes", func(s *Spec) { s.Role.Scopes = []string{"openid"} }, true},
		{"client", func(s *Spec) { s.ClientID = "other" }, true},
		{"exclusive", func(s *Spec) { s.Role.Exclusive = true }, true},
	} {
		s := &state{call: &call{spec: testSpec(1), done: make(chan struct{}), cancel: func() {}}}
		spec := testSpec(2)
		row.edit(&spec)
		s.abandonOutdated(spec)
		require.Equal(t, row.given, s.call == nil, row.name)
	}
}

func TestForgettable(t *testing.T) {
	s := &state{deleted: true}
	require.True(t, s.forgettable())
	for name, edit := range map[string]func(*state){
		"the role exists":   func(s *state) { s.deleted = false },
		"tokens live":       func(s *state) { s.add(testToken("a", testSpec(1), start, day), start); s.saved = s.version },
		"work is under way": func(s *state) { s.running = 1 },
		"not stored yet":    func(s *state) { s.version++ },
	} {
		s := &state{deleted: true}
		edit(s)
		require.False(t, s.forgettable(), name)
	}
}

func TestNoteEnds(t *testing.T) {
	s := &state{}
	s.add(testToken("a", testSpec(1), start, 100*day).condemned(), start)
	now, pauses := start, []time.Duration{}
	for range 9 {
		s.noteEnds(true, now)
		s.noteEnds(true, now.Add(time.Second)) // another of the same time
		pauses = append(pauses, s.endAgain.Sub(now))
		now = s.endAgain
	}
	require.Equal(t, []time.Duration{
		time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour, time.Hour,
	}, pauses)
	s.noteEnds(false, now)
	require.NotZero(t, s.endAgain, "one was ended, another is still to be")
	s.bury(s.condemned())
	s.noteEnds(false, now)
	require.Zero(t, s.endAgain)
	require.Zero(t, s.endFailures)
}

// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

var (
	earlier = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	now     = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
)

const ttl = time.Hour

// by is a secret that an operator wrote.
func by(value secret.Secret) Secrets {
	return Secrets{Current: value, UUID: "u-" + string(value), Set: earlier}
}

// added is a secret that a rotation added.
func added() Secrets {
	s := by("1")
	s.Added = true
	return s
}

func TestSecretsReplaced(t *testing.T) {
	retired := Secret{Value: "old", UUID: "u-old", Ours: true, Rotated: earlier, RemoveAt: earlier}
	pending := &Secret{Value: "pending", UUID: "u-pending", Added: earlier, ListedBefore: []string{"u-1"}}
	with := func(s Secrets, change func(*Secrets)) Secrets {
		change(&s)
		return s
	}
	pendingRetired := Secret{Value: "pending", UUID: "u-pending", Ours: true, RemoveAt: now}
	for name, test := range map[string]struct {
		before Secrets
		value  secret.Secret
		after  Secrets
	}{
		"the first":          {Secrets{}, "new", Secrets{Current: "new", Set: now}},
		"the same":           {added(), "1", added()},
		"an operator's":      {by("1"), "new", Secrets{Current: "new", Set: now}},
		"one that was added": {added(), "new", Secrets{Current: "new", Set: now, Retired: []Secret{{Value: "1", UUID: "u-1", Ours: true, RemoveAt: now.Add(ttl)}}}},
		"one that was added, of no uuid": {
			with(added(), func(s *Secrets) { s.UUID = "" }), "new", Secrets{Current: "new", Set: now},
		},
		"beside a pending one": {with(by("1"), func(s *Secrets) { s.Pending = pending }), "new", Secrets{Current: "new", Set: now, Retired: []Secret{pendingRetired}}},
		"beside a pending one of no uuid": {
			with(by("1"), func(s *Secrets) { s.Pending = &Secret{Value: "pending"} }), "new", Secrets{Current: "new", Set: now},
		},
		"the pending one": {with(by("1"), func(s *Secrets) { s.Pending = pending }), "pending", Secrets{Current: "pending", UUID: "u-pending", Added: true, Set: now}},
		"the pending one of no uuid": {
			with(by("1"), func(s *Secrets) { s.Pending = &Secret{Value: "pending"} }), "pending", Secrets{Current: "pending", Added: true, Set: now},
		},
		"beside a retired one": {with(by("1"), func(s *Secrets) { s.Retired = []Secret{retired} }), "new", Secrets{Current: "new", Set: now, Retired: []Secret{retired}}},
		"a retired one": {
			with(added(), func(s *Secrets) { s.Retired = []Secret{retired} }), "old",
			Secrets{Current: "old", UUID: "u-old", Added: true, Set: now, Retired: []Secret{{Value: "1", UUID: "u-1", Ours: true, RemoveAt: now.Add(ttl)}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := clone(t, test.before)
			require.Equal(t, test.after, test.before.Replaced(test.value, now, ttl))
			require.Equal(t, before, clone(t, test.before), "the Secrets before were changed")
		})
	}
}

func clone(t *testing.T, s Secrets) string {
	t.Helper()
	encoded, err := json.Marshal(s)
	require.NoError(t, err)
	return string(encoded)
}

func TestSecretsPromoted(t *testing.T) {
	s := by("1")
	s.Retired = make([]Secret, 1, 8) // with room, which must not be shared
	s.Retired[0] = Secret{Value: "0", UUID: "u-0", RemoveAt: earlier}
	s.Pending = &Secret{Value: "2", UUID: "u-2", Added: now, ListedBefore: []string{"u-1"}}
	before := clone(t, s)
	next := s.Promoted(now, ttl)
	require.Equal(t, Secrets{
		Current: "2", UUID: "u-2", Added: true, Set: now,
		Retired: []Secret{{Value: "0", UUID: "u-0", RemoveAt: earlier}, {Value: "1", UUID: "u-1", Rotated: now, RemoveAt: now.Add(ttl)}},
	}, next)
	require.Equal(t, before, clone(t, s))
	require.Zero(t, s.Retired[:2][1], "the two share an array")
}

func TestSecretsValues(t *testing.T) {
	s := by("1")
	require.Equal(t, []secret.Secret{"1"}, s.Values())
	s.Pending = &Secret{Value: "2"}
	s.Retired = []Secret{{Value: "old"}, {UUID: "u"}, {Value: "older than current"}}
	require.Equal(t, []secret.Secret{"1", "2", "older than current", "old"}, s.Values())
	s.Pending = &Secret{UUID: "u-2"}
	require.Equal(t, []secret.Secret{"1", "older than current", "old"}, s.Values())
}

func TestSecretsOnlyCurrent(t *testing.T) {
	s := added()
	s.Pending, s.Retired, s.Former = &Secret{Value: "2"}, []Secret{{Value: "0"}}, []Former{{}}
	require.Equal(t, Secrets{Current: "1", Set: earlier}, s.OnlyCurrent())
}

func TestSecretsWithoutOtherValues(t *testing.T) {
	s := added()
	s.Retired = []Secret{{Value: "0", UUID: "u-0", Rotated: earlier, RemoveAt: now.Add(ttl)}}
	s.Pending = &Secret{Value: "2", UUID: "u-2"}
	before := clone(t, s)
	next := s.WithoutOtherValues(now)
	require.Equal(t, []Secret{{UUID: "u-0", Rotated: earlier, RemoveAt: now.Add(ttl)}, {UUID: "u-2", RemoveAt: now}}, next.Retired)
	require.Nil(t, next.Pending)
	require.Equal(t, []secret.Secret{"1"}, next.Values())
	require.True(t, next.Added)
	when, ok := next.Recognises("0")
	require.True(t, ok, "it is still known that it was rotated away")
	require.Equal(t, earlier, when)
	require.Equal(t, before, clone(t, s))

	s.Pending = &Secret{Value: "2"}
	require.Len(t, s.WithoutOtherValues(now).Retired, 1)
}

func TestSecretsDueForRemovalAndWithout(t *testing.T) {
	s := by("1")
	s.Retired = []Secret{{Value: "a", UUID: "u-a", Rotated: earlier, RemoveAt: now}, {Value: "b", UUID: "u-b", RemoveAt: now.Add(1)}}
	require.Empty(t, s.DueForRemoval(now.Add(-1)))
	require.Equal(t, s.Retired[:1], s.DueForRemoval(now))
	require.Equal(t, s.Retired, s.DueForRemoval(now.Add(1)))

	before := clone(t, s)
	next := s.Without("u-a")
	require.Equal(t, s.Retired[1:], next.Retired)
	require.Equal(t, before, clone(t, s))
	next = next.Without("u-b")
	require.Nil(t, next.Retired)
	require.Len(t, next.Former, 1, "what no rotation replaced is not recognised")
	require.Equal(t, next, next.Without("u-x"))
}

func TestSecretsOtherUUIDsAndLostTrackOf(t *testing.T) {
	s := added()
	require.Empty(t, s.OtherUUIDs())
	s.Retired = []Secret{{UUID: "u-0"}}
	s.Pending = &Secret{Value: "2", UUID: "u-2"}
	require.Equal(t, []string{"u-0", "u-2"}, s.OtherUUIDs())
	require.Empty(t, s.LostTrackOf(s))
	require.Empty(t, s.Promoted(now, ttl).LostTrackOf(s))
	require.Empty(t, s.Replaced("new", now, ttl).LostTrackOf(s))
	require.Equal(t, []string{"u-0", "u-2"}, s.OnlyCurrent().LostTrackOf(s))
	require.Equal(t, []string{"u-0"}, s.Without("u-0").LostTrackOf(s))

	s.Pending = &Secret{Value: "2"}
	require.Equal(t, []string{"one whose uuid is not known"}, s.Replaced("new", now, ttl).LostTrackOf(s))
	require.Empty(t, s.Replaced("2", now, ttl).LostTrackOf(s))
}

func TestSecretsRecognises(t *testing.T) {
	s := by("first")
	s.Pending = &Secret{Value: "second", UUID: "u-second"}
	s = s.Promoted(earlier, ttl)

	for _, stage := range []struct {
		name string
		s    Secrets
	}{
		{"while it is retired", s},
		{"after its removal", s.Without("u-first")},
	} {
		t.Run(stage.name, func(t *testing.T) {
			when, ok := stage.s.Recognises("first")
			require.True(t, ok)
			require.Equal(t, earlier, when)
			for _, other := range []secret.Secret{"second", "third", ""} {
				_, ok := stage.s.Recognises(other)
				require.False(t, ok, "%s", string(other))
			}
			encoded := clone(t, stage.s.Without("u-first"))
			require.NotContains(t, encoded, "first\"")
		})
	}

	// Whoever takes it back has it for the current one, not for a former one.
	back := s.Without("u-first").Replaced("first", now, ttl)
	_, ok := back.Recognises("first")
	require.False(t, ok)
}

func TestFormerSecretsAreFew(t *testing.T) {
	s := by("0")
	for i := 1; i <= 25; i++ {
		s.Pending = &Secret{Value: secret.Secret(fmt.Sprint(i)), UUID: fmt.Sprintf("u-%d", i)}
		s = s.Promoted(now, ttl).Without(fmt.Sprintf("u-%d", i-1))
	}
	require.Len(t, s.Former, 10)
	require.Equal(t, "25", string(s.Current))
	for i := range 25 {
		_, ok := s.Recognises(secret.Secret(fmt.Sprint(i)))
		require.Equal(t, i >= 15, ok, i)
	}
	salts := map[string]bool{}
	for _, former := range s.Former {
		salts[former.Salt] = true
	}
	require.Len(t, salts, 10)
}

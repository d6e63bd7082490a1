// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestRotationByPeriod(t *testing.T) {
	m := newMount(t)
	m.write(func(c *credential.Credential) { c.RotationPeriod = 720 * time.Hour })
	m.clock.Advance(718 * time.Hour)
	m.tick()
	require.Zero(t, m.adobe.Count(""), "not before its time, an hour of which had passed")
	m.clock.Advance(time.Hour)

	m.node.set(false, false)
	m.tick()
	require.Zero(t, m.adobe.Count(""), "not on a node that may not write")
	m.node.set(true, true)
	m.tick()
	require.Zero(t, m.adobe.Count(""), "not on a mount that is being removed")
	m.node.set(true, false)
	m.tick()
	require.Len(t, m.uuids(), 2)
	require.Equal(t, m.clock.Now(), m.stored().Set)

	asked := m.adobe.Count("")
	m.tick()
	require.Equal(t, asked, m.adobe.Count(""), "what is done is left alone")
	m.settle()
	m.requireTidy("in the end")
}

func TestRotationByPeriodThatFails(t *testing.T) {
	m := newMount(t)
	m.write(func(c *credential.Credential) { c.RotationPeriod = time.Hour })
	remove := m.adobe.Inject(emulator.Fault{Method: "GET", Status: 500})
	m.ticks(10 * time.Hour)
	asked := m.adobe.Count(secretsPath)
	require.Less(t, asked, 20, "ten hours of failure")
	require.Greater(t, asked, 8)
	require.Contains(t, m.stored().RotationFailure.Text, "listing")
	remove()
	m.ticks(time.Hour)
	require.Nil(t, m.stored().RotationFailure)
	require.Equal(t, 1, m.posts())
}

func TestPauses(t *testing.T) {
	require.False(t, pauses(nil, t0))
	for count, pause := range map[int]time.Duration{
		0: time.Minute, 1: time.Minute, 2: 2 * time.Minute, 6: 32 * time.Minute, 7: time.Hour, 100: time.Hour, 1 << 40: time.Hour,
	} {
		f := &credential.Failure{At: t0, Count: count}
		require.True(t, pauses(f, t0.Add(pause-1)), count)
		require.False(t, pauses(f, t0.Add(pause)), count)
	}
}

func TestDueGoal(t *testing.T) {
	due := func(s *state) { s.Config.RotationPeriod = time.Hour }
	for name, test := range map[string]struct {
		in   state
		want goal
	}{
		"nothing":                       {of(), clearUp},
		"a rotation":                    {of(due), rotate},
		"a pending secret":              {of(pending("P", 0)), tidy},
		"a pending secret comes first":  {of(pending("P", 0), due), tidy},
		"a removal":                     {of(retired("R", 0)), tidy},
		"a removal that is not due":     {of(retired("R", 1)), clearUp},
		"both":                          {of(retired("R", 0), due), rotate},
		"all, right after a failure":    {of(pending("P", 0), due, func(s *state) { s.Config.RotationFailure = &credential.Failure{At: t0, Count: 1} }), clearUp},
		"the console's ids are missing": {of(pending("P", 0), due, func(s *state) { s.Config.CredentialID = "" }), clearUp},
	} {
		require.Equal(t, test.want, dueGoal(test.in.Config, t0), name)
	}
	require.Equal(t, clearUp, dueGoal(nil, t0))
}

// A year by schedule, at 03:00 on the first of each month, of which some
// windows go by: they are not made up for.
func TestRotationByScheduleOverAYear(t *testing.T) {
	m := newMount(t)
	m.write(func(c *credential.Credential) { c.RotationSchedule, c.RotationWindow = "0 3 1 * *", 2*time.Hour })
	windowOf := func(at time.Time) bool { return at.Day() == 1 && at.Hour() >= 3 && at.Hour() < 5 }
	missed := map[time.Month]bool{time.February: true, time.March: true, time.July: true}
	var rotations []time.Time
	for m.clock.Now().Before(t0.AddDate(1, 0, 0)) {
		m.clock.Advance(10 * time.Minute)
		now := m.clock.Now()
		// Sealed during some windows; in May, from shortly after its beginning.
		if missed[now.Month()] && windowOf(now) || now.Month() == time.May && now.Hour() == 3 && now.Minute() < 40 {
			continue
		}
		m.tick()
		if set := m.stored().Set; set.Equal(now) {
			rotations = append(rotations, now)
		}
		require.LessOrEqual(t, len(m.uuids()), maxSecrets)
	}
	var months []time.Month
	for _, at := range rotations {
		require.True(t, windowOf(at), at)
		months = append(months, at.Month())
		if at.Month() == time.May {
			require.Equal(t, 40, at.Minute(), "within the window it is made up for")
		} else {
			require.Zero(t, at.Minute(), at)
		}
	}
	require.Equal(t, []time.Month{12, 1, 4, 5, 6, 8, 9, 10, 11}, months)
	require.Equal(t, len(rotations), m.posts())
	m.settle()
	m.requireTidy("after a year")
}

// A rotation by schedule that fails is tried again within its window only; what
// it has begun is gone on with.
func TestScheduleThatFails(t *testing.T) {
	m := newMount(t) // at ten
	m.write(func(c *credential.Credential) { c.RotationSchedule, c.RotationWindow = "0 11 * * *", time.Hour })
	remove := m.adobe.Inject(emulator.Fault{Method: "GET", Status: 500})
	m.ticks(3 * time.Hour)
	remove()
	asked := m.adobe.Count(secretsPath)
	require.Greater(t, asked, 3)
	m.ticks(20 * time.Hour)
	require.Equal(t, asked, m.adobe.Count(secretsPath), "its window was over")
	remove = m.adobe.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: proofs})
	m.ticks(3 * time.Hour)
	require.NotNil(t, m.stored().Pending)
	remove()
	m.ticks(2 * time.Hour)
	require.Nil(t, m.stored().Pending)
	require.True(t, m.stored().Added)
}

// One config whose Adobe does not answer does not hold up the others, and the
// periodic work ends with its context.
func TestTickIsNotHeldUp(t *testing.T) {
	m := newMount(t)
	slow := m.config()
	slow.ClientID, slow.CredentialID, slow.Current, slow.RotationPeriod = otherClient, "777", otherSecret, time.Minute
	slow.Set = t0
	m.put("a-slow-one", slow)
	m.write(func(c *credential.Credential) { c.RotationPeriod = time.Minute })
	goOn := make(chan struct{})
	remove := m.adobe.Inject(emulator.Fault{Path: emulator.TokenPath, Match: func(r *http.Request) bool {
		if r.PostForm.Get("client_id") == otherClient {
			<-goOn
		}
		return false
	}})
	defer remove()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- m.Tick(ctx) }()
	require.Eventually(t, func() bool { return m.stored().Added }, 10*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	r, mine := m.begin("a-slow-one", tidy, false)
	require.False(t, mine, "it goes on")
	close(goOn)
	require.NoError(t, r.wait(context.Background()))
	require.NoError(t, r.err)
	require.NotNil(t, r.result)
}

// Of two configs, storage can read the one: that is looked after.
func TestTickWithStorageThatFails(t *testing.T) {
	m := newMount(t)
	m.write(func(c *credential.Credential) { c.RotationPeriod = time.Minute })
	m.put("another", m.config())
	m.restart()
	broken := errors.New("storage is broken")
	m.storage.set(func(op, key string, call func() error) error {
		if op == "get" && key == "config/another" {
			return broken
		}
		return call()
	})
	require.ErrorIs(t, m.Tick(context.Background()), broken)
	require.True(t, m.stored().Added)
	m.storage.set(func(op, _ string, call func() error) error {
		if op == "list" {
			return broken
		}
		return call()
	})
	require.Equal(t, broken, m.Tick(context.Background()))
}

// A panic ends the run, not the process.
func TestPanicEndsTheRunOnly(t *testing.T) {
	m := newMount(t)
	m.storage.set(func(op, key string, call func() error) error {
		if op == "put" && strings.HasPrefix(key, "wal/") {
			panic("broken")
		}
		return call()
	})
	_, err := m.rotate()
	require.ErrorContains(t, err, "a panic")
	m.storage.set(nil)
	m.rotated()
}

// The operator makes a rotation that was due not be so before it begins.
func TestRotationThatIsNotDueAnyMore(t *testing.T) {
	m := newMount(t)
	r, mine := m.begin("default", rotate, false)
	require.True(t, mine)
	require.NoError(t, r.wait(context.Background()))
	require.NoError(t, r.err)
	require.Nil(t, r.result)
	require.Zero(t, m.adobe.Count(""))
}

// IMS refuses the current secret and accepts the pending one: that takes its
// place, and what is due is removed in the same run.
func TestPendingSecretEndsTheFallback(t *testing.T) {
	m := newMount(t)
	m.write(func(c *credential.Credential) { c.PreviousSecretTTL = 0 })
	_ = m.rotateWith(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: proofs})
	require.NoError(t, m.adobe.RemoveSecret(clientID, m.uuids()[0]))
	m.clock.Advance(time.Minute)
	m.tick()
	m.requireTidy("after one tick")
}

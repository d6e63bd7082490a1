// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestRotation(t *testing.T) {
	m := newMount(t)
	before := m.adobe.SecretsOf(clientID)
	got := m.rotated()
	after := m.adobe.SecretsOf(clientID)
	require.Len(t, after, 2)
	require.Equal(t, &Result{
		UUID:     after[1].UUID,
		Previous: &Previous{UUID: before[0].UUID, RemoveAt: m.clock.Now().Add(time.Hour)},
	}, got)
	c := m.stored()
	require.Equal(t, after[1].Value, string(c.Current))
	require.True(t, c.Added)
	require.Equal(t, m.clock.Now(), c.Set)
	require.Nil(t, c.RotationFailure)
	require.Empty(t, m.wal())

	// The previous one is removed when its time is over, and not before.
	m.clock.Advance(59 * time.Minute)
	m.tick()
	require.Len(t, m.uuids(), 2)
	m.clock.Advance(time.Minute)
	m.tick()
	m.requireTidy("in the end")
	rotatedAt, ok := m.stored().Recognises(firstSecret)
	require.True(t, ok, "what was rotated away is recognised")
	require.Equal(t, c.Set, rotatedAt.UTC())
	m.restart()
	m.requireTidy("after a restart")
	m.requireTokensDead()
}

func TestRotatingAgainMakesRoom(t *testing.T) {
	m := newMount(t)
	first := m.rotated()
	second := m.rotated()
	require.Equal(t, []Previous{*first.Previous}, second.RemovedEarly)
	require.Equal(t, first.UUID, second.Previous.UUID)
	require.Equal(t, []string{first.UUID, second.UUID}, m.uuids())
	m.requireSound("after two rotations")

	m.clock.Advance(time.Hour) // what is due is not early
	third := m.rotated()
	require.Empty(t, third.RemovedEarly)
	m.requireSound("after three")
}

func TestRotationWithoutGrace(t *testing.T) {
	m := newMount(t)
	m.write(func(c *credential.Credential) { c.PreviousSecretTTL = 0 })
	got := m.rotated()
	require.Nil(t, got.Previous)
	require.Empty(t, got.RemovedEarly)
	m.requireTidy("at once")
	m.requireTokensDead()
}

// The rotation has taken place, whatever becomes of the previous secret.
func TestPreviousSecretThatStays(t *testing.T) {
	m := newMount(t)
	m.write(func(c *credential.Credential) { c.PreviousSecretTTL = 0 })
	remove := m.adobe.Inject(emulator.Fault{Method: "DELETE", Status: 500})
	got := m.rotated()
	require.NotNil(t, got.Previous)
	require.Len(t, m.uuids(), 2)
	require.Nil(t, m.stored().RotationFailure)
	m.tick()
	require.Contains(t, m.stored().RotationFailure.Text, "removal")
	remove()
	m.clock.Advance(time.Minute)
	m.tick()
	m.requireTidy("after a minute")
	require.Nil(t, m.stored().RotationFailure)
}

func TestBeyondTheLimit(t *testing.T) {
	for name, uuid := range map[string]func(*mount) string{
		"current is known":   func(m *mount) string { return m.uuids()[0] },
		"current is unknown": func(*mount) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.write(func(c *credential.Credential) { c.UUID = uuid(m) })
			foreign, err := m.adobe.AddSecret(clientID)
			require.NoError(t, err)
			before := m.uuids()
			_, err = m.rotate()
			var asked *advice.Error
			require.ErrorAs(t, err, &asked)
			require.ErrorContains(t, err, foreign.UUID)
			require.ErrorContains(t, err, "Nothing was changed")
			require.Equal(t, before, m.uuids())
			require.Contains(t, m.stored().RotationFailure.Text, foreign.UUID)
			m.requireSound("refused", foreign.UUID)

			require.NoError(t, m.adobe.RemoveSecret(clientID, foreign.UUID))
			m.rotated()
			require.Nil(t, m.stored().RotationFailure)
		})
	}
}

// What cannot be rotated is refused before anybody is asked, and not noted.
func TestWhatCannotBeRotated(t *testing.T) {
	m := newMount(t)
	_, err := m.Rotate(context.Background(), "none")
	require.True(t, advice.IsMissing(err))
	m.write(func(c *credential.Credential) { c.CredentialID = "" })
	_, err = m.rotate()
	require.ErrorContains(t, err, "vault write <mount>/config/default console_org_id=... credential_id=...")
	m.write(func(c *credential.Credential) { c.Type, c.CredentialID = credential.WebApp, credentialID })
	_, err = m.rotate()
	require.ErrorContains(t, err, "Adobe offers no rotation")
	m.write(func(c *credential.Credential) { c.Type = credential.ServerToServer })
	m.node.set(true, true)
	_, err = m.rotate()
	require.ErrorContains(t, err, "removed or moved")
	m.node.set(false, false)
	_, err = m.rotate()
	require.Equal(t, logical.ErrReadOnly, err, "so that Vault forwards the request")
	require.Zero(t, m.adobe.Count(""))
	require.Nil(t, m.stored().RotationFailure)
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		fault  emulator.Fault
		says   string
		advice bool
	}{
		"no I/O Management API": {emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "invalid_scope"}, "I/O Management API", true},
		"IMS fails":             {emulator.Fault{Path: emulator.TokenPath, Status: 500}, "IMS token request", false},
		"a page answers":        {emulator.Fault{Path: emulator.TokenPath, Body: "<html>"}, "answered instead of Adobe", false},
		"listing forbidden":     {emulator.Fault{Method: "GET", Status: 403, Code: "403003", Description: "Api Key is invalid"}, "listing", false},
		"listing throttled":     {emulator.Fault{Method: "GET", Status: 429}, "listing", false},
		"listing fails":         {emulator.Fault{Method: "GET", Status: 503}, "listing", false},
		"adding refused":        {emulator.Fault{Method: "POST", Path: secretsPath, Status: 403, Code: "403000"}, "adding", false},
		"adding fails":          {emulator.Fault{Method: "POST", Path: secretsPath, Status: 500}, "adding", false},
		"adding is a page":      {emulator.Fault{Method: "POST", Path: secretsPath, Body: "<html>"}, "adding", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			err := m.rotateWith(test.fault)
			require.ErrorContains(t, err, test.says)
			var asked *advice.Error
			require.Equal(t, test.advice, errors.As(err, &asked))
			require.Contains(t, m.stored().RotationFailure.Text, test.says)
			require.Len(t, m.uuids(), 1)
			m.requireSound("refused")
			m.clock.Advance(time.Minute)
			m.rotated()
			require.Nil(t, m.stored().RotationFailure)
			m.settle()
			m.requireTidy("in the end")
		})
	}
}

// The hard one: Adobe added the secret, and its answer was lost.
func TestLostAnswer(t *testing.T) {
	for name, recover := range map[string]func(*mount){
		"next rotation":        func(m *mount) { m.rotated() },
		"later rotation":       func(m *mount) { m.clock.Advance(time.Hour); m.rotated() },
		"restart and rotation": func(m *mount) { m.restart(); m.rotated() },
		"rollback": func(m *mount) {
			m.clock.Advance(time.Minute)
			require.Empty(m.t, m.rollback())
			require.Len(m.t, m.uuids(), 1)
			m.rotated()
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			first := m.uuids()[0]
			removeList := m.adobe.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Skip: 1, Status: 500})
			err := m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
			require.ErrorContains(t, err, "adding", "what went wrong, not what clearing up met")
			lost := m.uuids()[1]
			m.requireSound("lost")
			require.Len(t, m.wal(), 1)
			removeList()
			recover(m)
			require.NotContains(t, m.uuids(), lost)
			require.Equal(t, first, m.uuids()[0])
			require.Len(t, m.uuids(), 2)
			require.Empty(t, m.wal())
			m.requireCurrentWorks("rotated")
		})
	}
}

func TestLostAnswerIsClearedUpAtOnce(t *testing.T) {
	m := newMount(t)
	before := m.uuids()
	err := m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
	require.ErrorContains(t, err, "adding")
	require.Equal(t, before, m.uuids())
	require.Empty(t, m.wal())
	require.Contains(t, m.log.String(), "whose value was lost")
}

// A secret that somebody else added after the rotation was interrupted is not
// taken for the lost one.
func TestForeignSecretIsNeverRemoved(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"the request never arrived": {Method: "POST", Path: secretsPath, Times: 1, Drop: true},
		"the console failed":        {Method: "POST", Path: secretsPath, Times: 1, Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			_ = m.rotateWith(fault)
			m.clock.Advance(2 * time.Second)
			foreign, err := m.adobe.AddSecret(clientID)
			require.NoError(t, err)
			m.restart()
			_, err = m.rotate()
			require.ErrorContains(t, err, foreign.UUID)
			m.settle()
			require.Empty(t, m.wal())
			m.requireSound("in the end", foreign.UUID)
		})
	}
}

// A request whose time was over can take effect for some seconds more, and so
// can the one that was under way when the process died.
func TestRequestThatTakesEffectLate(t *testing.T) {
	m := newMount(t)
	m.write(func(c *credential.Credential) { c.RequestTimeout = time.Second })
	arrived := make(chan struct{})
	remove := m.adobe.Inject(emulator.Fault{Method: "POST", Path: secretsPath, Hang: true, Match: func(*http.Request) bool {
		m.clock.Advance(time.Second) // as long as the attempt is waited for
		close(arrived)
		return true
	}})
	_, err := m.rotate()
	require.ErrorContains(t, err, "adding")
	<-arrived
	remove()
	require.Len(t, m.wal(), 1)
	m.clock.Advance(5 * time.Second)
	late, err := m.adobe.AddSecret(clientID) // what the request brought about
	require.NoError(t, err)
	m.requireSound("late")
	m.rotated()
	require.NotContains(t, m.uuids(), late.UUID)
	m.settle()
	m.requireTidy("in the end")
}

// IMS refuses a new secret for five seconds.
func TestSecretThatTakesAMomentToWork(t *testing.T) {
	m := newMount(t)
	m.adobe.Configure(func(o *emulator.Options) { o.SecretDelay = 5 * time.Second })
	done := m.inBackground()
	for _, pause := range []time.Duration{1, 2, 4} {
		m.waitFor(3)
		m.clock.Advance(pause * time.Second)
	}
	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, m.uuids()[1], got.result.UUID)
	m.requireCurrentWorks("rotated")
}

type outcome struct {
	result *Result
	err    error
}

func (m *mount) inBackground() <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		result, err := m.rotate()
		done <- outcome{result, err}
	}()
	return done
}

func TestSecretThatCannotBeProven(t *testing.T) {
	m := newMount(t)
	m.adobe.Configure(func(o *emulator.Options) { o.SecretDelay = 30 * 24 * time.Hour })
	done := m.inBackground()
	for _, pause := range []time.Duration{1, 2, 4, 8, 8} {
		m.waitFor(3)
		m.clock.Advance(pause * time.Second)
	}
	require.ErrorContains(t, (<-done).err, "not proven yet")
	c := m.stored()
	require.Equal(t, firstSecret, string(c.Current), "the old one stays")
	require.Equal(t, m.uuids()[1], c.Pending.UUID)
	require.Contains(t, c.RotationFailure.Text, "not proven yet")
	require.Contains(t, m.log.String(), "a rotation of the client secret failed")
	m.requireSound("not proven")

	// It is tried for an hour, with growing pauses, then removed.
	m.adobe.ResetCounters()
	m.ticks(55 * time.Minute)
	require.Len(t, m.uuids(), 2)
	require.Less(t, m.adobe.Count(emulator.TokenPath), 20)
	m.ticks(70 * time.Minute)
	m.requireTidy("given up")
	require.Nil(t, m.stored().RotationFailure)
	require.Contains(t, m.log.String(), "never accepted")
}

// A pending secret that IMS accepts ends the rotation, whoever asks.
func TestPendingSecretIsProvenLater(t *testing.T) {
	for name, prove := range map[string]func(*mount){
		"by the periodic work": (*mount).tick,
		"by hand":              func(m *mount) { m.rotated() },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			_ = m.rotateWith(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: proofs})
			pending := m.stored().Pending.UUID
			require.Empty(t, m.wal())
			require.NoError(t, m.adobe.RemoveSecret(clientID, m.uuids()[0]))
			m.requireSound("with the one not proven yet")
			m.clock.Advance(time.Minute)
			prove(m)
			require.Nil(t, m.stored().Pending)
			require.Equal(t, pending, m.stored().UUID, "no further one was added")
			require.Equal(t, 1, m.posts())
			m.settle()
			m.requireTidy("in the end")
		})
	}
}

// Nothing is removed and nothing added while another secret than the current
// one does the work.
func TestFallbackIsKept(t *testing.T) {
	m := newMount(t)
	m.rotated()
	require.NoError(t, m.adobe.RemoveSecret(clientID, m.stored().UUID))
	_, err := m.rotate()
	require.ErrorContains(t, err, "vault write <mount>/config/default client_secret=@secret.txt")
	m.ticks(90 * time.Minute)
	require.Contains(t, m.stored().RotationFailure.Text, "No secret was removed")
	require.Len(t, m.uuids(), 1)
	m.requireSound("by fallback")
	m.requireTokensDead()

	// A secret that works ends it.
	theirs, err := m.adobe.AddSecret(clientID)
	require.NoError(t, err)
	m.writeSecret(theirs.Value)
	m.ticks(2 * time.Hour)
	m.requireTidy("after the operator's write")
	require.Nil(t, m.stored().RotationFailure)
}

// At the limit, the secret that works makes no room.
func TestNoRoomIsMadeOfTheWorkingSecret(t *testing.T) {
	m := newMount(t)
	m.rotated()
	current := string(m.stored().Current)
	before := m.uuids()
	err := m.rotateWith(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "invalid_client", Match: func(r *http.Request) bool {
		return r.PostForm.Get("client_secret") == current
	}})
	require.ErrorContains(t, err, "No secret was removed")
	require.Equal(t, before, m.uuids())
}

func TestConsoleVariants(t *testing.T) {
	for name, options := range map[string]func(*emulator.Options){
		"200 everywhere":        func(o *emulator.Options) { o.ConsoleOK = true },
		"a bare new secret":     func(o *emulator.Options) { o.BareNewSecret = true },
		"limit answered as 400": func(o *emulator.Options) { o.SecretLimitStatus = 400 },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t, options)
			require.Equal(t, m.rotated().UUID, m.uuids()[1])
			require.Equal(t, m.rotated().UUID, m.uuids()[1])
			require.Empty(t, m.wal())
			m.requireSound("after two rotations")
			m.settle()
			m.requireTidy("in the end")
		})
	}
}

func TestEvents(t *testing.T) {
	m := newMount(t)
	m.write(func(c *credential.Credential) { c.PreviousSecretTTL = 0 })
	first := m.uuids()[0]
	got := m.rotated()
	_ = m.rotateWith(emulator.Fault{Method: "GET", Status: 500})
	events := m.events.String()
	require.Contains(t, events, "secret-rotate config/default [config default client_secret_uuid "+got.UUID+"]")
	require.Contains(t, events, "secret-remove config/default [config default client_secret_uuid "+first+"]")
	require.Contains(t, events, "secret-rotate-fail config/default [config default error Developer Console listing")
}

// An operator's new secret takes the place of one that the engine added, which
// is not left behind.
func TestOperatorReplacesARotatedSecret(t *testing.T) {
	m := newMount(t)
	m.write(func(c *credential.Credential) { c.PreviousSecretTTL = 0 })
	m.rotated()
	theirs, err := m.adobe.AddSecret(clientID)
	require.NoError(t, err)
	m.writeSecret(theirs.Value)
	m.tick()
	require.Equal(t, []string{theirs.UUID}, m.uuids())
	m.requireTidy("replaced")
}

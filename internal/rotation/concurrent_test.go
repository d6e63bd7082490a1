// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// holdUp has requests wait until goOn is called. Arrived is closed by the
// first.
func (m *mount) holdUp(fault emulator.Fault) (arrived <-chan struct{}, goOn func()) {
	m.t.Helper()
	came, gate := make(chan struct{}), make(chan struct{})
	var once sync.Once
	matches := fault.Match
	fault.Match = func(r *http.Request) bool {
		if matches == nil || matches(r) {
			once.Do(func() { close(came) })
			<-gate
		}
		return false
	}
	remove := m.adobe.Inject(fault)
	return came, sync.OnceFunc(func() { close(gate); remove() })
}

// A console that takes its time: whoever asked gets an answer, the rotation
// goes on, and asking again gets its outcome, not one more rotation.
func TestSlowConsole(t *testing.T) {
	m := newMount(t)
	arrived, goOn := m.holdUp(emulator.Fault{Method: "POST", Path: secretsPath})
	done := m.inBackground()
	<-arrived
	m.waitFor(2)
	m.clock.Advance(answerWithin - time.Second)
	select {
	case <-done:
		require.Fail(t, "answered too early")
	default:
	}
	m.clock.Advance(time.Second)
	got := <-done
	require.ErrorIs(t, got.err, ErrUnderWay)
	var asked *advice.Error
	require.ErrorAs(t, got.err, &asked)
	require.Equal(t, "vault read <mount>/config/default", asked.Command)
	require.ErrorContains(t, got.err, "rotating again finishes it")
	require.Nil(t, m.stored().RotationFailure)

	// Meanwhile another one waits for the same.
	second := m.inBackground()
	m.waitFor(2)
	m.clock.Advance(answerWithin)
	require.ErrorIs(t, (<-second).err, ErrUnderWay)

	goOn()
	third := m.rotated()
	require.Equal(t, m.stored().UUID, third.UUID)
	require.NotNil(t, third.Previous)
	require.Equal(t, 1, m.posts())
	m.clock.Advance(time.Minute)
	fourth := m.rotated()
	require.NotEqual(t, third.UUID, fourth.UUID, "that was claimed")
	require.Equal(t, 2, m.posts())
}

// An outcome that nobody claims is that of one rotation for a quarter of an
// hour, and only as long as its secret is the current one.
func TestUnclaimedOutcome(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(*mount)
		rotations int
	}{
		"asked again":             {func(m *mount) { m.clock.Advance(14 * time.Minute) }, 1},
		"asked again much later":  {func(m *mount) { m.clock.Advance(16 * time.Minute) }, 2},
		"another was written":     {func(m *mount) { m.writeSecret(firstSecret) }, 2},
		"another rotation failed": {func(m *mount) { m.write(func(c *credential.Credential) { c.UUID = "gone" }) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			arrived, goOn := m.holdUp(emulator.Fault{Method: "POST", Path: secretsPath})
			ctx, cancel := context.WithCancel(context.Background())
			gone := make(chan error)
			go func() {
				_, err := m.Rotate(ctx, "default")
				gone <- err
			}()
			<-arrived
			cancel()
			require.ErrorIs(t, <-gone, context.Canceled)
			r, mine := m.begin("default", tidy, false)
			require.False(t, mine, "it goes on although the client has gone")
			goOn()
			require.NoError(t, r.wait(context.Background()))
			require.NoError(t, r.err)
			test.meanwhile(m)
			_, _ = m.rotate()
			require.Equal(t, test.rotations, m.posts())
		})
	}
}

// Any number of callers at once: one rotation, and its outcome for all.
func TestConcurrentRotations(t *testing.T) {
	m := newMount(t)
	arrived, goOn := m.holdUp(emulator.Fault{Method: "GET", Path: secretsPath})
	var calls []<-chan outcome
	for range 10 {
		calls = append(calls, m.inBackground())
	}
	<-arrived
	m.waitFor(11) // each call's, and that of the run
	goOn()
	for _, call := range calls {
		got := <-call
		require.NoError(t, got.err)
		require.Equal(t, m.stored().UUID, got.result.UUID)
	}
	require.Equal(t, 1, m.posts())
	m.requireSound("rotated")
}

// A rotation by hand while the periodic work is under way comes after it,
// unless that makes a new secret the current one.
func TestRotationDuringPeriodicWork(t *testing.T) {
	m := newMount(t)
	m.rotated()
	m.clock.Advance(time.Hour)
	arrived, goOn := m.holdUp(emulator.Fault{Method: "DELETE"})
	go func() { _ = m.Tick(context.Background()) }()
	<-arrived
	done := m.inBackground()
	m.waitFor(2)
	goOn()
	require.NoError(t, (<-done).err)
	require.Equal(t, 2, m.posts())

	m.settle()
	_ = m.rotateWith(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: proofs})
	pending := m.stored().Pending.UUID
	m.clock.Advance(time.Minute)
	arrived, goOn = m.holdUp(emulator.Fault{Path: emulator.TokenPath, Match: proofs})
	go func() { _ = m.Tick(context.Background()) }()
	<-arrived
	done = m.inBackground()
	m.waitFor(2)
	goOn()
	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, pending, got.result.UUID)
	require.Equal(t, 3, m.posts(), "the pending one was enough")
}

// The config's lock is free while Adobe is asked, whatever is asked.
func TestNoLockIsHeldAcrossTheNetwork(t *testing.T) {
	m := newMount(t)
	m.write(func(c *credential.Credential) { c.PreviousSecretTTL = 0 })
	asked := 0
	remove := m.adobe.Inject(emulator.Fault{Match: func(*http.Request) bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		unlock, err := m.store.Lock(ctx, "default")
		if err != nil {
			return true
		}
		unlock()
		asked++
		return false
	}})
	defer remove()
	m.rotated()
	require.GreaterOrEqual(t, asked, 7)
}

// An operator's write of a setting while a rotation is under way counts.
func TestSettingWrittenMeanwhile(t *testing.T) {
	m := newMount(t)
	arrived, goOn := m.holdUp(emulator.Fault{Path: emulator.TokenPath, Match: proofs})
	done := m.inBackground()
	<-arrived
	m.write(func(c *credential.Credential) { c.PreviousSecretTTL, c.OrgID = 24*time.Hour, "x@AdobeOrg" })
	goOn()
	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, m.clock.Now().Add(24*time.Hour), got.result.Previous.RemoveAt)
	require.Equal(t, "x@AdobeOrg", m.stored().OrgID)
	require.Equal(t, 1, m.posts())
}

// The config becomes another while the answer to the adding is on its way: the
// secret is not stored there, and not left behind.
func TestConfigChangedWhileASecretIsAdded(t *testing.T) {
	for _, bare := range []bool{false, true} {
		for name, change := range map[string]func(*mount){
			"another secret": func(m *mount) { m.writeSecret("p8e-whatever") },
			"another client": func(m *mount) {
				m.write(func(c *credential.Credential) {
					c.ClientID, c.CredentialID, c.Secrets = otherClient, "777", credential.Secrets{Current: otherSecret, Set: m.clock.Now()}
				})
			},
			"another server": func(m *mount) {
				m.write(func(c *credential.Credential) { c.ConsoleURL = "https://127.0.0.1:1" })
			},
			"deleted": func(m *mount) { require.NoError(m.t, m.store.Delete(context.Background(), "default")) },
		} {
			t.Run(fmt.Sprint(name, ", bare: ", bare), func(t *testing.T) {
				m := newMount(t, func(o *emulator.Options) { o.BareNewSecret = bare })
				first := m.uuids()[0]
				arrived, goOn := m.holdUp(emulator.Fault{Method: "POST", Path: secretsPath})
				done := m.inBackground()
				<-arrived
				change(m)
				before := m.stored()
				goOn()
				<-done
				require.Equal(t, []string{first}, m.uuids())
				require.Empty(t, m.wal())
				if before != nil && name != "another client" {
					after := m.stored()
					require.Equal(t, before.Current, after.Current)
					require.Nil(t, after.Pending)
				}
			})
		}
	}
}

// The same, and what was added cannot be removed at once: it stays on record.
func TestWhatWasAddedForAnotherConfigStaysOnRecord(t *testing.T) {
	m := newMount(t)
	first := m.uuids()[0]
	noRemoval := m.adobe.Inject(emulator.Fault{Method: "DELETE", Status: 500})
	arrived, goOn := m.holdUp(emulator.Fault{Method: "POST", Path: secretsPath})
	done := m.inBackground()
	<-arrived
	m.write(func(c *credential.Credential) { c.CredentialID = "777" })
	goOn()
	require.Error(t, (<-done).err)
	require.Len(t, m.wal(), 1)
	require.Nil(t, m.stored().Pending)
	require.Contains(t, m.log.String(), "while its config was changed could not be removed")
	noRemoval()
	m.write(func(c *credential.Credential) { c.CredentialID = credentialID })
	require.Empty(t, m.rollback())
	require.Equal(t, []string{first}, m.uuids())
	require.Empty(t, m.wal())
}

// The config becomes another before the adding is sent: it is not.
func TestConfigChangedBeforeASecretIsAdded(t *testing.T) {
	m := newMount(t)
	m.storage.set(func(op, key string, call func() error) error {
		err := call()
		if op == "put" && key != "config/default" {
			m.storage.set(nil)
			m.write(func(c *credential.Credential) { c.ClientID, c.CredentialID = otherClient, "777" })
			m.writeSecret(otherSecret)
		}
		return err
	})
	got, err := m.rotate()
	require.NoError(t, err, "the config as it is now was rotated")
	require.Zero(t, m.posts())
	require.Equal(t, got.UUID, m.stored().UUID)
	require.Equal(t, m.adobe.SecretsOf(otherClient)[1].UUID, got.UUID)
	require.Len(t, m.uuids(), 1)
	require.Empty(t, m.wal())
}

// A secret that is about to be removed is taken back by the operator: it is
// not.
func TestRetiredSecretTakenBackBeforeItsRemoval(t *testing.T) {
	m := newMount(t)
	m.rotated()
	m.clock.Advance(time.Hour)
	removed := m.uuids()[0]
	arrived, goOn := m.holdUp(emulator.Fault{Method: "GET", Path: secretsPath})
	ended := make(chan error)
	go func() { ended <- m.Tick(context.Background()) }()
	<-arrived
	m.writeSecret(firstSecret)
	goOn()
	require.NoError(t, <-ended)
	require.Contains(t, m.uuids(), removed)
	m.ticks(2 * time.Hour)
	require.Equal(t, []string{removed}, m.uuids())
	m.requireTidy("in the end")
}

// At each request to Adobe in turn, just before it takes effect, the operator
// puts a secret of their own in the place of the first one. Theirs counts.
func TestOperatorWritesAtEveryRequest(t *testing.T) {
	for _, bare := range []bool{false, true} {
		at := 0
		for wrote := true; wrote; at++ {
			m := newMount(t, func(o *emulator.Options) { o.BareNewSecret = bare })
			what := fmt.Sprintf("the operator wrote at request %d, bare answers: %v", at+1, bare)
			wrote = false
			var theirs emulator.Secret
			seen := 0
			remove := m.adobe.Inject(emulator.Fault{Match: func(*http.Request) bool {
				seen++
				if seen != at+1 {
					return false
				}
				first := m.uuids()[0]
				require.NoError(t, m.adobe.RemoveSecret(clientID, first), what)
				var err error
				theirs, err = m.adobe.AddSecret(clientID)
				require.NoError(t, err, what)
				m.writeSecret(theirs.Value)
				m.write(func(c *credential.Credential) { c.UUID = theirs.UUID })
				wrote = true
				return false
			}})
			_, _ = m.rotate()
			remove()
			if !wrote {
				require.GreaterOrEqual(t, at, 6)
				break
			}
			c := m.stored()
			replaced := slices.ContainsFunc(c.Retired, func(s credential.Secret) bool { return s.UUID == theirs.UUID })
			require.True(t, c.UUID == theirs.UUID || replaced, "%s: theirs is forgotten", what)
			require.Contains(t, m.uuids(), theirs.UUID, what)
			m.requireSound(what)
			m.settle()
			m.requireTidy(what)
		}
	}
}

// Between the decision to remove a secret and its request's turn, the operator
// takes it back: nothing is sent.
func TestStepIsNotTakenForWhatChanged(t *testing.T) {
	m := newMount(t)
	m.rotated()
	m.clock.Advance(time.Hour)
	before := m.uuids()
	r := &run{Service: m.Service, name: "default", goal: tidy}
	ctx := context.Background()
	require.NoError(t, r.start(ctx))
	err := m.store.WithManagement(ctx, "default", r.state.Config, func(at *credential.Session) error {
		r.at = at
		require.NoError(t, r.look(ctx))
		decided := next(r.state)
		require.Equal(t, RemoveRetired, decided.Action)
		m.writeSecret(firstSecret)
		return r.take(ctx, decided)
	})
	require.ErrorIs(t, err, ErrChanged)
	require.Equal(t, before, m.uuids())
}

func TestSameSecrets(t *testing.T) {
	m := newMount(t)
	base := m.config()
	base.UUID, base.Pending, base.Retired = "A", &credential.Secret{Value: "p", UUID: "P"}, []credential.Secret{{Value: "r", UUID: "R"}}
	for name, test := range map[string]struct {
		change func(*credential.Credential)
		same   bool
	}{
		"nothing":          {func(*credential.Credential) {}, true},
		"a setting":        {func(c *credential.Credential) { c.PreviousSecretTTL++ }, true},
		"how it failed":    {func(c *credential.Credential) { c.RotationFailure = &credential.Failure{} }, true},
		"client":           {func(c *credential.Credential) { c.ClientID = "x" }, false},
		"credential":       {func(c *credential.Credential) { c.CredentialID = "x" }, false},
		"organisation":     {func(c *credential.Credential) { c.ConsoleOrgID = "1" }, false},
		"type":             {func(c *credential.Credential) { c.Type = credential.WebApp }, false},
		"IMS":              {func(c *credential.Credential) { c.IMSURL = "x" }, false},
		"console":          {func(c *credential.Credential) { c.ConsoleURL = "x" }, false},
		"current":          {func(c *credential.Credential) { c.Current = "x" }, false},
		"uuid":             {func(c *credential.Credential) { c.UUID = "x" }, false},
		"no pending":       {func(c *credential.Credential) { c.Pending = nil }, false},
		"another pending":  {func(c *credential.Credential) { c.Pending = &credential.Secret{Value: "x", UUID: "P"} }, false},
		"a named pending":  {func(c *credential.Credential) { c.Pending = &credential.Secret{Value: "p", UUID: "x"} }, false},
		"one more retired": {func(c *credential.Credential) { c.Retired = append(c.Retired, credential.Secret{UUID: "x"}) }, false},
		"another retired":  {func(c *credential.Credential) { c.Retired = []credential.Secret{{Value: "r", UUID: "x"}} }, false},
	} {
		other := *base
		other.Retired = slices.Clone(base.Retired)
		test.change(&other)
		require.Equal(t, test.same, sameSecrets(base, &other), name)
	}
}

// The mount is tainted while the intent is put on record: nothing is added.
func TestTaintedJustBeforeASecretIsAdded(t *testing.T) {
	m := newMount(t)
	m.storage.set(func(op, key string, call func() error) error {
		if op == "put" && strings.HasPrefix(key, "wal/") {
			m.node.set(true, true)
		}
		return call()
	})
	_, err := m.rotate()
	require.ErrorContains(t, err, "removed or moved")
	require.Zero(t, m.posts())
	require.Empty(t, m.wal())
}

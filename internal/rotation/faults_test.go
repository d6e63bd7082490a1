// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// listing is a fault: the console's list as it was with those secrets.
func listing(secrets ...emulator.Secret) emulator.Fault {
	var items []string
	for _, s := range secrets {
		items = append(items, fmt.Sprintf(`{"uuid":%q,"created_at":"%d"}`, s.UUID, s.CreatedAt.UnixMilli()))
	}
	return emulator.Fault{Method: "GET", Path: secretsPath,
		Body: fmt.Sprintf(`{"client_id":%q,"client_secrets":[%s]}`, clientID, strings.Join(items, ","))}
}

// The operator (Terraform, say) writes the first secret again while it is the
// previous one.
func TestSecretTakenBack(t *testing.T) {
	m := newMount(t)
	m.rotated()
	m.clock.Advance(time.Minute)
	m.writeSecret(firstSecret)
	m.ticks(90 * time.Minute)
	m.requireTidy("taken back")
	require.Equal(t, firstSecret, string(m.stored().Current))
}

// A secret of the engine is taken back by hand, then replaced: it must not be
// left behind.
func TestOwnSecretTakenBackAndReplaced(t *testing.T) {
	m := newMount(t)
	m.rotated()
	own := m.adobe.SecretsOf(clientID)[1]
	m.rotated() // own is the previous one
	m.writeSecret(own.Value)
	m.ticks(2 * time.Hour)
	m.requireTidy("taken back")
	theirs, err := m.adobe.AddSecret(clientID)
	require.NoError(t, err)
	m.writeSecret(theirs.Value)
	m.ticks(2 * time.Hour)
	require.Equal(t, []string{theirs.UUID}, m.uuids(), "a secret that the engine added is left")
}

// The list does not have the pending secret yet.
func TestListLagsBehindPending(t *testing.T) {
	m := newMount(t)
	_ = m.rotateWith(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: proofs})
	pending := m.stored().Pending.UUID
	lag := m.adobe.Inject(listing(m.adobe.SecretsOf(clientID)[0]))
	gone := m.adobe.Inject(emulator.Fault{Method: "DELETE", Status: 404, Code: "404000"})
	m.clock.Advance(time.Minute)
	require.Equal(t, pending, m.rotated().UUID)
	lag()
	gone()
	m.requireSound("promoted")
	m.settle()
	m.requireTidy("in the end")
}

// The list does not have the pending secret yet, whose answer had no uuid.
func TestListLagsBehindABarePending(t *testing.T) {
	m := newMount(t, func(o *emulator.Options) { o.BareNewSecret = true })
	lag := listing(m.adobe.SecretsOf(clientID)[0])
	err := m.rotateWith(lag)
	require.ErrorContains(t, err, "does not list it yet")
	require.Len(t, m.wal(), 1, "which tells it from others")
	m.requireSound("not named")
	require.NotEmpty(t, m.rollback(), "it is not lost")

	// Somebody makes room and uses it before the list is complete.
	m.clock.Advance(time.Minute)
	require.NoError(t, m.adobe.RemoveSecret(clientID, m.uuids()[0]))
	foreign, err := m.adobe.AddSecret(clientID)
	require.NoError(t, err)
	got := m.rotated()
	require.Equal(t, m.uuids()[0], got.UUID)
	m.settle()
	require.Empty(t, m.wal())
	require.Contains(t, m.uuids(), foreign.UUID)
}

// The list lags behind by half a minute, and the answer was lost.
func TestListLagsBehindLost(t *testing.T) {
	m := newMount(t)
	first := m.adobe.SecretsOf(clientID)[0]
	lag := m.adobe.Inject(listing(first))
	_ = m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
	require.Len(t, m.uuids(), 2)
	m.clock.Advance(25 * time.Second)
	_, err := m.rotate()
	require.Error(t, err, "Adobe has two already")
	lag()
	m.requireSound("lost")
	m.rotated()
	m.requireSound("rotated")
	m.settle()
	m.requireTidy("in the end")
}

// The console still lists what was just removed.
func TestListLagsBehindARemoval(t *testing.T) {
	m := newMount(t)
	m.rotated()
	err := m.rotateWith(listing(m.adobe.SecretsOf(clientID)...))
	require.ErrorContains(t, err, "still lists")
	require.Len(t, m.uuids(), 1)
	require.NotContains(t, err.Error(), "Nothing was changed")
	m.rotated()
	m.requireSound("rotated")
}

// The console answers 404 to everything for a while.
func TestConsoleAnswers404(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"its own": {Path: "/console/*", Status: 404, Code: "404000", Description: "no Route matched"},
		"a page":  {Path: "/console/*", Status: 404, Body: "<html>"},
		"a file":  {Path: "/console/*", Method: "DELETE", Status: 404, Body: "404 page not found", ContentType: "text/plain"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.rotated()
			m.clock.Advance(time.Hour)
			all := m.adobe.Inject(fault)
			m.tick()
			all()
			require.Len(t, m.stored().Retired, 1)
			m.settle()
			m.requireTidy("in the end")
		})
	}
}

// Storage takes its time to record the intent: the request is not sent later
// than the intent says.
func TestSlowStorage(t *testing.T) {
	m := newMount(t)
	m.storage.set(func(op, key string, call func() error) error {
		if op == "put" && strings.HasPrefix(key, "wal/") {
			m.clock.Advance(20 * time.Second)
		}
		return call()
	})
	_, err := m.rotate()
	require.ErrorIs(t, err, errTooLate)
	require.Zero(t, m.posts())
	require.Empty(t, m.wal())
	m.storage.set(nil)
	m.rotated()
}

// The operator writes a secret while another is pending, which Adobe named or
// not.
func TestOperatorWritesWhileOneIsPending(t *testing.T) {
	for _, bare := range []bool{false, true} {
		for name, uuid := range map[string]func(emulator.Secret) string{
			"with its uuid": func(s emulator.Secret) string { return s.UUID },
			"without":       func(emulator.Secret) string { return "" },
		} {
			t.Run(fmt.Sprint(name, ", bare: ", bare), func(t *testing.T) {
				m := newMount(t, func(o *emulator.Options) { o.BareNewSecret = bare })
				_ = m.rotateWith(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: proofs})
				require.NotNil(t, m.stored().Pending)
				m.clock.Advance(time.Minute)
				require.NoError(t, m.adobe.RemoveSecret(clientID, m.uuids()[0]))
				theirs, err := m.adobe.AddSecret(clientID)
				require.NoError(t, err)
				m.writeSecret(theirs.Value)
				m.write(func(c *credential.Credential) { c.UUID = uuid(theirs) })
				for range 5 {
					m.ticks(time.Hour)
					_ = m.rollback()
				}
				require.Equal(t, theirs.Value, string(m.stored().Current), "what the operator wrote was replaced")
				require.Nil(t, m.stored().RotationFailure)
				require.Contains(t, m.uuids(), theirs.UUID)
				if !bare || uuid(theirs) != "" {
					m.requireTidy("in the end")
				}
				m.requireCurrentWorks("in the end")
			})
		}
	}
}

// The operator takes the value of the pending secret from the console's page.
func TestPendingTakenByHand(t *testing.T) {
	m := newMount(t)
	_ = m.rotateWith(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: proofs})
	pending := m.adobe.SecretsOf(clientID)[1]
	m.writeSecret(pending.Value)
	m.ticks(90 * time.Minute)
	require.Contains(t, m.uuids(), pending.UUID)
	c := m.stored()
	require.Equal(t, pending.UUID, c.UUID)
	require.Empty(t, c.Retired)
	m.requireSound("taken", m.uuids()[0])
}

// The operator takes the value of a lost secret from the console's page: it is
// in use, although the console does not say so yet.
func TestLostTakenByHand(t *testing.T) {
	m := newMount(t)
	removeList := m.adobe.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Skip: 1, Status: 500})
	_ = m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
	removeList()
	lost := m.adobe.SecretsOf(clientID)[1]
	m.clock.Advance(time.Minute)
	m.writeSecret(lost.Value)
	_, err := m.rotate()
	require.ErrorContains(t, err, "client_secret_uuid=...")
	require.NotEmpty(t, m.rollback())
	require.Contains(t, m.uuids(), lost.UUID)

	m.write(func(c *credential.Credential) { c.UUID = lost.UUID })
	require.NoError(t, m.adobe.RemoveSecret(clientID, m.uuids()[0]))
	m.settle()
	m.requireTidy("named by the operator")
}

// Adobe's clock is ahead, or behind.
func TestClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			m := newMount(t)
			m.adobe, m.url = startAdobe(t, clockwork.NewFakeClockAt(m.clock.Now().Add(skew)))
			m.write(func(c *credential.Credential) { c.IMSURL, c.ConsoleURL = m.url, m.url })
			removeList := m.adobe.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Skip: 1, Status: 500})
			_ = m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
			removeList()
			m.rotated()
			m.requireSound("rotated")
			require.Empty(t, m.wal())
			require.Len(t, m.uuids(), 2)
		})
	}
}

// A console that does not tell when a secret was created: rotations work, and a
// lost secret, which cannot be told from somebody else's, is left to the
// operator.
func TestConsoleWithoutMoments(t *testing.T) {
	m := newMount(t)
	front := withoutMoments(t, m.url)
	m.write(func(c *credential.Credential) { c.ConsoleURL = front })
	m.rotated()
	m.rotated()
	m.settle()
	m.requireTidy("rotated twice")
	_ = m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
	lost := m.uuids()[1]
	m.settle()
	require.Contains(t, m.uuids(), lost)
	require.Empty(t, m.wal())
	_, err := m.rotate()
	require.ErrorContains(t, err, lost)
	m.requireSound("left", lost)
}

func withoutMoments(t *testing.T, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ModifyResponse = func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		body = bytes.ReplaceAll(body, []byte(`"created_at"`), []byte(`"made_at"`))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Length", fmt.Sprint(len(body)))
		r.Header.Del("Date")
		return nil
	}
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil // else the server adds one
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// The numbers in the console's URL are another credential's by now: what the
// request may have left there waits until they are put right, for a week.
func TestIntentOfAnotherCredential(t *testing.T) {
	m := newMount(t)
	removeList := m.adobe.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Skip: 1, Status: 500})
	_ = m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
	removeList()
	m.write(func(c *credential.Credential) { c.CredentialID = "999999" })
	m.clock.Advance(time.Hour)
	asked := m.adobe.Count("")
	require.ErrorContains(t, m.rollback()[0], "another credential now")
	require.Equal(t, asked, m.adobe.Count(""), "nobody can be asked")
	m.write(func(c *credential.Credential) { c.CredentialID = credentialID })
	require.Empty(t, m.rollback())
	m.requireTidy("put right")

	// If that never happens, the log says so in the end.
	_ = m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, Drop: true})
	m.write(func(c *credential.Credential) { c.ClientID = otherClient })
	require.NotEmpty(t, m.rollback())
	m.clock.Advance(8 * 24 * time.Hour)
	require.Empty(t, m.rollback())
	require.Empty(t, m.wal())
	require.Contains(t, m.log.String(), "cannot be cleared up")
}

func TestRollbackOfWhatIsNotOurs(t *testing.T) {
	m := newMount(t)
	require.ErrorContains(t, m.Rollback(context.Background(), "something else", nil), "unknown kind")
	require.Error(t, m.Rollback(context.Background(), intentKind, "no intent"))
	// The config was deleted: nobody can be asked, and Vault need not call again.
	require.NoError(t, m.Rollback(context.Background(), intentKind, map[string]any{"config": "gone", "client_id": "x"}))
	require.Contains(t, m.log.String(), "cannot be cleared up")
}

// An entry of the version before, which had less in it, is cleared up too.
func TestIntentOfAnOlderVersion(t *testing.T) {
	m := newMount(t)
	first := m.uuids()[0]
	lost, err := m.adobe.AddSecret(clientID)
	require.NoError(t, err)
	require.NoError(t, m.Rollback(context.Background(), intentKind, map[string]any{
		"config": "default", "client_id": clientID, "known": []any{first},
		"from": lost.CreatedAt.Add(-time.Second).Format(time.RFC3339Nano), "until": lost.CreatedAt.Add(time.Second).Format(time.RFC3339Nano),
	}))
	require.Contains(t, m.uuids(), lost.UUID, "Vault has it in storage")
	id := m.putWAL(intent{Config: "default", ClientID: clientID, Known: []string{first},
		From: lost.CreatedAt.Add(-time.Second), Until: lost.CreatedAt.Add(time.Second)})
	require.NotEmpty(t, id)
	require.Empty(t, m.rollback())
	require.NotContains(t, m.uuids(), lost.UUID)
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// The operator (Terraform, say) writes the first secret again while it is the previous one.
func TestRotationFaultSecretTakenBack(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	m.clock.Advance(time.Minute)
	m.write("config/default", map[string]any{"client_secret": testClientSecret})
	for range 90 {
		m.clock.Advance(time.Minute)
		require.NoError(t, m.tick())
	}
	t.Logf("at Adobe: %v; stored uuid %q", m.uuids(), m.stored().SecretUUID)
	require.NotEmpty(t, m.uuids())
	m.requireWorkingSecret()
}

// The management token with previous_secret_ttl=0.
func TestRotationFaultManagementTokenWithoutGrace(t *testing.T) {
	m := newRotatingMount(t)
	m.write("config/default", map[string]any{"previous_secret_ttl": 0})
	m.rotate()
	requireManagementTokensDead(m)
}

// The current secret was removed by somebody; the retired one is used and then removed.
func TestRotationFaultManagementTokenOfAFallback(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	m.clock.Advance(time.Hour)
	require.NoError(t, m.tick())
	requireManagementTokensDead(m)
}

// An exclusive read is under way while a rotation without grace happens.
func TestRotationFaultExclusiveReadDuringRotationWithoutGrace(t *testing.T) {
	m := newRotatingMount(t)
	m.write("config/default", map[string]any{"previous_secret_ttl": 0})
	m.write("roles/single", map[string]any{"scopes": "AdobeID", "exclusive": true})
	arrived, goOn := make(chan struct{}), make(chan struct{})
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Times: 1, Status: 503, RetryAfter: "0", Match: func(r *http.Request) bool {
		if r.PostForm.Get("scope") == "AdobeID" {
			close(arrived)
			<-goOn
			return true
		}
		return false
	}})
	defer remove()
	m.write("config/default", map[string]any{"max_retries": 1})
	result := make(chan error)
	go func() {
		resp, err := m.handle(logical.ReadOperation, "token/single", nil)
		if err == nil {
			err = resp.Error()
		}
		result <- err
	}()
	<-arrived
	m.rotate()
	close(goOn)
	require.NoError(t, <-result)
}

// The list does not have the pending secret yet.
func TestRotationFaultListLagsBehindPending(t *testing.T) {
	m := newRotatingMount(t)
	// Interrupted right after storing the pending secret: IMS has a hiccup.
	fault := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: func(r *http.Request) bool {
		return r.PostForm.Get("scope") == verifyScope
	}})
	_, _ = m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	fault()
	require.NotNil(t, m.stored().Pending)
	require.Empty(t, walKeys(m))
	added := m.stored().Pending.UUID
	first := m.ims.SecretsOf(testClientID)[0]
	lag := m.ims.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Body: fmt.Sprintf(
		`{"client_id":%q,"client_secrets":[{"uuid":%q,"created_at":"%d"}]}`, testClientID, first.UUID, first.CreatedAt.UnixMilli())})
	gone := m.ims.Inject(emulator.Fault{Method: "DELETE", Status: 404})
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	t.Log(resp, err)
	lag()
	gone()
	m.clock.Advance(2 * time.Minute)
	resp, err = m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	t.Log(resp, err, "added", added)
	m.requireKnown()
	require.NoError(t, resp.Error())
}

// requireKnown wants no secret at Adobe that the config does not know.
func (m *mount) requireKnown() {
	m.t.Helper()
	c := m.stored()
	known := []string{c.SecretUUID}
	for _, r := range c.Retired {
		known = append(known, r.UUID)
	}
	if c.Pending != nil {
		known = append(known, c.Pending.UUID)
	}
	require.Subset(m.t, known, m.uuids(), "rotation_error: %v", m.read("config/default").Data["rotation_error"])
}

// The console answers 404 to all removals for a while.
func TestRotationFaultConsoleAnswers404(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	m.clock.Advance(time.Hour)
	all := m.ims.Inject(emulator.Fault{Path: "/console/*", Status: 404, Code: "404000", Description: "no Route matched"})
	require.NoError(t, m.tick())
	all()
	for range 10 {
		m.clock.Advance(time.Hour)
		require.NoError(t, m.tick())
	}
	t.Log(m.uuids(), m.read("config/default").Data)
	m.requireKnown()
	require.Len(t, m.uuids(), 1)
}

// Storage takes its time to store the intent, and then the answer is lost.
func TestRotationFaultSlowIntent(t *testing.T) {
	m := newRotatingMount(t)
	m.storage.mu.Lock()
	m.storage.fault = func(op, key string) error {
		if op == "put" && strings.HasPrefix(key, "wal/") {
			m.clock.Advance(20 * time.Second)
		}
		return nil
	}
	m.storage.mu.Unlock()
	remove := m.ims.Inject(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
	_, _ = m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	remove()
	m.storage.heal()
	for range 5 {
		m.clock.Advance(time.Hour)
		_, _ = m.handle(logical.RollbackOperation, "", map[string]any{"immediate": true})
	}
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	t.Log(resp, err, m.uuids())
	m.requireKnown()
	require.NoError(t, resp.Error())
}

// The list lags behind by 30 s, and the answer is lost.
func TestRotationFaultListLagsBehindLost(t *testing.T) {
	m := newRotatingMount(t)
	first := m.ims.SecretsOf(testClientID)[0]
	remove := m.ims.Inject(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
	_, _ = m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	remove()
	m.clock.Advance(25 * time.Second)
	lag := m.ims.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Body: fmt.Sprintf(
		`{"client_id":%q,"client_secrets":[{"uuid":%q,"created_at":"%d"}]}`, testClientID, first.UUID, first.CreatedAt.UnixMilli())})
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	t.Log(resp, err)
	lag()
	for range 5 {
		m.clock.Advance(time.Minute)
		_, _ = m.handle(logical.RollbackOperation, "", map[string]any{"immediate": true})
	}
	resp, err = m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	t.Log(resp, err, m.uuids())
	m.requireKnown()
}

// The operator writes a secret while another is pending.
func TestRotationFaultOperatorWritesDuringPending(t *testing.T) {
	m := newRotatingMount(t)
	m.ims.SetSecretDelay(10 * time.Minute)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: func(r *http.Request) bool {
		return r.PostForm.Get("scope") == verifyScope
	}})
	m.refused(502, logical.UpdateOperation, "config/default/rotate", nil)
	remove()
	require.NotNil(t, m.stored().Pending)
	m.ims.SetSecretDelay(0)
	require.NoError(t, m.ims.RemoveSecret(testClientID, m.uuids()[0]))
	theirs, err := m.ims.AddSecret(testClientID)
	require.NoError(t, err)
	m.write("config/default", map[string]any{"client_secret": theirs.Value, "client_secret_uuid": theirs.UUID})
	for range 120 {
		m.clock.Advance(time.Minute)
		require.NoError(t, m.tick())
	}
	t.Log(m.uuids(), "theirs", theirs.UUID, m.read("config/default").Data)
	require.Contains(t, m.uuids(), theirs.UUID, "the operator's own secret was removed")
	require.Equal(t, theirs.Value, string(m.stored().ClientSecret), "what the operator wrote was replaced")
}

// The same, where the console's answer has no uuid.
func TestRotationFaultOperatorReplacesABarePending(t *testing.T) {
	m := newRotatingMount(t)
	m.useAdobe(emulator.Options{BareNewSecret: true, SecretDelay: 30 * 24 * time.Hour})
	rotated := make(chan struct{})
	go func() {
		defer close(rotated)
		_, _ = m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	}()
	for done := false; !done; {
		select {
		case <-rotated:
			done = true
		case <-time.After(time.Millisecond):
			m.clock.Advance(100 * time.Millisecond)
		}
	}
	require.NotNil(t, m.stored().Pending)
	// The message says the new secret does not work: the operator replaces it.
	require.NoError(t, m.ims.RemoveSecret(testClientID, m.uuids()[1]))
	m.ims.SetSecretDelay(0)
	theirs, err := m.ims.AddSecret(testClientID)
	require.NoError(t, err)
	m.write("config/default", map[string]any{"client_secret": theirs.Value})
	for range 180 {
		m.clock.Advance(time.Minute)
		require.NoError(t, m.tick())
	}
	t.Log(m.uuids(), "theirs", theirs.UUID)
	require.Contains(t, m.uuids(), theirs.UUID)
}

// The message about proving.
func TestRotationFaultProvingMessage(t *testing.T) {
	m := newRotatingMount(t)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: func(r *http.Request) bool {
		return r.PostForm.Get("scope") == verifyScope
	}})
	m.refused(502, logical.UpdateOperation, "config/default/rotate", nil)
	m.ims.ResetCounters()
	for range 60 {
		m.clock.Advance(time.Minute)
		require.NoError(t, m.tick())
	}
	remove()
	t.Log("in 60 minutes the pending secret was tried", m.ims.Count(secretsPath), m.ims.Count(emulator.InvalidatePath), m.read("config/default").Data["rotation_error"])
	require.NotContains(t, m.read("config/default").Data["rotation_error"], "every minute")
}

// Rotated, and the removal failed.
func TestRotationFaultRemovalFails(t *testing.T) {
	m := newRotatingMount(t)
	m.write("config/default", map[string]any{"previous_secret_ttl": 0})
	remove := m.ims.Inject(emulator.Fault{Method: "DELETE", Status: 500})
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	t.Log(resp, err, m.read("config/default").Data)
	remove()
	m.clock.Advance(time.Minute)
	require.NoError(t, m.tick())
	require.Len(t, m.uuids(), 1)
	m.requireWorkingSecret()
	require.NotContains(t, m.read("config/default").Data, "rotation_error")
	require.NoError(t, err, "the secret was rotated")
}

// The secret in use was removed, a foreign one added, and IMS still accepts the old one.
// Rotating what cannot rotate leaves an error for good.
func TestRotationFaultNoteOnConfigThatCannotRotate(t *testing.T) {
	m := newServingMount(t)
	m.refused(400, logical.UpdateOperation, "config/default/rotate", nil)
	require.NotContains(t, m.read("config/default").Data, "rotation_error")
}

// The client goes away in the middle of the adding.
func TestRotationFaultClientGoesAway(t *testing.T) {
	m := newRotatingMount(t)
	ctx, cancel := context.WithCancel(t.Context())
	remove := m.ims.Inject(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Status: 201, Match: func(*http.Request) bool {
		cancel()
		return false
	}})
	defer remove()
	req := &logical.Request{Operation: logical.UpdateOperation, Path: "config/default/rotate", Storage: m.storage, MountPoint: "adobeims/"}
	resp, err := m.backend.HandleRequest(ctx, req)
	t.Log(resp, err, m.uuids(), m.read("config/default").Data)
	m.clock.Advance(time.Minute)
	m.rotate()
	m.requireKnown()
	m.requireWorkingSecret()
}

// Clock skew: Adobe's clock is 10 minutes ahead, or behind.
func TestRotationFaultClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			m := newRotatingMount(t)
			theirs := clockwork.NewFakeClockAt(m.clock.Now().Add(skew))
			adobe := emulator.New(emulator.Options{Clock: theirs})
			adobe.AddClient(emulator.Client{ID: testClientID, Secrets: []string{testClientSecret}, ConsoleOrgID: testConsoleOrg, CredentialID: testCredentialID})
			u, err := adobe.Start("")
			require.NoError(t, err)
			t.Cleanup(adobe.Stop)
			m.write("config/default", map[string]any{"ims_url": u, "console_url": u, "client_secret": testClientSecret})
			m.ims = adobe
			remove := m.ims.Inject(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
			m.refused(502, logical.UpdateOperation, "config/default/rotate", nil)
			remove()
			m.rotate()
			m.requireWorkingSecret()
			m.requireKnown()
			require.Empty(t, walKeys(m))
		})
	}
}

// List without created_at and without a Date.
func TestRotationFaultNoCreatedAt(t *testing.T) {
	m := newRotatingMount(t)
	front := stripping(t, m.imsURL)
	m.write("config/default", map[string]any{"console_url": front, "client_secret": testClientSecret})
	m.rotate()
	m.rotate()
	m.requireWorkingSecret()
	m.requireKnown()
	remove := m.ims.Inject(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
	m.clock.Advance(2 * time.Hour)
	require.NoError(t, m.tick())
	_, _ = m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	remove()
	for range 3 {
		m.clock.Advance(time.Hour)
		_, _ = m.handle(logical.RollbackOperation, "", map[string]any{"immediate": true})
	}
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	t.Log(resp, err, walKeys(m))
}

// stripping is a proxy that leaves created_at out.
func stripping(t *testing.T, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.ModifyResponse = func(r *http.Response) error {
		buf := make([]byte, 1<<16)
		n, _ := r.Body.Read(buf)
		text := strings.ReplaceAll(string(buf[:n]), `"created_at"`, `"made_at"`)
		r.Body = http.NoBody
		r.Header.Set("Content-Length", fmt.Sprint(len(text)))
		r.ContentLength = int64(len(text))
		r.Body = readCloser{strings.NewReader(text)}
		return nil
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.URL
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// The period is shorter than previous_secret_ttl.
func TestRotationFaultPeriodShorterThanGrace(t *testing.T) {
	m := newRotatingMount(t)
	m.write("config/default", map[string]any{"rotation_period": "10m", "previous_secret_ttl": "1h"})
	for range 120 {
		m.clock.Advance(time.Minute)
		require.NoError(t, m.tick())
		require.LessOrEqual(t, len(m.uuids()), 2)
	}
	m.requireWorkingSecret()
	m.requireKnown()
	require.NotContains(t, m.read("config/default").Data, "rotation_error")
}

// The config is deleted during a rotation, and WAL is left.
// Messages after a removal: "Nothing was changed".
func TestRotationFaultLagAfterRemoval(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	both := m.ims.SecretsOf(testClientID)
	lag := m.ims.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Body: fmt.Sprintf(
		`{"client_id":%q,"client_secrets":[{"uuid":%q,"created_at":"%d"},{"uuid":%q,"created_at":"%d"}]}`, testClientID,
		both[0].UUID, both[0].CreatedAt.UnixMilli(), both[1].UUID, both[1].CreatedAt.UnixMilli())})
	message := m.refused(400, logical.UpdateOperation, "config/default/rotate", nil)
	lag()
	require.Len(t, m.uuids(), 1)
	require.NotContains(t, message, "Nothing was changed")
}

// The operator removes the secret that they do not know: the engine's current one.
func TestRotationFaultCurrentRemovedAtAdobe(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	require.NoError(t, m.ims.RemoveSecret(testClientID, m.stored().SecretUUID))
	for range 90 {
		m.clock.Advance(time.Minute)
		require.NoError(t, m.tick())
	}
	t.Log(m.uuids(), m.read("config/default").Data["rotation_error"])
	_, err := m.delete("token/firefly")
	require.NoError(t, err)
	require.NotEmpty(t, m.token("firefly"))
}

// A secret that is not proven yet and that the operator takes from the console's page.
func TestRotationFaultPendingTakenByHand(t *testing.T) {
	m := newRotatingMount(t)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: func(r *http.Request) bool {
		return r.PostForm.Get("scope") == verifyScope
	}})
	m.refused(502, logical.UpdateOperation, "config/default/rotate", nil)
	remove()
	pending := m.ims.SecretsOf(testClientID)[1]
	m.write("config/default", map[string]any{"client_secret": pending.Value})
	for range 90 {
		m.clock.Advance(time.Minute)
		require.NoError(t, m.tick())
	}
	t.Log(m.uuids(), m.read("config/default").Data)
	require.Contains(t, m.uuids(), pending.UUID)
	require.Equal(t, pending.UUID, m.stored().SecretUUID)
	require.Empty(t, m.stored().Retired)
	m.requireWorkingSecret()
}

// At the limit, with a current secret that IMS does not accept, the one before does not make room.
func TestRotationFaultNoRoomMadeOfTheWorkingSecret(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	current := string(m.stored().ClientSecret)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "invalid_client", Match: func(r *http.Request) bool {
		return r.PostForm.Get("client_secret") == current
	}})
	defer remove()
	before := m.uuids()
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	t.Log(resp, err)
	require.Equal(t, before, m.uuids())
}

// A foreign secret that is added within the time of an interrupted adding, and not used.
func TestRotationFaultForeignWithinTheWindow(t *testing.T) {
	m := newRotatingMount(t)
	m.ims.Inject(emulator.Fault{Method: "POST", Path: secretsPath, Times: 1, Drop: true})
	m.refused(502, logical.UpdateOperation, "config/default/rotate", nil)
	m.clock.Advance(3 * time.Second)
	foreign, err := m.ims.AddSecret(testClientID)
	require.NoError(t, err)
	_, _ = m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	require.Contains(t, m.uuids(), foreign.UUID)
}

// The same, where the operator does not give the uuid.
func TestRotationFaultOperatorWritesDuringPendingWithoutUUID(t *testing.T) {
	m := newRotatingMount(t)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: func(r *http.Request) bool {
		return r.PostForm.Get("scope") == verifyScope
	}})
	m.refused(502, logical.UpdateOperation, "config/default/rotate", nil)
	remove()
	require.NotNil(t, m.stored().Pending)
	require.NoError(t, m.ims.RemoveSecret(testClientID, m.uuids()[0]))
	theirs, err := m.ims.AddSecret(testClientID)
	require.NoError(t, err)
	m.write("config/default", map[string]any{"client_secret": theirs.Value})
	for range 300 {
		m.clock.Advance(time.Minute)
		require.NoError(t, m.tick())
	}
	require.NotContains(t, m.read("config/default").Data, "rotation_error")
	require.Contains(t, m.uuids(), theirs.UUID, "the operator's own secret was removed")
	require.Equal(t, theirs.Value, string(m.stored().ClientSecret), "what the operator wrote was replaced")
	m.rotate()
}

// A secret of the engine is taken back by hand, then replaced: it must not be left behind.
func TestRotationFaultOwnSecretTakenBackAndReplaced(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	b := m.ims.SecretsOf(testClientID)[1]
	m.rotate() // B retired, C current
	m.write("config/default", map[string]any{"client_secret": b.Value})
	m.clock.Advance(2 * time.Hour)
	require.NoError(t, m.tick()) // C removed
	theirs, err := m.ims.AddSecret(testClientID)
	require.NoError(t, err)
	m.write("config/default", map[string]any{"client_secret": theirs.Value})
	m.clock.Advance(2 * time.Hour)
	require.NoError(t, m.tick())
	require.Equal(t, []string{theirs.UUID}, m.uuids(), "a secret that the engine added is left")
}

// The numbers in the URL are corrected after a rotation: what it retired is still to be removed.

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// eavesdropper is a server of somebody who may update a config, but is not to
// learn its secrets.
type eavesdropper struct {
	url string

	mu    sync.Mutex
	heard strings.Builder
}

func eavesdrop(t *testing.T) *eavesdropper {
	t.Helper()
	e := &eavesdropper{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		e.mu.Lock()
		fmt.Fprintln(&e.heard, r.Form, r.Header)
		e.mu.Unlock()
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
	}))
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

func (e *eavesdropper) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard.String()
}

// A new address needs a client secret, but any will do: the others that a
// rotation left must not be tried there.
func TestRotatedSecretsAreTriedNowhereElse(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	current := string(m.stored().Current)
	e := eavesdrop(t)
	m.write("config/default", map[string]any{"ims_url": e.url, "client_secret": "p8e-garbage", "verify": false})
	m.refused(400, logical.ReadOperation, "token/firefly", nil)
	require.Contains(t, e.String(), "p8e-garbage")
	require.NotContains(t, e.String(), current)
	require.NotContains(t, e.String(), testClientSecret)
}

func TestManagementTokenGoesNowhereElse(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	e := eavesdrop(t)
	m.write("config/default", map[string]any{"console_url": e.url, "client_secret": "p8e-garbage", "verify": false, "previous_secret_ttl": 0})
	m.clock.Advance(2 * time.Hour)
	require.NoError(t, m.tick())
	require.NotContains(t, e.String(), "Bearer")
}

// As a re-applied script does.
func TestSecretThatWasRotatedAwayIsRecognised(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	current := m.stored().Current
	for _, removed := range []bool{false, true} {
		for _, verify := range []bool{true, false} {
			resp := m.write("config/default", map[string]any{"client_secret": testClientSecret, "verify": verify})
			require.Contains(t, resp.Warnings[0], "a rotation replaced this one on 2026-11-22")
			require.Equal(t, current, m.stored().Current, "removed: %v, verify: %v", removed, verify)
		}
		m.clock.Advance(2 * time.Hour)
		require.NoError(t, m.tick())
		require.Equal(t, []string{m.stored().UUID}, m.uuids())
	}
}

func TestLastSecretThatWorksIsNotRemoved(t *testing.T) {
	for name, lose := range map[string]func(m *mount){
		"a typo": func(m *mount) {
			m.write("config/default", map[string]any{"client_secret": "p8e-typo", "verify": false})
		},
		"removed in the console": func(m *mount) {
			require.NoError(m.t, m.ims.RemoveSecret(testClientID, m.stored().UUID))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRotatingMount(t)
			original := m.uuids()[0]
			m.rotate()
			lose(m)
			m.clock.Advance(2 * time.Hour)
			require.NoError(t, m.tick())
			require.Contains(t, m.uuids(), original)
			require.NotEmpty(t, m.token("firefly"))
			require.Contains(t, m.log.String(), "IMS refuses the current client secret")
			require.Contains(t, m.read("config/default").Data["rotation_error"], "vault write adobeims/config/default client_secret=@secret.txt")
			require.Contains(t, m.refused(400, logical.UpdateOperation, "config/default/rotate", nil), "No secret was removed")
		})
	}
}

func TestStrangersSecretIsNotTakenForTheCurrent(t *testing.T) {
	m := newRotatingMount(t)
	original := m.uuids()[0]
	m.rotate()
	m.write("config/default", map[string]any{"client_secret": "p8e-typo", "verify": false})
	require.NoError(t, m.ims.RemoveSecret(testClientID, original))
	stranger, err := m.ims.AddSecret(testClientID)
	require.NoError(t, err)
	m.refused(400, logical.UpdateOperation, "config/default/rotate", nil)
	m.clock.Advance(2 * time.Hour)
	require.NoError(t, m.tick())
	require.Contains(t, m.uuids(), stranger.UUID)
}

func TestForgottenSecretsAreNamed(t *testing.T) {
	m := newRotatingMount(t)
	previous := m.rotate()["previous_secret_uuid"]
	resp := m.write("config/default", map[string]any{"console_org_id": "1", "verify": false})
	require.Contains(t, strings.Join(resp.Warnings, "\n"), previous)
}

// A role that left its web app keeps nothing alive.
func TestNothingIsKeptAliveForNobody(t *testing.T) {
	m := newAuthorizedMount(t)
	m.write("roles/designer", map[string]any{"config": "default", "scopes": "openid,AdobeID"})
	m.clock.Advance(8 * 24 * time.Hour)
	m.ims.ResetCounters()
	for range 10 {
		require.NoError(t, m.tick())
		m.clock.Advance(time.Minute)
	}
	require.Never(t, func() bool { return m.mints() != 0 }, 50*time.Millisecond, 5*time.Millisecond)
}

func TestEchoedBasicHeaderIsNotShown(t *testing.T) {
	m := newAuthorizedMount(t)
	header := m.ims.Requests(emulator.TokenPath)[0].Header.Get("Authorization")
	m.clock.Advance(tokenLife)
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "access_denied", Description: "you sent " + header})
	message := m.refused(400, logical.ReadOperation, "token/designer", nil)
	require.Contains(t, message, "access_denied")
	require.NotContains(t, m.log.String(), strings.TrimPrefix(header, "Basic "))
}

// What is no HTTP may hold half a token, and net/http quotes it.
func TestBrokenAnswerIsNotQuoted(t *testing.T) {
	for _, answer := range []string{
		"{\"access_token\":\"eyJ-half-a-token\"}\r\n",
		"HTTP/1.1 200 OK\r\neyJ-half-a-token\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: eyJ-half-a-token\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://[eyJ-half-a-token\r\n\r\n",
	} {
		m := newServingMount(t)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = connection.Write([]byte(answer))
				_ = connection.Close()
			}
		}))
		m.write("config/default", map[string]any{"ims_url": server.URL, "client_secret": "p8e-other", "verify": false})
		message := m.refused(http.StatusBadGateway, logical.ReadOperation, "token/firefly", nil)
		require.NotContains(t, message+m.log.String(), "half-a-token")
		server.Close()
	}
}

func TestSecretOfAWrongTypeIsNotRepeated(t *testing.T) {
	m := newServingMount(t)
	message := m.refused(400, logical.CreateOperation, "config/default", map[string]any{"client_secret": map[string]any{"value": "p8e-nested"}})
	require.Equal(t, "client_secret: must be a string", message)
}

func TestRevokingAnAuthorizationWithoutItsCredential(t *testing.T) {
	m := newAuthorizedMount(t)
	m.write("config/person", map[string]any{"client_id": "another", "verify": false})
	resp, err := m.delete("authorize/designer")
	require.NoError(t, err)
	require.Contains(t, resp.Warnings[0], "connected applications")
}

func TestCondemnedAuthorizationIsRevokedBeforeANewOne(t *testing.T) {
	m := newAuthorizedMount(t)
	refresh := m.refreshToken()
	remove := m.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
	m.refused(503, logical.DeleteOperation, "authorize/designer", nil)
	remove()
	m.signIn()
	require.False(t, m.ims.Valid(refresh))
	require.NotEmpty(t, m.token("designer"))
}

// Time limits are passed on as what they are.
func TestKillSwitchWhileIMSHangs(t *testing.T) {
	m := newServingMount(t)
	m.token("firefly")
	m.ims.Inject(emulator.Fault{Path: emulator.InvalidatePath, Hang: true})
	m.write("config/default", map[string]any{"request_timeout": "1s"})
	message := m.refused(http.StatusBadGateway, logical.DeleteOperation, "token/firefly", nil)
	require.Contains(t, message, "no complete answer within 1s")
	require.Equal(t, 1, m.read("status/firefly").Data["uninvalidated_tokens"])
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const (
	testConsoleOrg   = "23294"
	testCredentialID = "436084"
)

var secretsPath = emulator.SecretsPath(testConsoleOrg, testCredentialID)

func newRotatingMount(t *testing.T) *mount {
	t.Helper()
	m := newServingMount(t)
	m.ims.AddClient(emulator.Client{
		ID: testClientID, Secrets: []string{testClientSecret}, OrgID: testOrgID,
		ConsoleOrgID: testConsoleOrg, CredentialID: testCredentialID,
	})
	m.clock.Advance(time.Hour) // the first secret is not of today
	m.write("config/default", map[string]any{
		"console_org_id": testConsoleOrg, "credential_id": testCredentialID, "console_url": m.imsURL,
		"client_secret": testClientSecret, "max_retries": 0, "request_timeout": "1s",
	})
	m.ims.ResetCounters()
	return m
}

// rotate succeeds or ends the test.
func (m *mount) rotate() map[string]any {
	m.t.Helper()
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	require.NoError(m.t, err)
	require.NoError(m.t, resp.Error())
	return resp.Data
}

// rotateWith lets a rotation fail.
func (m *mount) rotateWith(fault emulator.Fault) {
	m.t.Helper()
	remove := m.ims.Inject(fault)
	defer remove()
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	require.True(m.t, err != nil || resp.IsError())
}

// tick is Vault's rollback, once a minute.
func (m *mount) tick() error {
	_, err := m.handle(logical.RollbackOperation, "", map[string]any{})
	return err
}

func (m *mount) stored() *config {
	m.t.Helper()
	c, err := m.backend.configs.get(m.t.Context(), m.storage, "default")
	require.NoError(m.t, err)
	return c
}

// uuids lists the secrets at Adobe.
func (m *mount) uuids() (uuids []string) {
	for _, s := range m.ims.SecretsOf(testClientID) {
		uuids = append(uuids, s.UUID)
	}
	return uuids
}

// requireWorkingSecret proves the stored secret, without the others to fall
// back upon.
func (m *mount) requireWorkingSecret() {
	m.t.Helper()
	c := *m.stored()
	c.Retired, c.Pending = nil, nil
	_, err := m.backend.tokens.mint(m.t.Context(), nil, &role{Scopes: []string{"openid"}}, &c)
	require.NoError(m.t, err)
}

func TestRotation(t *testing.T) {
	m := newRotatingMount(t)
	token := m.token("firefly")
	before := m.ims.SecretsOf(testClientID)

	data := m.rotate()
	after := m.ims.SecretsOf(testClientID)
	require.Len(t, after, 2)
	require.Equal(t, map[string]any{
		"client_secret_uuid":          after[1].UUID,
		"previous_secret_uuid":        before[0].UUID,
		"previous_secret_remove_time": timestamp(m.clock.Now().Add(time.Hour)),
	}, data)
	require.Equal(t, after[1].Value, string(m.stored().ClientSecret))
	read := m.read("config/default").Data
	require.Equal(t, after[1].UUID, read["client_secret_uuid"])
	require.Equal(t, timestamp(m.clock.Now()), read["client_secret_set_time"])
	require.Equal(t, before[0].UUID, read["previous_secret_uuid"])
	require.NotContains(t, read, "pending_secret_uuid")
	require.NotContains(t, read, "rotation_error")
	require.Equal(t, token, m.token("firefly"), "tokens do not change with the secret")

	// The previous one is removed when its time is over, and not before.
	m.clock.Advance(59 * time.Minute)
	require.NoError(t, m.tick())
	require.Len(t, m.uuids(), 2)
	m.clock.Advance(time.Minute)
	require.NoError(t, m.tick())
	require.Equal(t, []string{after[1].UUID}, m.uuids())
	require.NotContains(t, m.read("config/default").Data, "previous_secret_uuid")

	m.restart()
	m.requireWorkingSecret()
	require.NotContains(t, fmt.Sprint(data, read, m.log.String()), after[1].Value)
	requireManagementTokensDead(m)
}

// requireManagementTokensDead proves that every token with management scopes
// was invalidated.
func requireManagementTokensDead(m *mount) {
	m.t.Helper()
	used := map[string]bool{}
	for _, request := range m.ims.Requests(secretsPath + "*") {
		used[strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer ")] = true
	}
	require.NotEmpty(m.t, used)
	for token := range used {
		require.False(m.t, m.ims.Valid(token))
		require.NotContains(m.t, m.log.String(), token)
	}
}

func TestRotationAgainMakesRoom(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	second := m.rotate()["client_secret_uuid"]
	require.Len(t, m.uuids(), 2)
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	require.NoError(t, err)
	third := resp.Data
	require.Len(t, resp.Warnings, 1)
	require.Contains(t, resp.Warnings[0], "was removed now")
	require.Equal(t, second, third["previous_secret_uuid"])
	require.Equal(t, []string{second.(string), third["client_secret_uuid"].(string)}, m.uuids())
	m.requireWorkingSecret()
}

func TestRotationWithoutGraceRemovesAtOnce(t *testing.T) {
	m := newRotatingMount(t)
	m.write("config/default", map[string]any{"previous_secret_ttl": 0})
	uuid := m.rotate()["client_secret_uuid"]
	require.Equal(t, []string{uuid.(string)}, m.uuids())
}

// The rotation has taken place, whatever becomes of the previous secret.
func TestRotationWhosePreviousSecretStays(t *testing.T) {
	m := newRotatingMount(t)
	m.write("config/default", map[string]any{"previous_secret_ttl": 0})
	remove := m.ims.Inject(emulator.Fault{Method: "DELETE", Status: 500})
	uuid := m.rotate()["client_secret_uuid"]
	require.Len(t, m.uuids(), 2)
	require.NoError(t, m.tick())
	require.Contains(t, m.read("config/default").Data["rotation_error"], "removal")
	remove()
	m.clock.Advance(time.Minute)
	require.NoError(t, m.tick())
	require.Equal(t, []string{uuid.(string)}, m.uuids())
	require.NotContains(t, m.read("config/default").Data, "rotation_error")
}

func TestRotationBeyondTheLimit(t *testing.T) {
	for name, uuid := range map[string]func(m *mount) string{
		"current is known":   func(m *mount) string { return m.uuids()[0] },
		"current is unknown": func(*mount) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			m := newRotatingMount(t)
			m.write("config/default", map[string]any{"client_secret_uuid": uuid(m)})
			foreign, err := m.ims.AddSecret(testClientID)
			require.NoError(t, err)
			before := m.uuids()
			message := m.refused(400, logical.UpdateOperation, "config/default/rotate", nil)
			require.Contains(t, message, foreign.UUID)
			require.Contains(t, message, "Nothing was changed")
			require.Equal(t, before, m.uuids())
			require.Contains(t, m.read("config/default").Data["rotation_error"], foreign.UUID)
			m.requireWorkingSecret()

			require.NoError(t, m.ims.RemoveSecret(testClientID, foreign.UUID))
			m.rotate()
			require.NotContains(t, m.read("config/default").Data, "rotation_error")
		})
	}
}

func TestRotationNeedsTheConsolesIDs(t *testing.T) {
	m := newServingMount(t)
	require.Contains(t, m.refused(400, logical.UpdateOperation, "config/default/rotate", nil), "console_org_id")
	require.Contains(t, m.refused(400, logical.UpdateOperation, "config/none/rotate", nil), "does not exist")
}

func TestRotationRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		fault  emulator.Fault
		status int
		says   string
	}{
		"no I/O Management API": {emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "invalid_scope"}, 400, "I/O Management API"},
		"IMS fails":             {emulator.Fault{Path: emulator.TokenPath, Status: 500}, 502, "IMS token request"},
		"listing forbidden":     {emulator.Fault{Method: "GET", Status: 403}, 400, "listing"},
		"listing throttled":     {emulator.Fault{Method: "GET", Status: 429}, 429, "listing"},
		"listing fails":         {emulator.Fault{Method: "GET", Status: 503}, 503, "listing"},
		"adding refused":        {emulator.Fault{Method: "POST", Path: secretsPath, Status: 403}, 400, "adding"},
		"adding fails":          {emulator.Fault{Method: "POST", Path: secretsPath, Status: 500}, 502, "adding"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRotatingMount(t)
			remove := m.ims.Inject(test.fault)
			require.Contains(t, m.refused(test.status, logical.UpdateOperation, "config/default/rotate", nil), test.says)
			require.Contains(t, m.read("config/default").Data["rotation_error"], test.says)
			require.Len(t, m.uuids(), 1)
			remove()
			m.clock.Advance(time.Minute)
			m.rotate()
			require.Len(t, m.uuids(), 2)
			m.requireWorkingSecret()
		})
	}
}

// The hard one: Adobe added the secret, and its answer was lost.
func TestLostAnswer(t *testing.T) {
	for name, recover := range map[string]func(m *mount){
		"next rotation": func(m *mount) { m.rotate() },
		"later rotation": func(m *mount) {
			m.clock.Advance(time.Hour)
			m.rotate()
		},
		"restart and rotation": func(m *mount) { m.restart(); m.rotate() },
		"rollback": func(m *mount) {
			m.clock.Advance(time.Minute)
			_, err := m.handle(logical.RollbackOperation, "", map[string]any{"immediate": true})
			require.NoError(m.t, err)
			require.Len(m.t, m.uuids(), 1)
			m.rotate()
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRotatingMount(t)
			first := m.uuids()[0]
			remove := m.ims.Inject(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
			removeList := m.ims.Inject(emulator.Fault{Method: "GET", Path: secretsPath, Skip: 1, Status: 500})
			m.refused(502, logical.UpdateOperation, "config/default/rotate", nil)
			lost := m.uuids()[1]
			remove()
			removeList()
			recover(m)
			require.NotContains(t, m.uuids(), lost)
			require.Equal(t, first, m.uuids()[0])
			require.Len(t, m.uuids(), 2)
			m.requireWorkingSecret()
			require.Empty(t, walKeys(m))
		})
	}
}

func TestLostAnswerIsClearedUpAtOnce(t *testing.T) {
	m := newRotatingMount(t)
	before := m.uuids()
	m.rotateWith(emulator.Fault{Method: "POST", Path: secretsPath, After: true, Drop: true})
	require.Equal(t, before, m.uuids())
	require.Empty(t, walKeys(m))
}

func walKeys(m *mount) (found []string) {
	for _, key := range m.storage.keys(m.t) {
		if strings.HasPrefix(key, "wal/") {
			found = append(found, key)
		}
	}
	return found
}

// A secret that somebody else added after the rotation was interrupted is not
// taken for the lost one.
func TestForeignSecretIsNeverRemoved(t *testing.T) {
	for name, prepare := range map[string]func(m *mount){
		"the request never arrived": func(m *mount) {
			m.ims.Inject(emulator.Fault{Method: "POST", Path: secretsPath, Times: 1, Drop: true})
		},
		"the process died": func(m *mount) {
			m.ims.Inject(emulator.Fault{Method: "POST", Path: secretsPath, Times: 1, Status: 500})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRotatingMount(t)
			prepare(m)
			m.refused(502, logical.UpdateOperation, "config/default/rotate", nil)
			m.clock.Advance(2 * time.Second)
			foreign, err := m.ims.AddSecret(testClientID)
			require.NoError(t, err)
			m.restart()
			m.refused(400, logical.UpdateOperation, "config/default/rotate", nil)
			m.clock.Advance(time.Hour)
			require.NoError(t, m.tick())
			_, _ = m.handle(logical.RollbackOperation, "", map[string]any{"immediate": true})
			require.Contains(t, m.uuids(), foreign.UUID)
			m.requireWorkingSecret()
		})
	}
}

func TestSecretThatTakesAMomentToWork(t *testing.T) {
	m := newRotatingMount(t)
	m.ims.SetSecretDelay(5 * time.Second)
	rotated := make(chan error)
	go func() {
		resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
		rotated <- errors.Join(err, resp.Error())
	}()
	m.advanceUntil(rotated)
	m.requireWorkingSecret()
	require.Equal(t, m.uuids()[1], m.stored().SecretUUID)
}

// advanceUntil lets time pass until a rotation has ended without error.
func (m *mount) advanceUntil(rotated <-chan error) {
	m.t.Helper()
	for range 10000 {
		select {
		case err := <-rotated:
			require.NoError(m.t, err)
			return
		case <-time.After(time.Millisecond):
			m.clock.Advance(100 * time.Millisecond)
		}
	}
	require.Fail(m.t, "the rotation goes on for ever")
}

func TestSecretThatCannotBeProven(t *testing.T) {
	m := newRotatingMount(t)
	m.ims.SetSecretDelay(30 * 24 * time.Hour)
	rotated := make(chan error)
	go func() {
		resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
		rotated <- errors.Join(err, resp.Error())
	}()
	var err error
	for err == nil {
		select {
		case err = <-rotated:
			require.Error(t, err)
		case <-time.After(time.Millisecond):
			m.clock.Advance(100 * time.Millisecond)
		}
	}
	require.ErrorContains(t, err, "not proven yet")
	require.Equal(t, testClientSecret, string(m.stored().ClientSecret), "the old one stays")
	read := m.read("config/default").Data
	require.Equal(t, m.uuids()[1], read["pending_secret_uuid"])
	require.Contains(t, read["rotation_error"], "not proven yet")
	require.Contains(t, m.log.String(), "a rotation of the client secret failed")
	require.NotEmpty(t, m.token("firefly"))

	// It is tried for an hour, then removed.
	for range 70 {
		m.clock.Advance(time.Minute)
		require.NoError(t, m.tick())
	}
	m.clock.Advance(time.Hour)
	require.NoError(t, m.tick())
	require.Len(t, m.uuids(), 1)
	require.Nil(t, m.stored().Pending)
	m.requireWorkingSecret()
}

// Whichever of the secrets works is used while a rotation is under way.
func TestFallbackToAnotherSecret(t *testing.T) {
	m := newRotatingMount(t)
	m.rotate()
	require.NoError(t, m.ims.RemoveSecret(testClientID, m.stored().SecretUUID))
	require.NotEmpty(t, m.token("firefly"), "with the previous one")
	_, err := m.delete("token/firefly")
	require.NoError(t, err)

	m = newRotatingMount(t)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500, Match: func(r *http.Request) bool {
		return r.PostForm.Get("scope") == verifyScope
	}})
	m.refused(502, logical.UpdateOperation, "config/default/rotate", nil)
	require.NotNil(t, m.stored().Pending)
	require.NoError(t, m.ims.RemoveSecret(testClientID, m.uuids()[0]))
	require.NotEmpty(t, m.token("firefly"), "with the one not proven yet")
	remove()
	m.clock.Advance(time.Minute)
	require.NoError(t, m.tick())
	require.Nil(t, m.stored().Pending, "proven by the periodic work")
	m.requireWorkingSecret()
}

func TestRotationByPeriod(t *testing.T) {
	m := newRotatingMount(t)
	m.write("config/default", map[string]any{"rotation_period": "720h"})
	require.Equal(t, timestamp(m.clock.Now().Add(719*time.Hour)), m.read("config/default").Data["next_rotation_time"], "from when the secret was set")
	m.clock.Advance(718 * time.Hour)
	require.NoError(t, m.tick())
	require.Len(t, m.uuids(), 1)
	m.restart()
	m.clock.Advance(time.Hour)
	m.system.ReplicationStateVal = consts.ReplicationPerformanceSecondary
	m.restart()
	require.NoError(t, m.tick())
	require.Len(t, m.uuids(), 1, "not on a node that may not write")
	m.system.ReplicationStateVal = 0
	m.restart()
	require.NoError(t, m.tick())
	require.Len(t, m.uuids(), 2)
	require.NoError(t, m.tick())
	require.Equal(t, timestamp(m.clock.Now().Add(720*time.Hour)), m.read("config/default").Data["next_rotation_time"])
	m.requireWorkingSecret()
}

func TestRotationByPeriodThatFails(t *testing.T) {
	m := newRotatingMount(t)
	m.write("config/default", map[string]any{"rotation_period": "1h"})
	m.ims.Inject(emulator.Fault{Method: "GET", Status: 500})
	for range 600 {
		m.clock.Advance(time.Minute)
		require.NoError(t, m.tick())
	}
	asked := m.ims.Count(secretsPath)
	require.Less(t, asked, 20, "ten hours of failure")
	require.Greater(t, asked, 8)
	require.Contains(t, m.read("config/default").Data["rotation_error"], "listing")
}

// An operator's new secret takes the place of one that the engine added, which
// is not left behind.
func TestOperatorReplacesARotatedSecret(t *testing.T) {
	m := newRotatingMount(t)
	m.write("config/default", map[string]any{"previous_secret_ttl": 0})
	ours := m.rotate()["client_secret_uuid"]
	theirs, err := m.ims.AddSecret(testClientID)
	require.NoError(t, err)
	m.write("config/default", map[string]any{"client_secret": theirs.Value})
	require.NoError(t, m.tick())
	require.Equal(t, []string{theirs.UUID}, m.uuids())
	require.NotContains(t, m.uuids(), ours)
}

func TestConsoleVariants(t *testing.T) {
	for name, options := range map[string]emulator.Options{
		"200 everywhere":        {ConsoleOK: true},
		"a bare new secret":     {BareNewSecret: true},
		"limit answered as 400": {SecretLimitStatus: 400},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRotatingMount(t)
			m.useAdobe(options)
			m.clock.Advance(time.Hour)
			uuid := m.rotate()["client_secret_uuid"]
			require.Equal(t, m.uuids()[1], uuid)
			m.rotate()
			m.requireWorkingSecret()
			require.Len(t, m.uuids(), 2)
		})
	}
}

func TestRotationEvents(t *testing.T) {
	m := newRotatingMount(t)
	m.write("config/default", map[string]any{"previous_secret_ttl": 0})
	m.rotate()
	remove := m.ims.Inject(emulator.Fault{Method: "GET", Status: 500})
	m.refused(502, logical.UpdateOperation, "config/default/rotate", nil)
	remove()
	m.events.Lock()
	defer m.events.Unlock()
	var kinds []string
	for _, event := range m.events.Events {
		kinds = append(kinds, string(event.Type))
	}
	for _, kind := range []string{"secret-rotate", "secret-remove", "secret-rotate-fail"} {
		require.True(t, slices.Contains(kinds, "adobeims/"+kind), kind)
	}
}

func TestDeletedConfigNamesWhatRotationsLeft(t *testing.T) {
	m := newRotatingMount(t)
	previous := m.rotate()["previous_secret_uuid"]
	m.deleteAll("roles/firefly")
	resp, err := m.delete("config/default")
	require.NoError(t, err)
	require.Contains(t, resp.Warnings[0], previous)
}

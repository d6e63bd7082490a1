// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestRotationAnswer(t *testing.T) {
	m := newRotatingMount(t)
	first := m.uuids()[0]
	token := m.token("firefly")
	answer := m.rotate()
	require.Equal(t, map[string]any{
		"client_secret_uuid":          m.uuids()[1],
		"previous_secret_uuid":        first,
		"previous_secret_remove_time": "2026-11-22T11:00:00Z",
	}, answer)
	config := m.read("config/default").Data
	require.Equal(t, answer["client_secret_uuid"], config["client_secret_uuid"])
	require.Equal(t, first, config["previous_secret_uuid"])
	require.Equal(t, "2026-11-22T11:00:00Z", config["previous_secret_remove_time"])
	require.Equal(t, "2026-11-22T10:00:00Z", config["client_secret_set_time"])
	require.Equal(t, token, m.token("firefly"), "tokens live on")

	m.clock.Advance(time.Hour)
	require.NoError(t, m.tick())
	require.Equal(t, []string{answer["client_secret_uuid"].(string)}, m.uuids())
	require.NotContains(t, m.read("config/default").Data, "previous_secret_uuid")

	m.write("config/default", map[string]any{"previous_secret_ttl": 0})
	require.Equal(t, map[string]any{"client_secret_uuid": m.rotate()["client_secret_uuid"]}, map[string]any{"client_secret_uuid": m.uuids()[0]})
	require.Len(t, m.uuids(), 1, "without a time of grace nothing is left")
}

func TestRotationMakesRoomEarly(t *testing.T) {
	m := newRotatingMount(t)
	first := m.uuids()[0]
	m.rotate()
	m.clock.Advance(time.Minute)
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	require.NoError(t, err)
	require.Len(t, resp.Warnings, 1)
	require.Contains(t, resp.Warnings[0], first)
	require.Contains(t, resp.Warnings[0], "2026-11-22T11:00:00Z")
	require.NotContains(t, m.uuids(), first)
}

func TestRotationRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		path    string
		prepare func(m *mount)
		fault   emulator.Fault // of the console; none without a status or a body
		status  int
		says    []string
	}{
		"no such config": {path: "config/none/rotate", status: 400, says: []string{`"none" does not exist`}},
		"no ids of the console": {
			prepare: func(m *mount) { m.write("config/default", map[string]any{"console_org_id": "", "credential_id": ""}) },
			status:  400, says: []string{"vault write adobeims/config/default console_org_id=... credential_id=..."},
		},
		"a web app's": {path: "config/person/rotate", status: 400, says: []string{"vault write adobeims/config/person client_secret=@secret.txt"}},
		"a third secret": {
			prepare: func(m *mount) {
				_, err := m.ims.AddSecret(testClientID)
				require.NoError(m.t, err)
			},
			status: 400, says: []string{"vault write adobeims/config/default client_secret_uuid=", "Developer Console"},
		},
		"a console that throttles":      {fault: emulator.Fault{Status: 429, RetryAfter: "30"}, status: 429, says: []string{"Developer Console", "429"}},
		"a console out of service":      {fault: emulator.Fault{Status: 503}, status: 503, says: []string{"Developer Console", "503"}},
		"a console that fails":          {fault: emulator.Fault{Status: 500}, status: 502, says: []string{"Developer Console", "500"}},
		"a page in the console's place": {fault: emulator.Fault{Body: "<html>", ContentType: "text/html"}, status: 502, says: []string{"HTTPS_PROXY"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newWebAppMount(t)
			if test.prepare != nil {
				test.prepare(m)
			}
			if test.fault.Status != 0 || test.fault.Body != "" {
				test.fault.Path = secretsPath
				m.ims.Inject(test.fault)
			}
			before, path := m.uuids(), test.path
			if path == "" {
				path = "config/default/rotate"
			}
			message := m.refused(test.status, logical.UpdateOperation, path, nil)
			for _, words := range test.says {
				require.Contains(t, message, words)
			}
			require.Equal(t, before, m.uuids())
			require.NotEmpty(t, m.token("firefly"))
		})
	}
}

// Vault's clients give up after a minute, so an answer comes before.
func TestRotationThatTakesLong(t *testing.T) {
	m := newRotatingMount(t)
	remove := m.ims.Inject(emulator.Fault{Path: secretsPath, Method: http.MethodPost, Hang: true, Times: 1, After: true})
	m.write("config/default", map[string]any{"request_timeout": "60s"})
	answer := make(chan string, 1)
	go func() {
		answer <- refusal2(m.handle(logical.UpdateOperation, "config/default/rotate", nil))
	}()
	m.eventually(func() bool { return len(m.uuids()) == 2 }, "a secret to be added")
	require.NoError(t, m.clock.BlockUntilContext(t.Context(), 1))
	m.clock.Advance(45 * time.Second)
	message := <-answer
	require.Contains(t, message, "goes on")
	require.Contains(t, message, "vault read adobeims/config/default")
	remove()
	m.eventually(func() bool {
		resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
		return err == nil && !resp.IsError()
	}, "the rotation is finished by calling again")
	require.NotEmpty(t, m.token("firefly"))
}

func TestRotationBelongsToThePrimary(t *testing.T) {
	for name, state := range map[string]consts.ReplicationState{
		"performance standby": consts.ReplicationPerformanceStandby, "performance secondary": consts.ReplicationPerformanceSecondary,
	} {
		t.Run(name, func(t *testing.T) {
			m := newRotatingMount(t)
			m.system.ReplicationStateVal = state
			m.restart()
			_, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
			require.Equal(t, logical.ErrReadOnly, err, "unwrapped, or it is not forwarded")
			require.Zero(t, m.ims.Count(secretsPath))
		})
	}
}

func TestFailedRotationIsToldByTheConfig(t *testing.T) {
	m := newRotatingMount(t)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 503, Match: func(r *http.Request) bool { return r.PostForm.Get("scope") == "openid" }})
	message := m.refused(503, logical.UpdateOperation, "config/default/rotate", nil)
	require.Contains(t, message, "not proven")
	data := m.read("config/default").Data
	require.Equal(t, m.uuids()[1], data["pending_secret_uuid"])
	require.Equal(t, "2026-11-22T10:00:00Z", data["rotation_error_time"])
	require.NotContains(t, data["rotation_error"], "<mount>")
	remove()
	m.clock.Advance(time.Hour)
	require.Equal(t, data["pending_secret_uuid"], m.rotate()["client_secret_uuid"], "no third one is added")
	data = m.read("config/default").Data
	require.NotContains(t, data, "pending_secret_uuid")
	require.NotContains(t, data, "rotation_error")
}

func TestDeletedConfigNamesWhatRotationsLeft(t *testing.T) {
	m := newRotatingMount(t)
	left := m.rotate()["previous_secret_uuid"]
	_, err := m.delete("roles/firefly")
	require.NoError(t, err)
	resp, err := m.delete("config/default")
	require.NoError(t, err)
	require.Contains(t, resp.Warnings[0], left)
}

func TestRotationWhileStorageFails(t *testing.T) {
	broken := errors.New("storage is broken")
	for _, op := range []string{"get", "put", "list"} {
		t.Run(op, func(t *testing.T) {
			m := newRotatingMount(t)
			m.restart()
			m.storage.failOn(op, "", broken)
			_, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
			require.ErrorIs(t, err, broken)
			m.storage.heal()
			require.Len(t, m.uuids(), 1, "nothing was added that is not on record")
			m.rotate()
		})
	}
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

func (m *mount) state(role string) string {
	m.t.Helper()
	return m.read("status/" + role).Data["state"].(string)
}

// statusList is the key_info of the roles.
func (m *mount) statusList() map[string]map[string]any {
	m.t.Helper()
	resp, err := m.handle(logical.ListOperation, "status/", nil)
	require.NoError(m.t, err)
	require.NoError(m.t, resp.Error())
	lines := map[string]map[string]any{}
	info, _ := resp.Data["key_info"].(map[string]any)
	for _, name := range m.list("status/") {
		lines[name] = info[name].(map[string]any)
	}
	require.Len(m.t, info, len(lines))
	return lines
}

// What becomes of a role, and the word for it.
func TestStates(t *testing.T) {
	past := func(m *mount) { m.clock.Advance(tokenLife/2 + time.Minute) }
	fail := func(m *mount) { m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500}) }
	failed := func(m *mount, role string) {
		_, _ = m.handle(logical.ReadOperation, "token/"+role, nil)
		m.eventually(func() bool { return m.read("status/" + role).Data["failures"] != 0 }, "a failure")
	}
	for name, test := range map[string]struct {
		role string
		do   func(m *mount)
		want string
	}{
		"never read":               {"firefly", func(*mount) {}, "unproven"},
		"proven as it was written": {"other", func(m *mount) { m.write("roles/other", map[string]any{"scopes": "openid"}) }, "ready"},
		"read":                     {"firefly", func(m *mount) { m.token("firefly") }, "ready"},
		"read long ago": {"firefly", func(m *mount) {
			m.token("firefly")
			past(m)
			m.eventually(func() bool { return m.mints() == 2 && m.read("status/firefly").Data["in_use"] == false }, "another token")
			m.clock.Advance(2 * tokenLife)
		}, "idle"},
		"not read since it was proven": {"other", func(m *mount) { m.write("roles/other", map[string]any{"scopes": "openid"}); past(m) }, "idle"},
		"an exclusive role, read":      {"single", func(m *mount) { m.token("single") }, "ready"},
		"an exclusive role, not read":  {"single", func(*mount) {}, "unproven"},
		"no newer one to be had":       {"firefly", func(m *mount) { m.token("firefly"); fail(m); past(m); failed(m, "firefly") }, "degraded"},
		"none to be had":               {"firefly", func(m *mount) { fail(m); failed(m, "firefly") }, "failing"},
		"none any more":                {"firefly", func(m *mount) { m.token("firefly"); fail(m); m.clock.Advance(tokenLife); failed(m, "firefly") }, "failing"},
		"an exclusive role, failing":   {"single", func(m *mount) { fail(m); failed(m, "single") }, "failing"},
		"over it": {"firefly", func(m *mount) {
			fail(m)
			failed(m, "firefly")
			m.ims.ClearFaults()
			m.clock.Advance(time.Minute)
			m.token("firefly")
		}, "ready"},
		"killed": {"firefly", func(m *mount) {
			m.token("firefly")
			_, err := m.delete("token/firefly")
			require.NoError(m.t, err)
		}, "idle"},
		"written after a failure":    {"firefly", func(m *mount) { fail(m); failed(m, "firefly"); m.write("roles/firefly", map[string]any{"max_ttl": 9}) }, "unproven"},
		"restarted":                  {"firefly", func(m *mount) { m.token("firefly"); m.restart() }, "ready"},
		"a person's, nobody's yet":   {"designer", func(*mount) {}, "unauthorized"},
		"a person's":                 {"designer", func(m *mount) { m.signIn() }, "ready"},
		"a person's, with no token":  {"designer", func(m *mount) { m.signIn(); m.clock.Advance(2 * tokenLife) }, "idle"},
		"a person's, IMS is failing": {"designer", func(m *mount) { m.signIn(); m.clock.Advance(tokenLife); fail(m); failed(m, "designer") }, "failing"},
		"a person's, refused": {"designer", func(m *mount) {
			m.signIn()
			m.clock.Advance(tokenLife)
			m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Code: "access_denied"})
			failed(m, "designer")
		}, "unauthorized"},
		"a person's, refused while its token lives": {"designer", func(m *mount) {
			m.signIn()
			m.token("designer")
			m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Code: "access_denied"})
			past(m)
			failed(m, "designer")
		}, "degraded"},
		"a person's, revoked": {"designer", func(m *mount) {
			m.signIn()
			_, err := m.delete("authorize/designer")
			require.NoError(m.t, err)
		}, "unauthorized"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newWebAppMount(t)
			m.write("roles/single", map[string]any{"scopes": "openid", "exclusive": true, "verify": false})
			test.do(m)
			require.Equal(t, test.want, m.state(test.role))
			require.Equal(t, test.want, m.statusList()[test.role]["state"], "in the list")
		})
	}
}

func TestStatusOfAFailure(t *testing.T) {
	m := newServingMount(t)
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Code: "invalid_client", Description: "invalid client_secret parameter"})
	for range 3 {
		m.refused(400, logical.ReadOperation, "token/firefly", nil)
	}
	data := m.read("status/firefly").Data
	require.Equal(t, 1, data["failures"], "the others were not let through")
	require.Equal(t, true, data["backing_off"])
	require.Equal(t, "refused", data["last_failure_kind"])
	require.Equal(t, "invalid_client", data["last_failure_error_code"])
	require.NotEmpty(t, data["last_failure_debug_id"])
	require.Contains(t, data["last_failure_message"], "invalid_client")
	for name, value := range data {
		require.NotContains(t, fmt.Sprint(value), testClientSecret, name)
		require.NotContains(t, fmt.Sprint(value), "<mount>", name)
	}
	require.Equal(t, data["next_attempt_time"], m.statusList()["firefly"]["next_attempt_time"])
}

// A throttle is the credential's: its other roles tell when they go on.
func TestStatusDuringAThrottle(t *testing.T) {
	m := newServingMount(t)
	m.write("roles/other", map[string]any{"scopes": "openid", "verify": false})
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 429, RetryAfter: "90"})
	m.refused(429, logical.ReadOperation, "token/firefly", nil)
	for _, role := range []string{"firefly", "other"} {
		data := m.read("status/" + role).Data
		require.Equal(t, true, data["backing_off"], role)
		require.Equal(t, "2026-11-22T09:01:30Z", data["next_attempt_time"], role)
		require.Equal(t, "2026-11-22T09:01:30Z", m.statusList()[role]["next_attempt_time"], role)
	}
	require.Equal(t, "unproven", m.state("other"))
	require.Equal(t, 1, m.mints())
}

func TestStatusList(t *testing.T) {
	m := newAuthorizedMount(t)
	m.token("firefly")
	m.token("designer")
	m.write("config/second", map[string]any{"client_id": testClientID, "client_secret": "p8e-wrong", "ims_url": m.imsURL, "max_retries": 0, "verify": false})
	m.write("roles/wrong", map[string]any{"config": "second", "scopes": "openid", "verify": false})
	m.refused(400, logical.ReadOperation, "token/wrong", nil)
	m.write("roles/unread", map[string]any{"scopes": "openid", "verify": false})
	m.statusList()
	m.quiet()
	expires := "2026-11-23T10:00:00Z"
	want := map[string]map[string]any{
		"firefly":  {"config": "default", "state": "ready", "failures": 0, "expire_time": expires},
		"designer": {"config": "person", "state": "ready", "failures": 0, "expire_time": expires},
		"unread":   {"config": "default", "state": "unproven", "failures": 0},
		"wrong":    {"config": "second", "state": "failing", "failures": 1, "next_attempt_time": m.read("status/wrong").Data["next_attempt_time"]},
	}
	require.Equal(t, want, m.statusList())
	require.Equal(t, []string{"designer", "firefly", "unread", "wrong"}, m.list("status/"))
	require.Zero(t, m.ims.Count(""))
	require.Zero(t, m.storage.count("get", "put"), "from memory")

	m.restart()
	delete(want["wrong"], "next_attempt_time")
	want["wrong"]["failures"], want["wrong"]["state"] = 0, "unproven"
	require.Equal(t, want, m.statusList(), "failures start anew")

	empty := newMount(t)
	resp, err := empty.handle(logical.ListOperation, "status/", nil)
	require.NoError(t, err)
	require.Empty(t, resp.Data["keys"])
}

// What is wrong with one role takes no other away.
func TestStatusListWhileStorageFails(t *testing.T) {
	for name, prefix := range map[string]string{"its record": tokens.Prefix + "firefly", "its role": "role/firefly"} {
		t.Run(name, func(t *testing.T) {
			m := newServingMount(t)
			m.write("roles/other", map[string]any{"scopes": "openid"})
			m.restart()
			m.storage.failOn("get", prefix, errors.New("storage is broken"))
			lines := m.statusList()
			require.Equal(t, "unknown", lines["firefly"]["state"])
			require.Contains(t, lines["firefly"]["error"], "storage is broken")
			require.Equal(t, "ready", lines["other"]["state"])
		})
	}
	m := newServingMount(t)
	broken := errors.New("storage is broken")
	m.storage.failOn("list", "", broken)
	_, err := m.handle(logical.ListOperation, "status/", nil)
	require.Equal(t, broken, err, "as it came")

	m = newAuthorizedMount(t)
	m.restart()
	m.storage.failOn("get", authorization.Prefix, broken)
	require.Equal(t, "unknown", m.statusList()["designer"]["state"])
	_, err = m.handle(logical.ReadOperation, "status/designer", nil)
	require.Equal(t, broken, err)
}

func TestStatusOfAPersonsRole(t *testing.T) {
	m := newWebAppMount(t)
	data := m.read("status/designer").Data
	for _, field := range []string{"user_id", "authorization_time", "authorization_expire_time", "technical_account_id"} {
		require.NotContains(t, data, field)
	}
	m.signIn()
	data = m.read("status/designer").Data
	require.Equal(t, testPerson, data["user_id"])
	require.Equal(t, "2026-11-22T10:00:00Z", data["authorization_time"])
	require.Equal(t, "2026-12-06T10:00:00Z", data["authorization_expire_time"])
	require.NotContains(t, data, "technical_account_id", "that is the client's")
	require.NotContains(t, m.read("status/firefly").Data, "user_id")
	require.Regexp(t, "@techacct.adobe.com$", m.read("status/firefly").Data["technical_account_id"])
}

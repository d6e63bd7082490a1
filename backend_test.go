// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/helper/testhelpers/schema"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// Vault calls the factory with next to nothing when a plugin is registered.
func TestFactoryAtRegistration(t *testing.T) {
	b, err := Factory(context.Background(), &logical.BackendConfig{})
	require.NoError(t, err)
	require.Equal(t, logical.TypeLogical, b.Type())
	require.Equal(t, Version, b.(logical.PluginVersioner).PluginVersion().Version)
	b.Cleanup(context.Background())
}

func TestInfo(t *testing.T) {
	data := newMount(t).read("info").Data
	require.Equal(t, Version, data["version"])
	for _, field := range []string{"commit", "build_date", "sdk_version"} {
		require.NotEmpty(t, data[field], field)
	}
}

func TestStatus(t *testing.T) {
	m := newServingMount(t)
	require.Equal(t, map[string]any{
		"technical_account_id": m.stored().TechnicalAccountID,
		"state":                "unproven", "outstanding_tokens": 0, "uninvalidated_tokens": 0, "backing_off": false, "failures": 0, "in_use": false,
	}, m.read("status/firefly").Data)

	m.token("firefly")
	data := m.read("status/firefly").Data
	require.Equal(t, "2026-11-22T09:00:00Z", data["mint_time"])
	require.Equal(t, "2026-11-23T09:00:00Z", data["expire_time"])
	require.Equal(t, true, data["in_use"])
	refresh, err := time.Parse(time.RFC3339, data["refresh_time"].(string))
	require.NoError(t, err)
	require.WithinRange(t, refresh, m.clock.Now().Add(tokenLife/2-15*time.Minute), m.clock.Now().Add(tokenLife/2))

	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "invalid_client"})
	m.clock.Advance(tokenLife)
	m.eventually(func() bool { return m.read("status/firefly").Data["failures"] != 0 }, "a failure")
	data = m.read("status/firefly").Data
	require.Equal(t, true, data["backing_off"])
	require.Equal(t, "refused", data["last_failure_kind"])
	require.Equal(t, "invalid_client", data["last_failure_error_code"])
	require.NotEmpty(t, data["last_failure_debug_id"])
	require.Equal(t, "2026-11-23T09:00:00Z", data["last_failure_time"])
	require.NotEmpty(t, data["next_attempt_time"])
	require.NotContains(t, data, "mint_time", "the token has expired")
}

// On a node that may not write nothing is minted, and what it does not know yet is
// not denied: Vault sends the request to the active node.
func TestPerformanceStandby(t *testing.T) {
	m := newServingMount(t)
	m.write("roles/batch", map[string]any{"scopes": "openid", "exclusive": true, "verify": false})
	m.write("roles/fleet", map[string]any{"scopes": "openid", "leased": false, "verify": false})
	fleet := m.token("fleet")
	m.ims.ResetCounters()
	m.system.ReplicationStateVal = consts.ReplicationPerformanceStandby
	m.restart()

	for _, request := range []struct {
		op   logical.Operation
		path string
	}{
		{logical.ReadOperation, "token/firefly"},
		{logical.ReadOperation, "token/batch"},
		{logical.DeleteOperation, "token/firefly"},
		{logical.ReadOperation, "status/firefly"},
		{logical.UpdateOperation, "config/default"},
		{logical.UpdateOperation, "roles/firefly"},
		{logical.DeleteOperation, "roles/firefly"},
		{logical.DeleteOperation, "config/default"},
		{logical.ReadOperation, "config/default"},
		{logical.ListOperation, "config/"},
		{logical.ReadOperation, "roles/firefly"},
		{logical.ListOperation, "roles/"},
		{logical.ReadOperation, "token/written-a-moment-ago"},
	} {
		_, err := m.handle(request.op, request.path, nil)
		require.Equal(t, logical.ErrReadOnly, err, "%s %s: unwrapped, or it is not forwarded", request.op, request.path)
	}
	_, err := m.handle(logical.ReadOperation, "token/fleet", nil)
	require.Equal(t, logical.ErrReadOnly, err, "the active node is told of the first read")
	require.Equal(t, fleet, m.token("fleet"), "without a lease, from the record")
	m.clock.Advance(tokenLife/2 + time.Second)
	_, err = m.handle(logical.ReadOperation, "token/fleet", nil)
	require.Equal(t, logical.ErrReadOnly, err)
	require.Zero(t, m.ims.Count(""))

	// The active node has written another token.
	m.system.ReplicationStateVal = 0
	active := &mount{t: t, storage: m.storage, system: m.system, clock: m.clock, ims: m.ims, log: m.log}
	active.restart()
	newer := active.token("fleet")
	m.backend.InvalidateKey(t.Context(), tokens.Prefix+"fleet")
	_, err = m.handle(logical.ReadOperation, "token/fleet", nil)
	require.Equal(t, logical.ErrReadOnly, err, "the first read of the newer one")
	require.Equal(t, newer, m.token("fleet"))
	active.backend.Cleanup(t.Context())
}

// A performance secondary's tokens are its own; its configs are the primary's.
func TestPerformanceSecondary(t *testing.T) {
	m := newServingMount(t)
	m.system.ReplicationStateVal = consts.ReplicationPerformanceSecondary
	m.restart()
	require.NotEmpty(t, m.token("firefly"))
	_, err := m.handle(logical.UpdateOperation, "config/default", nil)
	require.Equal(t, logical.ErrReadOnly, err)
	_, err = m.delete("token/firefly")
	require.NoError(t, err)
}

func TestInvalidation(t *testing.T) {
	m := newServingMount(t)
	first := m.token("firefly")
	other := &mount{t: t, storage: m.storage, system: m.system, clock: m.clock, ims: m.ims, log: m.log}
	other.restart()
	defer other.backend.Cleanup(t.Context())
	other.write("config/default", map[string]any{"max_retries": 7})
	other.write("roles/firefly", map[string]any{"scopes": "openid"})
	require.Equal(t, 0, m.read("config/default").Data["max_retries"], "in memory")
	require.Equal(t, first, m.token("firefly"))

	m.backend.InvalidateKey(t.Context(), "config/default")
	m.backend.InvalidateKey(t.Context(), "role/firefly")
	require.Equal(t, 7, m.read("config/default").Data["max_retries"])
	require.NotEqual(t, first, m.token("firefly"))
}

// The special paths are held against the keys that are really written.
func TestSpecialPaths(t *testing.T) {
	m := newAuthorizedMount(t)
	m.ims.Inject(emulator.Fault{Method: "POST", Path: secretsPath, Drop: true})
	_, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil) // leaves a WAL entry
	require.Error(t, err)
	m.beginSignIn()
	m.token("firefly")
	m.token("designer")
	special := m.backend.SpecialPaths()
	covered := func(paths []string, key string) bool {
		for _, path := range paths {
			if key == path || strings.HasSuffix(path, "/") && strings.HasPrefix(key, path) {
				return true
			}
		}
		return false
	}
	keys := m.storage.keys(t)
	require.Len(t, keys, 10, "two configs, two roles, two tokens, an authorization, a sign-in and whose it is, a WAL entry")
	for _, key := range keys {
		entry, err := m.storage.Get(t.Context(), key)
		require.NoError(t, err)
		kind, _, _ := strings.Cut(key, "/")
		if regexp.MustCompile(testClientSecret + "|_token\"|verifier").Match(entry.Value) {
			require.True(t, covered(special.SealWrapStorage, key), "%s: seal-wrapped, since it holds a secret", key)
		}
		local := slices.Contains([]string{"token", "authorization", "state", "wal"}, kind)
		require.Equal(t, local, covered(special.LocalStorage, key), "%s: what the cluster obtained is its own", key)
	}
	require.Equal(t, []string{"callback"}, special.Unauthenticated)
}

func TestPanicIsContained(t *testing.T) {
	m := newServingMount(t)
	m.storage.fault = func(_, key string) error {
		if key == "config/panic" {
			panic("boom")
		}
		return nil
	}
	require.Contains(t, m.refused(http.StatusInternalServerError, logical.ReadOperation, "config/panic", nil), "panic")
	_, err := m.handle(logical.CreateOperation, "config/panic", nil)
	require.ErrorContains(t, err, "panic")
	require.Contains(t, m.log.String(), "boom")
	require.Contains(t, m.log.String(), "backend_test.go", "the stack")

	// In the background, too.
	m.storage.fault = func(op, _ string) error {
		if op == "put" {
			panic("boom")
		}
		return nil
	}
	m.refused(http.StatusInternalServerError, logical.ReadOperation, "token/firefly", nil)
	m.storage.heal()
	m.clock.Advance(2 * time.Second)
	require.NotEmpty(t, m.token("firefly"))
}

func TestEvents(t *testing.T) {
	m := newServingMount(t)
	m.token("firefly")
	_, err := m.delete("token/firefly")
	require.NoError(t, err)
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500})
	m.refused(502, logical.ReadOperation, "token/firefly", nil)
	m.deleteAll("roles/firefly", "config/default")
	seen := map[string]int{}
	m.eventually(func() bool { // a mint is announced after its readers are served
		clear(seen)
		m.events.Lock()
		defer m.events.Unlock()
		for _, event := range m.events.Events {
			seen[string(event.Type)]++
			require.NotContains(t, event.Event.String(), testClientSecret)
			require.NotEmpty(t, event.Event.Metadata.Fields["path"])
		}
		return len(seen) == 7
	}, fmt.Sprint(seen))
	for _, kind := range []string{"config-write", "config-delete", "role-write", "role-delete", "token-mint", "token-mint-fail", "token-invalidate"} {
		require.Positive(t, seen["adobeims/"+kind], kind)
	}
}

// Answers have the fields that the OpenAPI document tells of, and none else.
func TestAnswersMatchTheirSchema(t *testing.T) {
	m := newServingMount(t)
	m.write("config/default", map[string]any{"org_id": testOrgID, "verify": false})
	m.token("firefly")
	for path, op := range map[string]logical.Operation{
		"config/default": logical.ReadOperation,
		"config/":        logical.ListOperation,
		"roles/firefly":  logical.ReadOperation,
		"roles/":         logical.ListOperation,
		"token/firefly":  logical.ReadOperation,
		"status/firefly": logical.ReadOperation,
		"info":           logical.ReadOperation,
	} {
		resp, err := m.handle(op, path, nil)
		require.NoError(t, err)
		schema.ValidateResponse(t, schema.GetResponseSchema(t, m.backend.Route(path), op), resp, true)
	}
}

func TestHelp(t *testing.T) {
	m := newMount(t)
	for _, path := range []string{"", "config/default", "config/", "roles/firefly", "roles/", "token/firefly", "status/firefly", "info"} {
		resp, err := m.handle(logical.HelpOperation, path, nil)
		require.NoError(t, err)
		require.NotEmpty(t, resp.Data["help"], path)
		require.NotEmpty(t, resp.Data["openapi"], path)
	}
}

// Whatever is printed of a value that holds secrets, they do not show.
func TestSecretsDoNotPrint(t *testing.T) {
	m := newAuthorizedMount(t)
	answer, err := m.backend.tokens.Read(t.Context(), "designer")
	require.NoError(t, err)
	a, err := m.backend.authorizations.Get(t.Context(), "designer")
	require.NoError(t, err)
	c := m.stored()
	for _, value := range []any{c, *c, c.InOrder(), c.Current, answer, answer.Token, *answer.Token, a, *a} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			printed := fmt.Sprintf(verb, value)
			require.NotContains(t, printed, testClientSecret, verb)
			require.NotContains(t, printed, string(answer.Token.AccessToken), verb)
			require.NotContains(t, printed, m.refreshToken(), verb)
		}
	}
}

// Secrets are in no log line at trace level, whatever goes wrong.
func TestSecretsAreNotLogged(t *testing.T) {
	m := newServingMount(t)
	token := m.token("firefly")
	for _, fault := range []emulator.Fault{
		{Status: 400, Code: "invalid_client", Description: "no such secret: " + testClientSecret},
		{Status: 500, Code: testClientSecret, Description: testClientSecret},
		{Body: testClientSecret},
		{Status: 403, Body: testClientSecret},
		{Redirect: "http://127.0.0.1:1/" + testClientSecret},
		{Drop: true},
	} {
		remove := m.ims.Inject(fault)
		var answers []any
		for _, request := range []struct {
			op   logical.Operation
			path string
		}{
			{logical.UpdateOperation, "config/default"},
			{logical.DeleteOperation, "token/firefly"},
			{logical.ReadOperation, "token/firefly"},
			{logical.ReadOperation, "status/firefly"},
			{logical.ReadOperation, "config/default"},
		} {
			resp, err := m.handle(request.op, request.path, nil)
			text := ""
			if err != nil {
				text = err.Error()
			}
			answers = append(answers, resp, text)
		}
		printed, err := json.Marshal(answers)
		require.NoError(t, err)
		require.NotContains(t, string(printed), testClientSecret)
		require.NotContains(t, string(printed), token)
		remove()
		m.clock.Advance(2 * time.Minute)
	}
	require.NotContains(t, m.log.String(), testClientSecret)
	require.NotContains(t, m.log.String(), token)
	require.NotEmpty(t, m.log.String())
}

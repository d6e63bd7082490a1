// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func newExclusiveMount(t *testing.T) *mount {
	t.Helper()
	m := newServingMount(t)
	m.write("roles/batch", map[string]any{"scopes": "openid", "exclusive": true, "verify": false})
	return m
}

// stored is a response as Vault hands it back on revocation: through JSON.
func stored(t *testing.T, resp *logical.Response) *logical.Response {
	t.Helper()
	through := func(from map[string]any) (to map[string]any) {
		data, err := json.Marshal(from)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, &to))
		return to
	}
	secret := *resp.Secret
	secret.InternalData = through(secret.InternalData)
	return &logical.Response{Secret: &secret, Data: through(resp.Data)}
}

func TestRevokingASharedLeaseEndsNothingElse(t *testing.T) {
	m := newServingMount(t)
	resp := m.read("token/firefly")
	require.NoError(t, m.revoke(stored(t, resp)))
	require.True(t, m.ims.Valid(resp.Data["access_token"].(string)))
	require.Zero(t, m.ims.Count(emulator.InvalidatePath))
	require.Equal(t, resp.Data["access_token"], m.token("firefly"))
}

func TestExclusiveTokens(t *testing.T) {
	m := newExclusiveMount(t)
	first, second := m.read("token/batch"), m.read("token/batch")
	require.NotEqual(t, first.Data["access_token"], second.Data["access_token"])
	require.Equal(t, tokenLife, first.Secret.TTL)
	require.Empty(t, tokenKeys(m), "on no record but Vault's")

	require.NoError(t, m.revoke(stored(t, first)))
	require.False(t, m.ims.Valid(first.Data["access_token"].(string)))
	require.True(t, m.ims.Valid(second.Data["access_token"].(string)))
	require.Equal(t, 1, m.ims.Count(emulator.InvalidatePath))
	require.False(t, m.ims.Requests(emulator.InvalidatePath)[0].Form.Has("cascading"))

	m.restart()
	require.NoError(t, m.revoke(stored(t, second)), "after a restart")
	require.False(t, m.ims.Valid(second.Data["access_token"].(string)))
}

func TestExclusiveRevocationThatCounts(t *testing.T) {
	for name, prepare := range map[string]func(m *mount){
		"expired":        func(m *mount) { m.clock.Advance(tokenLife); m.ims.Stop() },
		"unknown, 400":   func(m *mount) { m.ims.Inject(emulator.Fault{Status: 400, Code: "invalid_token"}) },
		"unknown, 401":   func(m *mount) { m.ims.Inject(emulator.Fault{Status: 401, Code: "invalid_token"}) },
		"config is gone": func(m *mount) { m.deleteAll("roles/batch", "roles/firefly", "config/default"); m.ims.Stop() },
		"role is gone":   func(m *mount) { m.deleteAll("roles/batch") },
		"mount is going": func(m *mount) { m.system.TaintedVal = true; m.ims.Stop() },
		"going and wrong": func(m *mount) {
			m.system.TaintedVal = true
			m.ims.Inject(emulator.Fault{Status: 400, Code: "invalid_client"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newExclusiveMount(t)
			resp := m.read("token/batch")
			prepare(m)
			require.NoError(t, m.revoke(stored(t, resp)))
			require.NoError(t, m.revoke(stored(t, resp)), "again")
		})
	}
}

func (m *mount) deleteAll(paths ...string) {
	m.t.Helper()
	for _, path := range paths {
		_, err := m.delete(path)
		require.NoError(m.t, err)
	}
}

func TestExclusiveRevocationThatIsTriedAgain(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"throttled":    {Status: 429},
		"failing":      {Status: 500},
		"dropped":      {Drop: true},
		"wrong secret": {Status: 400, Code: "invalid_client"},
		"forbidden":    {Status: 403},
		"redirect":     {Redirect: "http://127.0.0.1:1/"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newExclusiveMount(t)
			resp := m.read("token/batch")
			remove := m.ims.Inject(fault)
			err := m.revoke(stored(t, resp))
			require.Error(t, err)
			require.NotContains(t, err.Error(), resp.Data["access_token"])
			require.NotContains(t, err.Error(), testClientSecret)
			remove()
			require.NoError(t, m.revoke(stored(t, resp)))
			require.False(t, m.ims.Valid(resp.Data["access_token"].(string)))
		})
	}
}

// While the mount is removed, Vault waits for lease after lease: an IMS that
// hangs may hold it up once.
func TestRemovalOfTheMountWhileIMSHangs(t *testing.T) {
	m := newExclusiveMount(t)
	m.write("config/default", map[string]any{"request_timeout": "1s"})
	m.ims.ResetCounters()
	var leases []*logical.Response
	for range 5 {
		leases = append(leases, stored(t, m.read("token/batch")))
	}
	m.ims.Inject(emulator.Fault{Path: emulator.InvalidatePath, Hang: true})
	m.system.TaintedVal = true
	for _, lease := range leases {
		require.NoError(t, m.revoke(lease))
	}
	require.Equal(t, 1, m.ims.Count(emulator.InvalidatePath))
}

func TestExclusiveBackingOff(t *testing.T) {
	m := newExclusiveMount(t)
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 503})
	for range 100 {
		require.Contains(t, m.refused(503, logical.ReadOperation, "token/batch", nil), "in 1s")
	}
	require.Equal(t, 1, m.mints())
	require.EqualValues(t, 1, m.read("status/batch").Data["failures"])
}

func TestExclusiveReaderWhoLeaves(t *testing.T) {
	m := newExclusiveMount(t)
	m.latency(100 * time.Millisecond)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := m.backend.HandleRequest(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "token/batch", Storage: m.storage})
		left <- err
	}()
	m.eventually(func() bool { return m.mints() == 1 }, "the mint")
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	m.eventually(func() bool { return m.ims.Count(emulator.InvalidatePath) == 1 }, "a token that nobody got is invalidated")
}

func TestKillSwitchOnAnExclusiveRole(t *testing.T) {
	m := newExclusiveMount(t)
	message := m.refused(400, logical.DeleteOperation, "token/batch", nil)
	require.Contains(t, message, "vault lease revoke -prefix adobeims/token/batch")

	// Shared tokens from before the role was exclusive end all the same.
	shared := m.token("firefly")
	m.write("roles/firefly", map[string]any{"exclusive": true})
	m.refused(400, logical.DeleteOperation, "token/firefly", nil)
	require.False(t, m.ims.Valid(shared))
}

func TestLeaseWithoutAToken(t *testing.T) {
	m := newExclusiveMount(t)
	resp := stored(t, m.read("token/batch"))
	resp.Data = map[string]any{}
	require.NoError(t, m.revoke(resp), "nothing that ends as an irrevocable lease")
}

func TestLeaseCannotBeRenewed(t *testing.T) {
	m := newServingMount(t)
	resp := m.read("token/firefly")
	require.False(t, resp.Secret.Renewable)
	_, err := m.backend.HandleRequest(t.Context(), &logical.Request{Operation: logical.RenewOperation, Secret: resp.Secret, Storage: m.storage})
	require.Error(t, err)
}

// Vault hangs up as the token comes: it keeps no lease that would end it.
func TestExclusiveReaderWhoHasLeft(t *testing.T) {
	m := newExclusiveMount(t)
	answer, err := m.backend.tokens.Read(t.Context(), "batch")
	require.NoError(t, err)
	resp := &logical.Response{}
	got, err := m.backend.handOver(t.Context(), "batch", answer, resp)
	require.NoError(t, err)
	require.Equal(t, resp, got)

	ctx, leave := context.WithCancel(t.Context())
	leave()
	got, err = m.backend.handOver(ctx, "batch", answer, resp)
	require.ErrorIs(t, err, context.Canceled)
	require.Nil(t, got)
	m.eventually(func() bool { return !m.ims.Valid(string(answer.Token.AccessToken)) }, "the token to be ended")
	m.eventually(func() bool { return len(tokenKeys(m)) == 0 }, "nothing to be left on record")

	shared, err := m.backend.tokens.Read(t.Context(), "firefly")
	require.NoError(t, err)
	_, err = m.backend.handOver(ctx, "firefly", shared, resp)
	require.NoError(t, err, "others hold it")
	require.True(t, m.ims.Valid(string(shared.Token.AccessToken)))
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// threeTokens makes a role with three outstanding tokens.
func threeTokens(m *mount) [3]string {
	m.t.Helper()
	var tokens [3]string
	for i, scopes := range []string{"openid", "openid,AdobeID", "openid,AdobeID,firefly_api"} {
		m.write("roles/firefly", map[string]any{"scopes": scopes})
		m.clock.Advance(time.Second)
		tokens[i] = m.token("firefly")
	}
	require.Equal(m.t, 3, m.read("status/firefly").Data["outstanding_tokens"])
	return tokens
}

func TestKillSwitch(t *testing.T) {
	m := newServingMount(t)
	tokens := threeTokens(m)
	resp, err := m.delete("token/firefly")
	require.NoError(t, err)
	require.Nil(t, resp, "204")
	for _, token := range tokens {
		require.False(t, m.ims.Valid(token))
	}
	require.Empty(t, tokenKeys(m))
	for _, request := range m.ims.Requests(emulator.InvalidatePath) {
		require.Equal(t, "access_token", request.Form.Get("token_type"))
		require.Equal(t, testClientID, request.Form.Get("client_id"))
		require.Equal(t, testClientID, request.Header.Get("X-Ims-Clientid"))
		require.False(t, request.Form.Has("cascading"))
	}

	token := m.token("firefly")
	require.NotContains(t, tokens, token, "the next read mints")
	require.True(t, m.ims.Valid(token))

	_, err = m.delete("token/firefly")
	require.NoError(t, err)
	_, err = m.delete("token/firefly")
	require.NoError(t, err, "nothing outstanding")
}

func TestKillSwitchWhenOneInvalidationFails(t *testing.T) {
	m := newServingMount(t)
	tokens := threeTokens(m)
	remove := m.ims.Inject(emulator.Fault{
		Path:   emulator.InvalidatePath,
		Match:  func(r *http.Request) bool { return r.PostForm.Get("token") == tokens[1] },
		Status: 500,
		Code:   "internal_error",
	})
	resp, err := m.delete("token/firefly")
	message := refusal(t, http.StatusBadGateway, resp, err)
	require.Contains(t, message, `of 3 outstanding tokens of role "firefly", 1 could not be invalidated`)
	require.Contains(t, message, "the token of 2026-11-22T09:00:01Z")
	require.Contains(t, message, "internal_error")
	require.Contains(t, message, "x-debug-id")
	require.False(t, m.ims.Valid(tokens[0]))
	require.False(t, m.ims.Valid(tokens[2]))

	// The one left is on record, across a restart, and handed to nobody.
	m.restart()
	status := m.read("status/firefly").Data
	require.Equal(t, 1, status["outstanding_tokens"])
	require.Equal(t, 1, status["uninvalidated_tokens"])
	fresh := m.token("firefly")
	require.NotContains(t, tokens, fresh)
	m.refused(http.StatusBadGateway, logical.DeleteOperation, "token/firefly", nil)
	require.False(t, m.ims.Valid(fresh))

	remove()
	_, err = m.delete("token/firefly")
	require.NoError(t, err)
	require.False(t, m.ims.Valid(tokens[1]))
}

func TestKillSwitchSurvivesBeingKilled(t *testing.T) {
	m := newServingMount(t)
	token := m.token("firefly")
	died := errors.New("the process died")
	m.storage.failOn("delete", tokens.Prefix, died)
	_, err := m.delete("token/firefly")
	require.Equal(t, died, err)
	require.False(t, m.ims.Valid(token))
	m.storage.heal()
	m.restart()
	require.NotEqual(t, token, m.token("firefly"), "a token that may be invalidated is never handed out again")
}

func TestKillSwitchWhileStorageFails(t *testing.T) {
	m := newServingMount(t)
	token := m.token("firefly")
	broken := errors.New("storage is broken")
	m.storage.failOn("", tokens.Prefix, broken)
	_, err := m.delete("token/firefly")
	require.Equal(t, broken, err)
	require.Equal(t, 1, m.ims.Count(emulator.InvalidatePath), "an emergency does not wait for storage")
	require.False(t, m.ims.Valid(token))
	m.restart()
	m.storage.failOn("get", tokens.Prefix, broken)
	_, err = m.delete("token/firefly")
	require.Equal(t, broken, err)
}

// Tokens that are dead already count as invalidated, however IMS puts it.
func TestKillSwitchForDeadTokens(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"bad request":  {Status: 400, Code: "invalid_token"},
		"unauthorized": {Status: 401, Code: "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newServingMount(t)
			m.token("firefly")
			fault.Path = emulator.InvalidatePath
			m.ims.Inject(fault)
			_, err := m.delete("token/firefly")
			require.NoError(t, err)
			require.Empty(t, tokenKeys(m))
		})
	}
	t.Run("expired", func(t *testing.T) {
		m := newServingMount(t)
		m.token("firefly")
		m.clock.Advance(tokenLife)
		_, err := m.delete("token/firefly")
		require.NoError(t, err)
		require.Zero(t, m.ims.Count(emulator.InvalidatePath))
	})
}

func TestKillSwitchWithAWrongSecret(t *testing.T) {
	m := newServingMount(t)
	m.token("firefly")
	m.ims.Inject(emulator.Fault{Path: emulator.InvalidatePath, Status: 400, Code: "invalid_client"})
	require.Contains(t, m.refused(400, logical.DeleteOperation, "token/firefly", nil), "invalid_client")
	require.Equal(t, 1, m.read("status/firefly").Data["outstanding_tokens"])
}

// A token goes back to the IMS that gave it, with no other client's secret.
func TestKillSwitchAfterTheConfigChanged(t *testing.T) {
	m := newServingMount(t)
	m.token("firefly")
	m.write("config/default", map[string]any{
		"client_id": "another", "client_secret": "p8e-another", "ims_url": "https://ims.invalid", "verify": false,
	})
	_, err := m.delete("token/firefly")
	require.NoError(t, err)
	request := m.ims.Requests(emulator.InvalidatePath)[0]
	require.Equal(t, testClientID, request.Form.Get("client_id"))
	require.False(t, request.Form.Has("client_secret"))
}

func TestKillSwitchGivesAMintUnderWayUp(t *testing.T) {
	m := newServingMount(t)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Hang: true, Times: 1})
	defer remove()
	token := make(chan string)
	go func() { token <- m.token("firefly") }()
	m.eventually(func() bool { return m.mints() == 1 }, "a mint")
	_, err := m.delete("token/firefly")
	require.NoError(t, err)
	require.True(t, m.ims.Valid(<-token), "the reader gets a token from after")
}

func TestKillSwitchWhileReadersRead(t *testing.T) {
	m := newServingMount(t)
	m.latency(time.Millisecond)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				m.token("firefly")
			}
		}
	}()
	for range 20 {
		_, err := m.delete("token/firefly")
		require.NoError(t, err)
	}
	close(stop)
	<-done
	require.True(t, m.ims.Valid(m.token("firefly")))
}

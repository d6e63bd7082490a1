// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

func TestTokenRead(t *testing.T) {
	m := newServingMount(t)
	m.write("config/default", map[string]any{"org_id": testOrgID, "verify": false})

	resp := m.read("token/firefly")

	request := m.ims.Requests(emulator.TokenPath)[0]
	require.Equal(t, "openid,AdobeID,firefly_api", request.Form.Get("scope"))
	require.Equal(t, testClientID, request.Form.Get("client_id"))
	require.Equal(t, testClientSecret, request.Form.Get("client_secret"))
	require.Equal(t, testOrgID, request.Form.Get("org_id"))
	require.Empty(t, request.Header.Get("Authorization"))
	require.Empty(t, request.Query)
	require.Equal(t, userAgent, request.Header.Get("User-Agent"))

	require.True(t, m.ims.Valid(resp.Data["access_token"].(string)))
	delete(resp.Data, "access_token")
	require.Equal(t, map[string]any{
		"token_type":  "Bearer",
		"expires_in":  int64(86400),
		"expire_time": "2026-11-23T09:00:00Z",
		"scopes":      []string{"openid", "AdobeID", "firefly_api"},
		"client_id":   testClientID,
		"org_id":      testOrgID,
	}, resp.Data)
	require.Equal(t, tokenLife, resp.Secret.TTL)
	require.False(t, resp.Secret.Renewable)
	require.Empty(t, resp.Warnings)
}

func TestTokenReadByPost(t *testing.T) {
	m := newServingMount(t)
	resp, err := m.handle(logical.UpdateOperation, "token/firefly", map[string]any{})
	require.NoError(t, err)
	require.Equal(t, m.token("firefly"), resp.Data["access_token"])
}

func TestLeaseShrinksWithTheToken(t *testing.T) {
	m := newServingMount(t)
	m.token("firefly")
	m.clock.Advance(time.Hour + 300*time.Millisecond)
	resp := m.read("token/firefly")
	require.Equal(t, tokenLife-time.Hour-time.Second, resp.Secret.TTL, "whole seconds, never more than the token lives")
	require.EqualValues(t, 86400-3600-1, resp.Data["expires_in"])
}

func TestLeaseIsCappedByMaxTTL(t *testing.T) {
	m := newServingMount(t)
	m.write("roles/firefly", map[string]any{"max_ttl": "10m"})
	resp := m.read("token/firefly")
	require.Equal(t, 10*time.Minute, resp.Secret.TTL)
	require.EqualValues(t, 86400, resp.Data["expires_in"])
}

// The earlier end counts, of expires_in and of the token's own claims.
func TestLeaseFollowsTheClaims(t *testing.T) {
	m := newServingMount(t)
	m.ims.AlterClaims(func(claims map[string]any) { claims["expires_in"] = "3600000" })
	require.Equal(t, time.Hour, m.read("token/firefly").Secret.TTL)
}

func TestConcurrentFirstReadersCauseOneMint(t *testing.T) {
	m := newServingMount(t)
	m.latency(50 * time.Millisecond)
	tokens := make([]string, 500)
	var group sync.WaitGroup
	for i := range tokens {
		group.Go(func() { tokens[i] = m.token("firefly") })
	}
	group.Wait()
	for range 1000 {
		tokens = append(tokens, m.token("firefly"))
	}
	require.Equal(t, 1, m.mints())
	for _, token := range tokens {
		require.Equal(t, tokens[0], token)
	}
}

func TestLeaselessAnswer(t *testing.T) {
	m := newServingMount(t)
	m.write("roles/firefly", map[string]any{"leased": false})
	m.token("firefly")
	m.clock.Advance(time.Hour + 300*time.Millisecond)
	resp := m.read("token/firefly")
	require.Nil(t, resp.Secret)
	require.EqualValues(t, 11*3600, resp.Data["ttl"])
	require.EqualValues(t, 12*3600, resp.Data["rotation_period"])
	require.Equal(t, "2026-11-22T09:00:00Z", resp.Data["last_vault_rotation"])

	// Reading again when ttl is over, as consumers do, brings a newer token.
	first := m.token("firefly")
	m.clock.Advance(11 * time.Hour)
	m.eventually(func() bool { return m.token("firefly") != first }, "a newer token")
}

func TestTokenReadErrors(t *testing.T) {
	life := func(value any) func(map[string]any) {
		return func(answer map[string]any) { answer["expires_in"] = value }
	}
	for name, test := range map[string]struct {
		fault  emulator.Fault
		answer func(map[string]any)
		status int
		life   int
		says   string
	}{
		"wrong secret":   {fault: emulator.Fault{Status: 400, Code: "invalid_client", Description: "invalid client_secret parameter"}, status: 400, says: "config/default"},
		"401":            {fault: emulator.Fault{Status: 401, Code: "invalid_client"}, status: 400, says: "config/default"},
		"scope":          {fault: emulator.Fault{Status: 400, Code: "invalid_scope"}, status: 400, says: "Scopes tab"},
		"grant":          {fault: emulator.Fault{Status: 400, Code: "unauthorized_client"}, status: 400, says: "client_credentials"},
		"throttled":      {fault: emulator.Fault{Status: 429, RetryAfter: "7"}, status: 429, says: "in 7s"},
		"server error":   {fault: emulator.Fault{Status: 500, Code: "internal_error"}, status: 502, says: "internal_error"},
		"overloaded":     {fault: emulator.Fault{Status: 503, RetryAfter: "20"}, status: 503, says: "in 20s"},
		"dropped":        {fault: emulator.Fault{Drop: true}, status: 502, says: "EOF"},
		"page":           {fault: emulator.Fault{Body: "<html>p8e-nosecret</html>", ContentType: "text/html"}, status: 502, says: "HTTPS_PROXY"},
		"empty":          {fault: emulator.Fault{Body: "{}"}, status: 502, says: "no access_token"},
		"huge":           {fault: emulator.Fault{Body: `{"access_token":"x"}`, Size: 5 << 20}, status: 502, says: "larger than"},
		"cut off":        {fault: emulator.Fault{Body: `{"access_token":"x`, Truncate: true}, status: 502, says: "EOF"},
		"redirect":       {fault: emulator.Fault{Redirect: "http://127.0.0.1:1/"}, status: 502, says: "redirect"},
		"life 0":         {answer: life(0), status: 502, says: "expires_in"},
		"life -1":        {answer: life(-1), status: 502, says: "expires_in"},
		"life soon":      {answer: life("soon"), status: 502, says: "expires_in"},
		"life by claims": {answer: func(a map[string]any) { delete(a, "expires_in") }, life: 86400},
		"life too short": {answer: life(0.5), status: 502, says: "expires_in"},
		"life as a text": {answer: func(a map[string]any) { a["expires_in"] = "86399" }, life: 86399},
	} {
		t.Run(name, func(t *testing.T) {
			m := newServingMount(t)
			m.ims.AlterToken(test.answer)
			if test.answer == nil {
				m.ims.Inject(test.fault)
			}
			if test.status == 0 {
				require.EqualValues(t, test.life, m.read("token/firefly").Data["expires_in"])
				return
			}
			message := m.refused(test.status, logical.ReadOperation, "token/firefly", nil)
			require.Contains(t, message, test.says)
			if !test.fault.Drop && !test.fault.Truncate {
				require.Contains(t, message, "x-debug-id")
			}
			require.NotContains(t, message, "<html>")
			require.NotContains(t, message+m.log.String(), testClientSecret)
			m.eventually(func() bool { return len(tokenKeys(m)) == 0 }, "nothing stays on record")
		})
	}
}

func tokenKeys(m *mount) []string {
	var found []string
	for _, key := range m.storage.keys(m.t) {
		if strings.HasPrefix(key, tokens.Prefix) {
			found = append(found, key)
		}
	}
	return found
}

func TestUnreachableIMS(t *testing.T) {
	m := newServingMount(t)
	m.ims.Stop()
	message := m.refused(http.StatusBadGateway, logical.ReadOperation, "token/firefly", nil)
	require.Contains(t, message, "connection refused")
	require.Contains(t, message, "IMS is asked again from")
}

func TestHangingIMS(t *testing.T) {
	m := newServingMount(t)
	m.write("config/default", map[string]any{"request_timeout": "1s"})
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Hang: true})
	message := m.refused(http.StatusBadGateway, logical.ReadOperation, "token/firefly", nil)
	require.Contains(t, message, "no complete answer within 1s")
}

func TestUnknownRole(t *testing.T) {
	m := newServingMount(t)
	for _, op := range []logical.Operation{logical.ReadOperation, logical.DeleteOperation} {
		require.Contains(t, m.refused(400, op, "token/fierfly", nil), `role "fierfly" does not exist`)
	}
	require.Contains(t, m.refused(400, logical.ReadOperation, "status/fierfly", nil), `role "fierfly" does not exist`)
}

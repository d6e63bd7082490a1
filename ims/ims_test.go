// SPDX-License-Identifier: MPL-2.0

package ims_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const secret = "p8e-secret+of/the=tests"

var (
	credential = ims.Credential{ClientID: "client", ClientSecret: secret}
	scopes     = []string{"openid", "AdobeID"}
)

func start(t *testing.T) (*emulator.Server, *ims.Client, *clockwork.FakeClock) {
	t.Helper()
	clock := clockwork.NewFakeClockAt(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	server := emulator.New(emulator.Options{Clock: clock, TokenLife: 24 * time.Hour, RefuseDeadTokens: true})
	server.AddClient(emulator.Client{ID: "client", Secrets: []string{secret}})
	url, err := server.Start("")
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	client, err := ims.New(url, ims.Options{Timeout: time.Second, Now: clock.Now})
	require.NoError(t, err)
	return server, client, clock
}

func TestClientCredentials(t *testing.T) {
	server, client, clock := start(t)
	token, err := client.ClientCredentials(t.Context(), credential, scopes)
	require.NoError(t, err)
	require.True(t, server.Valid(string(token.AccessToken)))
	require.Equal(t, clock.Now(), token.Issued)
	require.Equal(t, clock.Now().Add(24*time.Hour), token.Expires)
	form := server.Requests(emulator.TokenPath)[0].Form
	require.Equal(t, "client_credentials", form.Get("grant_type"))
	require.Equal(t, "openid,AdobeID", form.Get("scope"))
	require.Equal(t, secret, form.Get("client_secret"))
	require.False(t, form.Has("org_id"))
}

func TestTokenLife(t *testing.T) {
	for name, test := range map[string]struct {
		answer, claims map[string]any
		life           time.Duration // 0: an error
	}{
		"a number":              {answer: map[string]any{"expires_in": 3599}, life: 3599 * time.Second},
		"a string":              {answer: map[string]any{"expires_in": "3599"}, life: 3599 * time.Second},
		"very long":             {answer: map[string]any{"expires_in": 1 << 40}, life: 24 * time.Hour},
		"milliseconds":          {answer: map[string]any{"expires_in": 86399992}, life: 24 * time.Hour},
		"shorter claims":        {claims: map[string]any{"expires_in": "3600000"}, life: time.Hour},
		"claims as numbers":     {claims: map[string]any{"expires_in": 3600000}, life: time.Hour},
		"longer claims":         {claims: map[string]any{"expires_in": "864000000"}, life: 24 * time.Hour},
		"claims without a life": {claims: map[string]any{"expires_in": "soon"}, life: 24 * time.Hour},
		"claims without a time": {claims: map[string]any{"created_at": nil}, life: 24 * time.Hour},
		"zero":                  {answer: map[string]any{"expires_in": 0}},
		"negative":              {answer: map[string]any{"expires_in": -1}},
		"a word":                {answer: map[string]any{"expires_in": "soon"}},
		"a fraction":            {answer: map[string]any{"expires_in": 0.5}},
		"missing":               {answer: map[string]any{"expires_in": nil}},
		"claims of no life":     {claims: map[string]any{"expires_in": "0"}},
		"claims of the past":    {claims: map[string]any{"created_at": "1000", "expires_in": "1000"}},
	} {
		t.Run(name, func(t *testing.T) {
			server, client, _ := start(t)
			server.AlterToken(merge(test.answer))
			server.AlterClaims(merge(test.claims))
			token, err := client.ClientCredentials(t.Context(), credential, scopes)
			if test.life == 0 {
				var failed *ims.Error
				require.ErrorAs(t, err, &failed)
				require.Equal(t, ims.Malformed, failed.Kind)
				require.NotEmpty(t, failed.DebugID)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.life, token.Expires.Sub(token.Issued))
		})
	}
}

func merge(changes map[string]any) func(map[string]any) {
	return func(to map[string]any) {
		for k, v := range changes {
			if to[k] = v; v == nil {
				delete(to, k)
			}
		}
	}
}

// A token that is no JWT tells nothing of its life.
func TestOpaqueToken(t *testing.T) {
	for _, opaque := range []string{"opaque", "a.b.c", "a.e30.c", "a.?.c", "a.bm8ganNvbg.c"} {
		server, client, _ := start(t)
		server.AlterToken(merge(map[string]any{"access_token": opaque}))
		token, err := client.ClientCredentials(t.Context(), credential, scopes)
		require.NoError(t, err)
		require.Equal(t, 24*time.Hour, token.Expires.Sub(token.Issued))
	}
}

func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		want  ims.Error
		text  string
	}{
		"refused": {
			emulator.Fault{Status: 400, Code: "invalid_client", Description: "invalid client_secret parameter"},
			ims.Error{Kind: ims.Refused, Status: 400, Code: "invalid_client", Description: "invalid client_secret parameter"},
			"failed: 400 invalid_client (invalid client_secret parameter), x-debug-id ",
		},
		"200 with an error": {emulator.Fault{Status: 200, Body: `{"error":"invalid_scope"}`}, ims.Error{Kind: ims.Refused, Status: 200, Code: "invalid_scope"}, "200 invalid_scope"},
		"forbidden":         {emulator.Fault{Status: 403, Body: "<html>"}, ims.Error{Kind: ims.Refused, Status: 403}, "403 Forbidden"},
		"throttled":         {emulator.Fault{Status: 429, RetryAfter: "7"}, ims.Error{Kind: ims.Throttled, Status: 429, RetryAfter: 7 * time.Second}, "429"},
		"unavailable":       {emulator.Fault{Status: 503, RetryAfter: "7"}, ims.Error{Kind: ims.Unavailable, Status: 503, RetryAfter: 7 * time.Second}, "503"},
		"redirect":          {emulator.Fault{Redirect: "http://127.0.0.1:1"}, ims.Error{Kind: ims.Malformed, Status: 302}, "redirect"},
		"page":              {emulator.Fault{Body: "<html>"}, ims.Error{Kind: ims.Malformed, Status: 200}, "200 but the answer is not a token in JSON"},
		"huge":              {emulator.Fault{Body: "{", Size: 5 << 20}, ims.Error{Kind: ims.Malformed}, "larger than"},
		"cut off":           {emulator.Fault{Body: "{", Truncate: true}, ims.Error{Kind: ims.Unreachable}, "EOF"},
		"dropped":           {emulator.Fault{Drop: true}, ims.Error{Kind: ims.Unreachable}, "EOF"},
		"echo of a secret":  {emulator.Fault{Status: 400, Code: "x" + secret, Description: secret}, ims.Error{Kind: ims.Refused, Status: 400, Code: "x[redacted]", Description: "[redacted]"}, "[redacted]"},
	} {
		t.Run(name, func(t *testing.T) {
			server, client, _ := start(t)
			granted, err := client.ClientCredentials(t.Context(), credential, scopes)
			require.NoError(t, err)
			server.Inject(test.fault)
			calls := map[string]error{"invalidation": client.Invalidate(t.Context(), credential, granted.AccessToken)}
			_, calls["request"] = client.ClientCredentials(t.Context(), credential, scopes)
			for call, err := range calls {
				if call == "invalidation" && (name == "page" || name == "200 with an error") {
					continue // a 2xx is a success, whatever its body
				}
				var failed *ims.Error
				require.ErrorAs(t, err, &failed, call)
				require.Contains(t, err.Error(), test.text)
				require.Contains(t, err.Error(), call)
				require.NotContains(t, err.Error(), secret)
				got := *failed
				got.Op, got.DebugID, got.Err = "", "", nil
				require.Equal(t, test.want, got, call)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	server, client, _ := start(t)
	server.Stop()
	_, err := client.ClientCredentials(t.Context(), credential, scopes)
	var failed *ims.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, ims.Unreachable, failed.Kind)
	require.ErrorContains(t, errors.Unwrap(failed), "connection refused")
}

func TestContextEnds(t *testing.T) {
	server, client, _ := start(t)
	server.Inject(emulator.Fault{Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := client.ClientCredentials(ctx, credential, scopes)
	require.Equal(t, context.DeadlineExceeded, err)
	require.Equal(t, context.DeadlineExceeded, client.Invalidate(ctx, credential, "token"))
}

func TestInvalidate(t *testing.T) {
	server, client, _ := start(t)
	token, err := client.ClientCredentials(t.Context(), credential, scopes)
	require.NoError(t, err)
	require.NoError(t, client.Invalidate(t.Context(), credential, token.AccessToken))
	require.False(t, server.Valid(string(token.AccessToken)))

	var failed *ims.Error
	require.ErrorAs(t, client.Invalidate(t.Context(), credential, token.AccessToken), &failed)
	require.True(t, failed.NoSuchToken())

	wrong := ims.Credential{ClientID: "client", ClientSecret: "p8e-wrong"}
	require.ErrorAs(t, client.Invalidate(t.Context(), wrong, token.AccessToken), &failed)
	require.Equal(t, ims.CodeInvalidClient, failed.Code)
	require.False(t, failed.NoSuchToken())
}

func TestNewRefusesACACertThatIsNone(t *testing.T) {
	_, err := ims.New("https://ims.example", ims.Options{CACert: "nothing"})
	require.Error(t, err)
}

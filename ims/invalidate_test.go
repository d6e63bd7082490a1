// SPDX-License-Identifier: MPL-2.0

package ims_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const page = `<!DOCTYPE html><html><body>Please sign in</body></html>`

var (
	wrongSecret  = reply{400, "-", "", `{"error":"invalid_client","error_description":"invalid client_secret parameter"}`}
	wrongClient  = reply{400, "-", "", `{"error":"invalid_client","error_description":"invalid client_id parameter"}`}
	notValid     = reply{200, "-", "", `{"valid":false,"reason":"revoked"}`}
	stillValid   = reply{200, "-", "", `{"valid":true,"token":{"client_id":"client"}}`}
	invalidToken = reply{400, "-", "", `{"error":"invalid_token"}`}
)

// endings are the two calls that end a token.
var endings = map[string]struct {
	path, kind string
	call       func(ctx context.Context, c *ims.Client) error
}{
	"invalidate": {emulator.InvalidatePath, "access_token", func(ctx context.Context, c *ims.Client) error {
		return c.Invalidate(ctx, credential, "the-made-up-token")
	}},
	"revoke": {emulator.RevokePath, "refresh_token", func(ctx context.Context, c *ims.Client) error {
		return c.Revoke(ctx, credential, "the-made-up-token")
	}},
}

// What answers, whether IMS is asked if the token lives, and whether that would
// be known by then.
func TestEvidenceOfAnEnd(t *testing.T) {
	for name, test := range map[string]struct {
		reply
		ends bool     // without asking
		asks bool     // otherwise
		kind ims.Kind // of the error, unless it turned out to be dead
	}{
		"200 empty":       {reply: reply{200, "-", "", ""}, ends: true},
		"200 {}":          {reply: reply{200, "application/json", "", "{}"}, ends: true},
		"204":             {reply: reply{204, "-", "", ""}, ends: true},
		"invalid_token":   {reply: invalidToken, ends: true},
		"401 likewise":    {reply: reply{401, "-", "", `{"error":"invalid_token","error_description":"d"}`}, ends: true},
		"200 page":        {reply: reply{200, "text/html", "", page}, asks: true, kind: ims.Malformed},
		"200 text":        {reply: reply{200, "text/plain", "", "OK"}, asks: true, kind: ims.Malformed},
		"200 object":      {reply: reply{200, "-", "", `{"status":"ok"}`}, asks: true, kind: ims.Malformed},
		"200 list":        {reply: reply{200, "-", "", `[]`}, asks: true, kind: ims.Malformed},
		"400 page":        {reply: reply{400, "text/html", "", page}, asks: true, kind: ims.Malformed},
		"401 page":        {reply: reply{401, "text/html", "", page}, asks: true, kind: ims.Malformed},
		"403 page":        {reply: reply{403, "text/html", "", page}, asks: true, kind: ims.Malformed},
		"404 page":        {reply: reply{404, "text/html", "", page}, asks: true, kind: ims.Malformed},
		"404 file server": {reply: reply{404, "text/plain", "", "404 page not found"}, asks: true, kind: ims.Malformed},
		"410 empty":       {reply: reply{410, "-", "", ""}, asks: true, kind: ims.Malformed},
		"redirect":        {reply: reply{302, "-", "", ""}, asks: true, kind: ims.Malformed},
		"invalid_request": {reply: reply{400, "-", "", `{"error":"invalid_request"}`}, asks: true, kind: ims.Refused},
		"bad_request":     {reply: reply{400, "-", "", `{"error":"bad_request"}`}, asks: true, kind: ims.Refused},
		"access_denied":   {reply: reply{403, "-", "", `{"error":"access_denied"}`}, asks: true, kind: ims.Refused},
		"200 with error":  {reply: reply{200, "-", "", `{"error":"access_denied"}`}, asks: true, kind: ims.Refused},
		"gateway":         {reply: reply{403, "-", "", `{"error_code":403003,"message":"Api Key is invalid"}`}, asks: true, kind: ims.Refused},
		"500 page":        {reply: reply{500, "text/html", "", page}, kind: ims.Unavailable},
		"500 empty":       {reply: reply{500, "-", "", ""}, kind: ims.Unavailable},
		"503 with a code": {reply: reply{503, "-", "", `{"error":"invalid_token"}`}, kind: ims.Unavailable},
		"429":             {reply: reply{429, "-", "30", `{"error":"invalid_token"}`}, kind: ims.Throttled},
		"wrong client":    {reply: wrongClient, kind: ims.Refused},
		"unauthorized":    {reply: reply{400, "-", "", `{"error":"unauthorized_client"}`}, kind: ims.Refused},
	} {
		for call, ending := range endings {
			t.Run(name+"/"+call, func(t *testing.T) {
				validations := map[string]reply{
					"not valid":  notValid,
					"valid":      stillValid,
					"page":       {200, "text/html", "", page},
					"403 page":   {403, "text/html", "", page},
					"says no":    {400, "-", "", `{"error":"invalid_request"}`},
					"{}":         {200, "-", "", "{}"},
					"empty":      {200, "-", "", ""},
					"a string":   {200, "-", "", `{"valid":"false"}`},
					"503":        {503, "-", "", `{"valid":false}`},
					"with error": {200, "-", "", `{"valid":false,"error":"invalid_client"}`},
				}
				for said, validation := range validations {
					d := answering(t, map[string][]reply{ending.path: {test.reply}, emulator.ValidatePath: {validation}})
					err := ending.call(t.Context(), d.Client)
					validated := d.asked[len(d.asked)-1].path == emulator.ValidatePath
					require.Equal(t, test.asks, validated, said)
					if test.ends || test.asks && said == "not valid" {
						require.NoError(t, err, said)
						continue
					}
					failed := failure(t, err, test.kind)
					require.Equal(t, test.status, failed.Status, "it is the invalidation's own")
					require.Equal(t, "debug-1", failed.RequestID)
					require.NotContains(t, err.Error(), "sign in")
					require.NotEqual(t, "token validation", failed.Op)
				}
			})
		}
	}
}

func TestValidationAsked(t *testing.T) {
	for _, ending := range endings {
		d := answering(t, map[string][]reply{ending.path: {{400, "-", "", page}}, emulator.ValidatePath: {notValid}})
		require.NoError(t, ending.call(t.Context(), d.Client))
		asked := d.asked[len(d.asked)-1]
		require.Equal(t, ending.kind, asked.form.Get("type"))
		require.Equal(t, "client", asked.form.Get("client_id"))
		require.Equal(t, "the-made-up-token", asked.form.Get("token"))
		require.Equal(t, "client", asked.header.Get("X-Ims-Clientid"))
		require.False(t, asked.form.Has("client_secret"))
	}
}

func TestInvalidate(t *testing.T) {
	for _, dies := range []bool{true, false} { // what IMS says of dead tokens is not documented
		server, client, _ := startWith(t, emulator.Options{RefuseDeadTokens: dies})
		token, err := client.ClientCredentials(t.Context(), credential, scopes)
		require.NoError(t, err)
		other, err := client.ClientCredentials(t.Context(), credential, scopes)
		require.NoError(t, err)
		for range 2 {
			require.NoError(t, client.Invalidate(t.Context(), credential, token.AccessToken))
			require.False(t, server.Valid(string(token.AccessToken)))
		}
		require.True(t, server.Valid(string(other.AccessToken)), "others live on")
		request := server.Requests(emulator.InvalidatePath)[0]
		require.Equal(t, "client", request.Header.Get("X-Ims-Clientid"))
		require.Equal(t, "access_token", request.Form.Get("token_type"))
		require.False(t, request.Form.Has("cascading"))
		require.Empty(t, server.Requests(emulator.ValidatePath))
	}
}

// A secret that is wrong by now, or that of another client, is left out.
func TestInvalidateWithAWrongSecret(t *testing.T) {
	server, client, _ := start(t)
	token, err := client.ClientCredentials(t.Context(), credential, scopes)
	require.NoError(t, err)
	wrong := ims.Credential{ClientID: "client", ClientSecret: "p8e-wrong"}
	require.NoError(t, client.Invalidate(t.Context(), wrong, token.AccessToken))
	require.False(t, server.Valid(string(token.AccessToken)))

	untold := reply{401, "-", "", `{"error":"invalid_client"}`}
	for name, test := range map[string]struct {
		answers []reply
		cred    ims.Credential
		asked   int
		code    string // "": dead
		words   string
	}{
		"then dead":            {[]reply{wrongSecret, invalidToken}, credential, 2, "", ""},
		"not told, then ended": {[]reply{untold, {200, "-", "", ""}}, credential, 2, "", ""},
		"then asked":           {[]reply{wrongSecret, {400, "-", "", `{"error":"invalid_request"}`}}, credential, 3, "", ""},
		"needed after all":     {[]reply{wrongSecret, untold}, credential, 2, "invalid_client", "invalid client_secret parameter"},
		"none to leave out":    {[]reply{untold}, ims.Credential{ClientID: "client"}, 1, "invalid_client", ""},
		"client gone":          {[]reply{wrongClient}, credential, 1, "invalid_client", "invalid client_id parameter"},
		"something else":       {[]reply{{400, "-", "", `{"error":"invalid_client","error_description":"blocked"}`}}, credential, 1, "invalid_client", "blocked"},
	} {
		t.Run(name, func(t *testing.T) {
			d := answering(t, map[string][]reply{emulator.InvalidatePath: test.answers, emulator.ValidatePath: {notValid}})
			err := d.Invalidate(t.Context(), test.cred, "the-made-up-token")
			require.Len(t, d.asked, test.asked)
			if test.asked > 1 {
				require.Equal(t, secret, d.asked[0].form.Get("client_secret"))
				require.False(t, d.asked[1].form.Has("client_secret"))
			}
			if test.code == "" {
				require.NoError(t, err)
				return
			}
			failed := failure(t, err, ims.Refused)
			require.Equal(t, test.code, failed.Code)
			require.Equal(t, test.words, failed.Description)
			require.Equal(t, name == "client gone", ims.ClientUnknown(err))
		})
	}
}

func TestClientUnknown(t *testing.T) {
	unknown := &ims.Error{Kind: ims.Refused, Code: "invalid_client", Description: "Invalid client_id parameter"}
	require.True(t, ims.ClientUnknown(unknown))
	for _, err := range []error{
		nil, context.Canceled,
		&ims.Error{Kind: ims.Refused, Code: "invalid_client"},
		&ims.Error{Kind: ims.Refused, Code: "invalid_client", Description: "invalid client_secret parameter"},
		&ims.Error{Kind: ims.Refused, Code: "invalid_request", Description: "invalid client_id parameter"},
		&ims.Error{Kind: ims.Unavailable, Code: "invalid_client", Description: "invalid client_id parameter"},
	} {
		require.False(t, ims.ClientUnknown(err), err)
	}
}

func TestValidate(t *testing.T) {
	server, client, clock := start(t)
	token, err := client.ClientCredentials(t.Context(), credential, scopes)
	require.NoError(t, err)
	valid, err := client.Validate(t.Context(), "client", ims.TypeAccessToken, token.AccessToken)
	require.NoError(t, err)
	require.True(t, valid)
	clock.Advance(25 * time.Hour)
	valid, err = client.Validate(t.Context(), "client", ims.TypeAccessToken, token.AccessToken)
	require.NoError(t, err)
	require.False(t, valid)
	_, err = client.Validate(t.Context(), "another", ims.TypeAccessToken, token.AccessToken)
	require.True(t, ims.ClientUnknown(err), err)
	server.Stop()
	_, err = client.Validate(t.Context(), "client", ims.TypeAccessToken, token.AccessToken)
	_ = failure(t, err, ims.Unreachable)

	d := answering(t, only(emulator.ValidatePath, reply{200, "-", "", `{"reason":"?"}`}))
	_, err = d.Validate(t.Context(), "client", ims.TypeAccessToken, "made-up")
	require.ErrorContains(t, failure(t, err, ims.Malformed), "IMS token validation failed: 200 OK: the answer does not say whether the token is valid")
}

// Who does not let a request pass gets their own words back, and nothing is
// sent.
func TestProceed(t *testing.T) {
	d := answering(t, nil)
	condemned := errors.New("the role was deleted")
	ctx := ims.WithProceed(t.Context(), func() error { return condemned })
	_, err := d.ClientCredentials(ctx, credential, scopes)
	require.Same(t, condemned, err)
	_, err = d.Refresh(ctx, credential, "made-up")
	require.Same(t, condemned, err)
	for _, ending := range endings {
		require.Same(t, condemned, ending.call(ctx, d.Client))
	}
	require.Empty(t, d.asked)
}

// A client that IMS asks for fewer requests still ends its tokens, and other
// clients are not held up.
func TestThrottleHoldsUpNoEnding(t *testing.T) {
	d := answering(t, map[string][]reply{
		emulator.TokenPath: {{429, "-", "60", ""}}, emulator.InvalidatePath: {{200, "-", "", ""}},
		emulator.RevokePath: {{200, "-", "", ""}}, emulator.ValidatePath: {notValid},
	})
	for range 2 {
		_, err := d.ClientCredentials(t.Context(), credential, scopes)
		require.Equal(t, time.Minute, failure(t, err, ims.Throttled).RetryAfter)
	}
	require.Len(t, d.asked, 1, "the second was not sent")
	for _, ending := range endings {
		require.NoError(t, ending.call(t.Context(), d.Client))
	}
	_, err := d.Validate(t.Context(), "client", ims.TypeAccessToken, "made-up")
	require.NoError(t, err)
	require.Len(t, d.asked, 4)
	_, err = d.ClientCredentials(t.Context(), ims.Credential{ClientID: "another", ClientSecret: secret}, scopes)
	_ = failure(t, err, ims.Throttled)
	require.Len(t, d.asked, 5, "it asked for itself")
}

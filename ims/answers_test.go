// SPDX-License-Identifier: MPL-2.0

package ims_test

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// asString and asNumber are claims of a token that was created now (%d), as IMS
// writes them and as others do.
const (
	asString = `{"created_at":"%d","expires_in":"%d"}`
	asNumber = `{"created_at":%d,"expires_in":%d}`
)

// The shapes of answers that Adobe documents, and those that its libraries are
// built for.
func TestAnswers(t *testing.T) {
	const json, plain = "application/json;charset=UTF-8", "text/plain; charset=utf-8"
	now := began.UnixMilli()
	day := jwt(base64.RawURLEncoding, fmt.Sprintf(asString, now, 86_400_000))
	for name, test := range map[string]struct {
		reply
		life time.Duration // of a token; 0: an error
		kind ims.Kind      // of the error
		code string
		wait time.Duration
	}{
		"documented":            {reply: reply{200, json, "", `{"access_token":"made-up","token_type":"bearer","expires_in":86399}`}, life: 86399 * time.Second},
		"without token_type":    {reply: reply{200, json, "", `{"access_token":"made-up","expires_in":3599}`}, life: 3599 * time.Second},
		"life as a string":      {reply: reply{200, json, "", `{"access_token":"made-up","expires_in":"1000"}`}, life: 1000 * time.Second},
		"life as a fraction":    {reply: reply{200, json, "", `{"access_token":"made-up","expires_in":1000.5}`}, life: 1000500 * time.Millisecond},
		"token_type Bearer":     {reply: reply{200, json, "", `{"access_token":"made-up","token_type":"Bearer","expires_in":300}`}, life: 300 * time.Second},
		"text/plain":            {reply: reply{200, plain, "", `{"access_token":"made-up","expires_in":3600}`}, life: time.Hour},
		"no content type":       {reply: reply{200, "-", "", `{"access_token":"made-up","expires_in":3600}`}, life: time.Hour},
		"octets":                {reply: reply{200, "application/octet-stream", "", `{"access_token":"made-up","expires_in":3600}`}, life: time.Hour},
		"a form's content type": {reply: reply{200, "application/x-www-form-urlencoded", "", `{"access_token":"made-up","expires_in":3600}`}, life: time.Hour},
		"userId and refresh":    {reply: reply{200, json, "", `{"access_token":"made-up","refresh_token":"rt","expires_in":3600,"userId":"u"}`}, life: time.Hour},
		"milliseconds":          {reply: reply{200, json, "", `{"access_token":"made-up","expires_in":86400000}`}, life: 24 * time.Hour},
		"milliseconds, claims":  {reply: reply{200, json, "", `{"access_token":"` + day + `","expires_in":86399994}`}, life: 86399994 * time.Millisecond},
		"31 days":               {reply: reply{200, json, "", `{"access_token":"made-up","expires_in":2678400}`}, life: 31 * 24 * time.Hour},
		"beyond all lives":      {reply: reply{200, json, "", `{"access_token":"made-up","expires_in":1e300}`}, life: 31 * 24 * time.Hour},
		"claims as numbers":     {reply: reply{200, json, "", `{"access_token":"` + jwt(base64.RawURLEncoding, fmt.Sprintf(asNumber, now, 300_000)) + `","expires_in":86399}`}, life: 300 * time.Second},
		"claims, standard":      {reply: reply{200, json, "", `{"access_token":"` + jwt(base64.StdEncoding, fmt.Sprintf(asString, now, 300_000)) + `","expires_in":86399}`}, life: 300 * time.Second},
		"claims, padded":        {reply: reply{200, json, "", `{"access_token":"` + jwt(base64.URLEncoding, fmt.Sprintf(asString, now, 300_000)) + `","expires_in":86399}`}, life: 300 * time.Second},
		"claims of the past":    {reply: reply{200, json, "", `{"access_token":"` + jwt(base64.RawURLEncoding, fmt.Sprintf(asNumber, 100, 300)) + `","expires_in":86399}`}, kind: ims.Malformed},
		"no life":               {reply: reply{200, json, "", `{"access_token":"made-up","token_type":"bearer"}`}, kind: ims.Malformed},
		"no life but claims":    {reply: reply{200, json, "", `{"access_token":"` + day + `"}`}, life: 24 * time.Hour},
		"null life but claims":  {reply: reply{200, json, "", `{"access_token":"` + day + `","expires_in":null}`}, life: 24 * time.Hour},
		"empty token":           {reply: reply{200, json, "", `{"access_token":"","expires_in":300}`}, kind: ims.Malformed},
		"token of no string":    {reply: reply{200, json, "", `{"access_token":["made-up"],"expires_in":300}`}, kind: ims.Malformed},
		"token with a newline":  {reply: reply{200, json, "", `{"access_token":"made\nup","expires_in":300}`}, kind: ims.Malformed},
		"huge token":            {reply: reply{200, json, "", fmt.Sprintf(`{"access_token":"%0100000d","expires_in":300}`, 0)}, kind: ims.Malformed},
		"200 with an error":     {reply: reply{200, json, "", `{"error":"invalid_client"}`}, kind: ims.Refused, code: "invalid_client"},
		"200 with both":         {reply: reply{200, json, "", `{"access_token":"made-up","expires_in":300,"error":"invalid_scope"}`}, kind: ims.Refused, code: "invalid_scope"},
		"200 {}":                {reply: reply{200, json, "", `{}`}, kind: ims.Malformed},
		"200 empty":             {reply: reply{200, "-", "", ``}, kind: ims.Malformed},
		"200 list":              {reply: reply{200, json, "", `[{"access_token":"made-up","expires_in":300}]`}, kind: ims.Malformed},
		"200 page":              {reply: reply{200, "text/html", "", `<html>sign in</html>`}, kind: ims.Malformed},
		"204":                   {reply: reply{204, "-", "", ``}, kind: ims.Malformed},
		"201":                   {reply: reply{201, json, "", `{"access_token":"made-up","expires_in":300}`}, life: 300 * time.Second},
		"redirect":              {reply: reply{302, "-", "", ``}, kind: ims.Malformed},
		"wrong secret":          {reply: reply{400, json, "", `{"error":"invalid_client","error_description":"invalid client_secret parameter"}`}, kind: ims.Refused, code: "invalid_client"},
		"401 invalid_client":    {reply: reply{401, json, "", `{"error":"invalid_client"}`}, kind: ims.Refused, code: "invalid_client"},
		"403 message":           {reply: reply{403, json, "", `{"message":"nope"}`}, kind: ims.Refused},
		"error as an object":    {reply: reply{400, json, "", `{"error":{"code":"x","message":"y"}}`}, kind: ims.Refused, code: "x"},
		"400 text/plain":        {reply: reply{400, "text/plain", "", `{"error":"invalid_scope","error_description":"d"}`}, kind: ims.Refused, code: "invalid_scope"},
		"400 empty":             {reply: reply{400, "-", "", ``}, kind: ims.Malformed},
		"403 page":              {reply: reply{403, "text/html", "", `<html>blocked by policy</html>`}, kind: ims.Malformed},
		"404 of a file server":  {reply: reply{404, "text/plain", "", `404 page not found`}, kind: ims.Malformed},
		"503 {}":                {reply: reply{503, json, "", `{}`}, kind: ims.Unavailable},
		"503 invalid_client":    {reply: reply{503, json, "", `{"error":"invalid_client"}`}, kind: ims.Unavailable, code: "invalid_client"},
		"502 text":              {reply: reply{502, "text/html", "", `Bad Gateway`}, kind: ims.Unavailable},
		"500 internal_error":    {reply: reply{500, json, "", `{"error":"internal_error","error_description":"Please try again later"}`}, kind: ims.Unavailable, code: "internal_error"},
		"429":                   {reply: reply{429, json, "7", `{"error":"rate"}`}, kind: ims.Throttled, code: "rate", wait: 7 * time.Second},
		"429 until a date":      {reply: reply{429, "-", "Sun, 22 Nov 2026 09:00:30 GMT", ``}, kind: ims.Throttled, wait: 30 * time.Second},
		"429 for no time":       {reply: reply{429, "-", "0", ``}, kind: ims.Throttled},
		"429 of the gateway":    {reply: reply{429, json, "", `{"error_code":"429050","message":"Too many requests"}`}, kind: ims.Throttled, code: "429050"},
	} {
		t.Run(name, func(t *testing.T) {
			d := answering(t, only(emulator.TokenPath, test.reply))
			token, err := d.ClientCredentials(t.Context(), credential, scopes)
			require.Len(t, d.asked, 1)
			if test.life > 0 {
				require.NoError(t, err)
				require.Equal(t, began, token.Issued)
				require.Equal(t, test.life, token.Expires.Sub(token.Issued))
				require.NotEmpty(t, string(token.AccessToken))
				return
			}
			failed := failure(t, err, test.kind)
			require.Equal(t, test.status, failed.Status)
			require.Equal(t, test.code, failed.Code)
			require.Equal(t, test.wait, failed.RetryAfter)
			require.Equal(t, "debug-1", failed.RequestID)
			require.Equal(t, test.kind == ims.Refused, ims.RefusedWith(err, test.code), "only a refusal is one")
			require.NotContains(t, err.Error(), "made")
		})
	}
}

// A token that was granted and cannot be used can still be invalidated.
func TestUnusableToken(t *testing.T) {
	d := answering(t, only(emulator.TokenPath, reply{200, "-", "", `{"access_token":"made-up","expires_in":0}`}))
	token, err := d.ClientCredentials(t.Context(), credential, scopes)
	require.EqualError(t, failure(t, err, ims.Malformed),
		"IMS token request failed: 200 OK: expires_in is 0, which is not a positive number of seconds, x-debug-id debug-1")
	require.Equal(t, &ims.Token{AccessToken: "made-up", Issued: began}, token)

	d = answering(t, only(emulator.TokenPath, reply{200, "-", "", `{"expires_in":300}`}))
	token, err = d.ClientCredentials(t.Context(), credential, scopes)
	require.ErrorContains(t, failure(t, err, ims.Malformed), "200 OK: the answer has no access_token")
	require.Nil(t, token)
}

func TestGrantedScopesAndUser(t *testing.T) {
	claimed := jwt(base64.RawURLEncoding, `{"scope":"openid,AdobeID","user_id":"A1@techacct.adobe.com"}`)
	for name, test := range map[string]struct {
		answer string
		scopes []string
		user   string
	}{
		"neither tells":         {`"access_token":"made-up"`, nil, ""},
		"with commas":           {`"access_token":"made-up","scope":"openid,AdobeID"`, []string{"openid", "AdobeID"}, ""},
		"with spaces":           {`"access_token":"made-up","scope":" openid  AdobeID "`, []string{"openid", "AdobeID"}, ""},
		"with both":             {`"access_token":"made-up","scope":"openid, AdobeID"`, []string{"openid", "AdobeID"}, ""},
		"as a list":             {`"access_token":"made-up","scope":["openid","AdobeID",7]`, []string{"openid", "AdobeID"}, ""},
		"of the token":          {`"access_token":"` + claimed + `"`, []string{"openid", "AdobeID"}, "A1@techacct.adobe.com"},
		"the answer's count":    {`"access_token":"` + claimed + `","scope":"openid","sub":"B2@AdobeID"`, []string{"openid"}, "B2@AdobeID"},
		"an empty one is none":  {`"access_token":"` + claimed + `","scope":"","user_id":""`, []string{"openid", "AdobeID"}, "A1@techacct.adobe.com"},
		"of no type":            {`"access_token":"made-up","scope":{"a":"b"},"sub":7`, nil, ""},
		"user_id":               {`"access_token":"made-up","user_id":"B2@AdobeID"`, nil, "B2@AdobeID"},
		"userId":                {`"access_token":"made-up","userId":"B2@AdobeID"`, nil, "B2@AdobeID"},
		"odd characters":        {`"access_token":"made-up","scope":"a\u0000 ok \u200b","sub":"a b"`, []string{"ok"}, ""},
		"the client's secret":   {`"access_token":"made-up","scope":"openid ` + secret + `","sub":"` + secret[4:14] + `"`, []string{"openid"}, ""},
		"nothing but a secret":  {`"access_token":"made-up","scope":"` + secret + `"`, nil, ""},
		"the token":             {`"access_token":"made-up","scope":"made-up openid","sub":"made-up"`, []string{"openid"}, ""},
		"a secret in its claim": {`"access_token":"` + jwt(base64.RawURLEncoding, `{"user_id":"`+secret+`"}`) + `"`, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := answering(t, only(emulator.TokenPath, reply{200, "-", "", `{"expires_in":300,` + test.answer + `}`}))
			token, err := d.ClientCredentials(t.Context(), credential, scopes)
			require.NoError(t, err)
			require.Equal(t, test.scopes, token.Scopes)
			require.Equal(t, test.user, token.UserID)
		})
	}
}

func TestTooManyScopesAreNotBelieved(t *testing.T) {
	list := ""
	for i := range 501 {
		list += fmt.Sprintf("s%d,", i)
	}
	d := answering(t, only(emulator.TokenPath, reply{200, "-", "", `{"access_token":"made-up","expires_in":300,"scope":"` + list + `"}`}))
	token, err := d.ClientCredentials(t.Context(), credential, scopes)
	require.NoError(t, err)
	require.Nil(t, token.Scopes)
}

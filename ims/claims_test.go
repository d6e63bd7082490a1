// SPDX-License-Identifier: MPL-2.0

package ims_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

func TestReadClaims(t *testing.T) {
	const full = `{"client_id":"client","user_id":"A1@AdobeID","type":"access_token","scope":"openid,AdobeID",` +
		`"created_at":"1782448485000","expires_in":"86400000"}`
	created := time.UnixMilli(1782448485000).UTC()
	want := ims.Claims{ClientID: "client", UserID: "A1@AdobeID", Type: ims.TypeAccessToken, Scopes: scopes,
		Created: created, Expires: created.Add(24 * time.Hour)}
	for name, encoding := range map[string]*base64.Encoding{
		"JWT": base64.RawURLEncoding, "padded": base64.URLEncoding, "standard": base64.StdEncoding, "standard, not padded": base64.RawStdEncoding,
	} {
		// The more odd characters, the more the alphabets differ.
		claims, ok := ims.ReadClaims(jwt(encoding, strings.Replace(full, `"type"`, `"odd":"ÿþ?>~ÿ","type"`, 1)))
		require.True(t, ok, name)
		require.Equal(t, want, claims, name)
	}
	for claims, want := range map[string]ims.Claims{
		`{"created_at":1782448485000,"expires_in":86400000}`:               {Created: created, Expires: created.Add(24 * time.Hour)},
		`{"created_at":"1782448485000","expires_in":"0"}`:                  {Created: created, Expires: created},
		`{"created_at":"1782448485000","expires_in":"soon"}`:               {Created: created},
		`{"created_at":"1782448485000"}`:                                   {Created: created},
		`{"created_at":"1782448485000","expires_in":"1e3"}`:                {Created: created},
		`{"created_at":"99999999999999999","expires_in":"1","type":"t"}`:   {Type: "t"},
		`{"created_at":"-1","expires_in":"1","type":"t"}`:                  {Type: "t"},
		`{"expires_in":"86400000","type":"t"}`:                             {Type: "t"},
		`{"client_id":"` + strings.Repeat("c", 201) + `","type":"t"}`:      {Type: "t"},
		`{"client_id":"a\u0000b","user_id":"a b","scope":{},"type":"t"}`:   {Type: "t"},
		`{"client_id":7,"user_id":null,"type":"device_token","scope":[7]}`: {Type: "device_token"},
	} {
		got, ok := ims.ReadClaims(jwt(base64.RawURLEncoding, claims))
		require.True(t, ok, claims)
		require.Equal(t, want, got, claims)
	}
	huge := jwt(base64.RawURLEncoding, `{"type":"t","fill":"`+strings.Repeat("x", 64<<10)+`"}`)
	for _, token := range []string{"", "opaque", "a.b.c", "a.e30.c", "a.?.c", "a.bm8ganNvbg.c", "..", strings.Repeat(".", 100_000), huge,
		jwt(base64.RawURLEncoding, full) + ".more", jwt(base64.RawURLEncoding, `null`), jwt(base64.RawURLEncoding, `[]`),
		jwt(base64.RawURLEncoding, `{"iss":"another"}`)} {
		claims, ok := ims.ReadClaims(token)
		require.False(t, ok, token[:min(len(token), 40)])
		require.Zero(t, claims)
	}
}

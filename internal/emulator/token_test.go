// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestClientCredentials(t *testing.T) {
	f := start(t, emulator.Options{})
	a := f.post(emulator.TokenPath, clientCredentials("scope", "openid,AdobeID")...)
	require.Equal(t, http.StatusOK, a.status)
	require.NotEmpty(t, a.header.Get("X-Debug-Id"))

	got := a.json(t)
	token := got["access_token"].(string)
	delete(got, "access_token")
	require.Equal(t, map[string]any{"token_type": "bearer", "expires_in": 86400.0}, got)

	header, claims := f.verify(token)
	require.Equal(t, "ims_na1-key-at-1.cer", header["x5u"])
	require.Equal(t, "at", header["itt"])
	for name, want := range map[string]any{
		"type": "access_token", "client_id": clientID, "as": "ims-na1", "scope": "openid,AdobeID",
		"created_at": "1772600767000", "expires_in": "86400000",
	} {
		require.Equal(t, want, claims[name], name)
	}
	require.Regexp(t, `^[0-9A-F]{24}@techacct\.adobe\.com$`, claims["user_id"])
	require.NotContains(t, claims, "exp")

	require.True(t, f.Valid(token))
	f.clock.Advance(24*time.Hour - time.Millisecond)
	require.True(t, f.Valid(token))
	f.clock.Advance(time.Millisecond)
	require.False(t, f.Valid(token))
}

func TestClientCredentialsRefused(t *testing.T) {
	type fields = map[string]any
	badSecret := fields{"error": "invalid_client", "error_description": "invalid client_secret parameter"}
	badID := fields{"error": "invalid_client", "error_description": "invalid client_id parameter"}
	for name, c := range map[string]struct {
		options emulator.Options
		form    []string
		status  int
		want    fields
	}{
		"wrong secret":         {form: clientCredentials("client_secret", "wrong"), want: badSecret},
		"no secret":            {form: clientCredentials("client_secret", ""), want: badSecret},
		"unknown client":       {form: clientCredentials("client_id", "wrong"), want: badID},
		"no client":            {form: []string{"grant_type", "client_credentials"}, want: badID},
		"refused with 401":     {options: emulator.Options{InvalidClientStatus: 401}, form: clientCredentials("client_id", "x"), status: 401, want: badID},
		"scope not allowed":    {form: clientCredentials("client_id", "limited", "scope", "openid,more"), want: fields{"error": "invalid_scope"}},
		"case of scopes":       {form: clientCredentials("client_id", "limited", "scope", "OpenID"), want: fields{"error": "invalid_scope"}},
		"no scope":             {form: clientCredentials(), want: fields{"error": "invalid_scope"}},
		"web app":              {form: clientCredentials("client_id", webID, "client_secret", webSecret), want: fields{"error": "unauthorized_client"}},
		"organisation missing": {form: clientCredentials("client_id", "partner", "scope", "openid"), want: fields{"error": "invalid_request", "error_description": "invalid org_id parameter"}},
		"other grant":          {form: clientCredentials("grant_type", "password"), want: fields{"error": "unsupported_grant_type"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, c.options)
			f.AddClient(emulator.Client{ID: "limited", Secrets: []string{clientSecret}, Scopes: []string{"openid", "AdobeID"}})
			f.AddClient(emulator.Client{ID: "partner", Secrets: []string{clientSecret}, OrgID: orgID, NeedsOrg: true})
			a := f.post(emulator.TokenPath, c.form...)
			require.Equal(t, max(c.status, http.StatusBadRequest), a.status)
			require.Equal(t, c.want, a.json(t))
			require.NotEmpty(t, a.header.Get("X-Debug-Id"))
		})
	}
}

func TestClientCredentialsAccepted(t *testing.T) {
	basic := func(f *fixture) answer {
		r := f.request(http.MethodPost, emulator.TokenPath, form("grant_type", "client_credentials", "scope", "openid"))
		r.SetBasicAuth(clientID, clientSecret)
		return f.send(r)
	}
	for name, c := range map[string]struct {
		options emulator.Options
		send    func(f *fixture) answer
		scope   string
	}{
		"scopes with spaces": {scope: "openid,AdobeID", send: func(f *fixture) answer {
			return f.post(emulator.TokenPath, clientCredentials("scope", "openid AdobeID")...)
		}},
		"scopes with both": {scope: "openid,AdobeID", send: func(f *fixture) answer {
			return f.post(emulator.TokenPath, clientCredentials("scope", "openid, AdobeID")...)
		}},
		"in the URL": {scope: "openid", send: func(f *fixture) answer {
			return f.post(emulator.TokenPath+"?"+form(clientCredentials("scope", "openid")...).Encode(), "unused", "")
		}},
		"multipart": {scope: "openid", send: func(f *fixture) answer {
			return f.multipart(emulator.TokenPath, "", clientCredentials("scope", "openid")...)
		}},
		"organisation": {scope: "openid", send: func(f *fixture) answer {
			f.AddClient(emulator.Client{ID: "partner", Secrets: []string{clientSecret}, OrgID: orgID, NeedsOrg: true})
			return f.post(emulator.TokenPath, clientCredentials("client_id", "partner", "scope", "openid", "org_id", orgID)...)
		}},
		"no scope, if so set": {options: emulator.Options{OptionalScope: true}, scope: "a,b", send: func(f *fixture) answer {
			f.AddClient(emulator.Client{ID: "ab", Secrets: []string{clientSecret}, Scopes: []string{"a", "b"}})
			return f.post(emulator.TokenPath, clientCredentials("client_id", "ab")...)
		}},
		"basic, if so set": {options: emulator.Options{BasicClientCredentials: true}, scope: "openid", send: basic},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, c.options)
			a := c.send(f)
			require.Equal(t, http.StatusOK, a.status, a.body)
			_, claims := f.verify(a.json(t)["access_token"].(string))
			require.Equal(t, c.scope, claims["scope"])
		})
	}
	require.Equal(t, http.StatusBadRequest, basic(start(t, emulator.Options{})).status)
}

func TestScopesAreNarrowed(t *testing.T) {
	f := start(t, emulator.Options{NarrowScopes: true})
	f.AddClient(emulator.Client{ID: "limited", Secrets: []string{clientSecret}, Scopes: []string{"openid", "AdobeID"}})
	ask := func(scope string) answer {
		return f.post(emulator.TokenPath, clientCredentials("client_id", "limited", "scope", scope)...)
	}
	got := ask("openid,more").json(t)
	require.Equal(t, "openid", got["scope"])
	_, claims := f.verify(got["access_token"].(string))
	require.Equal(t, "openid", claims["scope"])
	require.NotContains(t, ask("openid").json(t), "scope", "nothing to tell")
	require.Equal(t, map[string]any{"error": "invalid_scope"}, ask("more").json(t))
}

func TestTechnicalAccount(t *testing.T) {
	f := start(t, emulator.Options{})
	const account = "0123456789ABCDEF01234567@techacct.adobe.com"
	f.AddClient(emulator.Client{ID: clientID, Secrets: []string{clientSecret}, TechnicalAccountID: account})
	_, claims := f.verify(f.mint("a"))
	require.Equal(t, account, claims["user_id"])
}

func TestTokenLife(t *testing.T) {
	f := start(t, emulator.Options{TokenLife: 90 * time.Second})
	life := func() any {
		return f.post(emulator.TokenPath, clientCredentials("scope", "a")...).json(t)["expires_in"]
	}
	require.Equal(t, 90.0, life())
	f.Configure(func(o *emulator.Options) { o.TokenLife = time.Minute })
	require.Equal(t, 60.0, life())
	f.Configure(func(o *emulator.Options) { o.TokenLife = 0 })
	require.Equal(t, 86400.0, life())
}

func TestAlter(t *testing.T) {
	f := start(t, emulator.Options{})
	f.AlterToken(func(answer map[string]any) { answer["expires_in"] = "soon" })
	f.AlterClaims(func(claims map[string]any) { delete(claims, "created_at") })
	got := f.post(emulator.TokenPath, clientCredentials("scope", "a")...).json(t)
	require.Equal(t, "soon", got["expires_in"])
	token := got["access_token"].(string)
	_, claims := f.verify(token)
	require.NotContains(t, claims, "created_at")
	require.True(t, f.Valid(token))

	f.AlterToken(nil)
	f.AlterClaims(nil)
	got = f.post(emulator.TokenPath, clientCredentials("scope", "a")...).json(t)
	require.Equal(t, 86400.0, got["expires_in"])
	_, claims = f.verify(got["access_token"].(string))
	require.Contains(t, claims, "created_at")
}

// multipart is post with a multipart form, and a bearer token if there is one.
func (f *fixture) multipart(path, bearer string, pairs ...string) answer {
	f.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i < len(pairs); i += 2 {
		require.NoError(f.t, w.WriteField(pairs[i], pairs[i+1]))
	}
	require.NoError(f.t, w.Close())
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.url+path, &body)
	require.NoError(f.t, err)
	r.Header.Set("Content-Type", w.FormDataContentType())
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return f.send(r)
}

// verify checks a token against the published keys, and returns its header and
// claims.
func (f *fixture) verify(token string) (header, claims map[string]any) {
	f.t.Helper()
	parts := strings.Split(token, ".")
	require.Len(f.t, parts, 3)
	require.NoError(f.t, json.Unmarshal(f.segment(parts[0]), &header))
	require.NoError(f.t, json.Unmarshal(f.segment(parts[1]), &claims))
	require.Equal(f.t, "RS256", header["alg"])
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	key := f.publishedKey(header["kid"].(string))
	require.NoError(f.t, rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], f.segment(parts[2])))
	return header, claims
}

func (f *fixture) publishedKey(kid string) *rsa.PublicKey {
	f.t.Helper()
	var set struct {
		Keys []struct{ Kty, Alg, Kid, N, E string }
	}
	a := f.send(f.request(http.MethodGet, emulator.KeysPath, nil))
	require.NoError(f.t, json.Unmarshal([]byte(a.body), &set))
	for _, k := range set.Keys {
		if k.Kid == kid && k.Kty == "RSA" {
			e := new(big.Int).SetBytes(f.segment(k.E))
			return &rsa.PublicKey{N: new(big.Int).SetBytes(f.segment(k.N)), E: int(e.Int64())}
		}
	}
	require.Fail(f.t, "no such key", kid)
	return nil
}

func (f *fixture) segment(s string) []byte {
	f.t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	require.NoError(f.t, err)
	return b
}

// SPDX-License-Identifier: MPL-2.0

package ims_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestNew(t *testing.T) {
	pool := ims.NewPool("tests/1", time.Now)
	for _, o := range []ims.Options{{URL: ims.DefaultURL, CACert: "nothing"}, {URL: "http://["}, {}} {
		_, err := ims.New(pool, o)
		require.Error(t, err)
	}
	client, err := ims.New(pool, ims.Options{URL: ims.DefaultURL + "/"})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(client.AuthorizeURL("c", redirectURI, scopes, "s", "v"), ims.DefaultURL+"/ims/authorize/v2?"))
	client.Close()
	client.Close()
}

func TestClientCredentials(t *testing.T) {
	server, client, clock := start(t)
	token, err := client.ClientCredentials(t.Context(), credential, scopes)
	require.NoError(t, err)
	require.True(t, server.Valid(string(token.AccessToken)))
	require.Equal(t, clock.Now(), token.Issued)
	require.Equal(t, clock.Now().Add(24*time.Hour), token.Expires)
	require.Equal(t, scopes, token.Scopes)
	require.Regexp(t, `@techacct\.adobe\.com$`, token.UserID)
	form := server.Requests(emulator.TokenPath)[0].Form
	require.Equal(t, "client_credentials", form.Get("grant_type"))
	require.Equal(t, "openid,AdobeID", form.Get("scope"))
	require.Equal(t, secret, form.Get("client_secret"))
	require.False(t, form.Has("org_id"))

	withOrg := credential
	withOrg.OrgID = "1@AdobeOrg"
	_, err = client.ClientCredentials(t.Context(), withOrg, scopes)
	require.NoError(t, err)
	require.Equal(t, "1@AdobeOrg", server.Requests(emulator.TokenPath)[1].Form.Get("org_id"))
}

// A token that is no JWT tells nothing of its life.
func TestOpaqueToken(t *testing.T) {
	for _, opaque := range []string{"opaque", "a.b.c", "a.e30.c", "a.?.c", "a.bm8ganNvbg.c"} {
		server, client, _ := start(t)
		server.AlterToken(merge(map[string]any{"access_token": opaque}))
		token, err := client.ClientCredentials(t.Context(), credential, scopes)
		require.NoError(t, err)
		require.Equal(t, 24*time.Hour, token.Expires.Sub(token.Issued))
		require.Nil(t, token.Scopes)
		require.Empty(t, token.UserID)
	}
}

func TestUnreachable(t *testing.T) {
	server, client, _ := start(t)
	server.Stop()
	_, err := client.ClientCredentials(t.Context(), credential, scopes)
	require.ErrorContains(t, errors.Unwrap(failure(t, err, ims.Unreachable)), "connection refused")
	_ = failure(t, client.Invalidate(t.Context(), credential, "made-up"), ims.Unreachable)
}

func TestContextEnds(t *testing.T) {
	server, client, _ := start(t)
	server.Inject(emulator.Fault{Path: emulator.InvalidatePath, Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.Equal(t, context.DeadlineExceeded, client.Invalidate(ctx, credential, "token"))
	_, err := client.ClientCredentials(ctx, credential, scopes)
	require.Equal(t, context.DeadlineExceeded, err)
	require.Zero(t, server.Count(emulator.TokenPath), "nothing is sent for a caller that is gone")
}

// Once a request for a token is sent, its answer is waited for: the token would
// live on, known to nobody.
func TestTokenIsNotLostWithItsCaller(t *testing.T) {
	server, client, _ := start(t)
	for call, obtain := range map[string]func(ctx context.Context) error{
		"client credentials": func(ctx context.Context) error {
			_, err := client.ClientCredentials(ctx, credential, scopes)
			return err
		},
		"exchange": func(ctx context.Context) error {
			_, err := client.Exchange(ctx, webApp, redirectURI, "made-up", "made-up")
			return err
		},
		"refresh": func(ctx context.Context) error {
			_, err := client.Refresh(ctx, webApp, "made-up")
			return err
		},
	} {
		t.Run(call, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer server.Inject(emulator.Fault{
				Match: func(*http.Request) bool {
					cancel()
					return true
				},
				Body: `{"access_token":"made-up","expires_in":300}`,
			})()
			require.NoError(t, obtain(ctx))
			require.Error(t, ctx.Err())
		})
	}
}

// A server that repeats the secrets of a request, in whatever form, does not
// bring them into an error.
func TestEchoes(t *testing.T) {
	const (
		token    = "a-rather-long-and-secret-token"
		code     = "a-rather-long-and-secret-code"
		verifier = "a-rather-long-and-secret-verifier"
	)
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape("client") + ":" + url.QueryEscape(secret)))
	calls := map[string]func(c *ims.Client) error{
		"client credentials": func(c *ims.Client) error {
			_, err := c.ClientCredentials(t.Context(), credential, scopes)
			return err
		},
		"exchange": func(c *ims.Client) error {
			_, err := c.Exchange(t.Context(), credential, redirectURI, code, verifier)
			return err
		},
		"refresh": func(c *ims.Client) error {
			_, err := c.Refresh(t.Context(), credential, token)
			return err
		},
		"invalidate": func(c *ims.Client) error { return c.Invalidate(t.Context(), credential, token) },
		"revoke":     func(c *ims.Client) error { return c.Revoke(t.Context(), credential, token) },
		"validate": func(c *ims.Client) error {
			_, err := c.Validate(t.Context(), "client", ims.TypeAccessToken, token)
			return err
		},
	}
	sends := map[string][]string{
		"client credentials": {secret},
		"exchange":           {secret, basic, code, verifier},
		"refresh":            {secret, basic, token},
		"invalidate":         {secret, token},
		"revoke":             {secret, basic, token},
		"validate":           {token},
	}
	for name, call := range calls {
		for _, sent := range sends[name] {
			for form, echo := range map[string]string{
				"as it is": sent, "a part": sent[2:14], "upper case": strings.ToUpper(sent), "percent": url.QueryEscape(sent),
				"base64": base64.StdEncoding.EncodeToString([]byte("x" + sent)),
			} {
				t.Run(name+"/"+form, func(t *testing.T) {
					answer := reply{400, "-", "", fmt.Sprintf(`{"error":"some_code","error_description":"no good: %s"}`, echo)}
					d := answering(t, map[string][]reply{
						emulator.TokenPath: {answer}, emulator.InvalidatePath: {answer}, emulator.RevokePath: {answer}, emulator.ValidatePath: {answer},
					})
					err := call(d.Client)
					failed := failure(t, err, ims.Refused)
					for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
						require.NotContains(t, fmt.Sprintf(verb, failed), echo)
					}
					require.Contains(t, err.Error(), "[withheld]")
				})
			}
		}
	}
}

// The token of an answer that is of no use does not get into the error either.
func TestEchoOfWhatWasGranted(t *testing.T) {
	server, client, _ := start(t)
	server.Inject(emulator.Fault{Body: `{"access_token":"the-token-that-was-granted"}`})
	_, err := client.ClientCredentials(t.Context(), credential, scopes)
	require.NotContains(t, failure(t, err, ims.Malformed).Error(), "granted")
}

func TestValuesShowNoSecret(t *testing.T) {
	for _, value := range []any{
		credential, &credential, ims.Token{AccessToken: secret}, &ims.Token{AccessToken: secret},
		ims.Grant{Token: ims.Token{AccessToken: secret}, RefreshToken: secret},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			text := fmt.Sprintf(verb, value)
			require.NotContains(t, text, secret)
			require.NotContains(t, text, fmt.Sprintf("%x", secret))
		}
	}
	_, client, _ := start(t)
	_, err := client.ClientCredentials(t.Context(), credential, scopes)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%+v", client), secret)
}

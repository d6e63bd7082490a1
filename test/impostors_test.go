// SPDX-License-Identifier: MPL-2.0

package test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

const pageOfAnother = "<html><title>Sign in to the network</title>" + leaked

// impostors answer in Adobe's place, or IMS says nothing of the token.
var impostors = map[string]emulator.Fault{
	"a sign-in page":      {Status: 200, Body: pageOfAnother, ContentType: "text/html"},
	"a proxy's refusal":   {Status: 403, Body: pageOfAnother, ContentType: "text/html"},
	"a page with 400":     {Status: 400, Body: pageOfAnother, ContentType: "text/html"},
	"a page with 401":     {Status: 401, Body: pageOfAnother, ContentType: "text/html"},
	"a file server":       {Status: 404, Body: "404 page not found\n", ContentType: "text/plain; charset=utf-8"},
	"a load balancer":     {Status: 503, Body: "<html>no backend", ContentType: "text/html"},
	"a redirect":          {Redirect: "https://portal.example/?" + leaked},
	"nothing":             {Status: 400},
	"a list":              {Status: 200, Body: "[]"},
	"another service":     {Status: 200, Body: `{"status":"ok"}`},
	"not about the token": {Status: 400, Code: "invalid_request"},
	"a denial":            {Status: 400, Code: "access_denied"},
	"16 MiB":              {Status: 200, Body: "{", Size: 16 << 20},
	"half an answer":      {Status: 200, Body: `{"valid":fal`, Truncate: true},
	"9 MB of headers":     {Status: 200, Body: "{}", Header: map[string]string{"X-Huge": strings.Repeat("x", 9_000_000)}},
}

// Whoever answers in Adobe's place, no token counts as dead that lives, and no
// credential as proven.
func TestAnotherAnswersInAdobesPlace(t *testing.T) {
	t.Parallel()
	r := startRevoking(t)
	r.vault.Write(t, configPath, vaulttest.Data{"max_retries": 0, "request_timeout": "5s"})
	client := r.vault.Client(t)
	for name, fault := range impostors {
		t.Run(name, func(t *testing.T) {
			shared, exclusive := readToken(t, r.vault), ""
			exclusive, lease := r.lease(t, singlePath)
			for _, path := range []string{emulator.InvalidatePath, emulator.ValidatePath} {
				fault.Path = path
				r.ims.Inject(fault)
			}
			_, err := client.Logical().Delete(tokenPath)
			r.requireFailure(t, err, "the kill switch")
			require.ErrorContains(t, err, "vault delete adobeims/token/firefly")
			require.Equal(t, 1, r.status(t, "uninvalidated_tokens"))
			err = client.Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: lease, Sync: true})
			require.Error(t, err, "the revocation of an exclusive token")
			require.NotContains(t, err.Error(), leaked)
			require.True(t, r.ims.Valid(shared))
			require.True(t, r.ims.Valid(exclusive))

			r.ims.ClearFaults()
			r.vault.Delete(t, tokenPath)
			require.False(t, r.ims.Valid(shared))
			require.NoError(t, r.revoke(t, lease))
			require.False(t, r.ims.Valid(exclusive))
		})
		t.Run(name+", as a credential is written", func(t *testing.T) {
			defer r.ims.ClearFaults()
			fault.Path = emulator.TokenPath
			if fault.Code != "" {
				return // that is IMS
			}
			r.ims.Inject(fault)
			for kind, more := range map[string]vaulttest.Data{
				"server-to-server": {"client_secret": clientSecret},
				"web app":          {"client_secret": wrongSecret, "credential_type": "oauth_web_app", "redirect_uri": "https://apps.example/signed-in"},
			} {
				more["max_retries"] = 0
				_, err := client.Logical().Write("adobeims/config/new", credential(r.ims.URL, more))
				r.requireFailure(t, err, kind)
				require.ErrorContains(t, err, "Nothing was stored")
				require.ErrorContains(t, err, "verify=false")
				require.Equal(t, []string{"default"}, r.vault.List(t, "adobeims/config"))
			}
		})
	}
	r.requireNoLeases(t, "single")
	r.vault.RequireNotLogged(t, leaked, clientSecret, wrongSecret)
}

// requireFailure wants a failure of Adobe's, and nothing of the answer in it.
func (r *revoking) requireFailure(t *testing.T, err error, what string) {
	t.Helper()
	var answer *api.ResponseError
	require.ErrorAs(t, err, &answer, what)
	require.Contains(t, []int{http.StatusBadGateway, http.StatusServiceUnavailable}, answer.StatusCode, "%s: %v", what, err)
	require.NotContains(t, err.Error(), leaked)
	require.NotContains(t, err.Error(), "<html>")
}

// A server that sends a byte now and then is given up in time.
func TestSlowAnswers(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Start(t)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range 100 {
			if _, err := io.WriteString(w, " "); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}))
	t.Cleanup(slow.Close)
	vault.Write(t, configPath, credential(slow.URL, vaulttest.Data{"verify": false, "request_timeout": "1s", "max_retries": 1}))
	vault.Write(t, rolePath, vaulttest.Data{"scopes": "openid", "verify": false})
	took := during(func() {
		_, err := vault.Client(t).Logical().Read(tokenPath)
		requireStatus(t, http.StatusBadGateway, err, "a read")
		require.ErrorContains(t, err, "within 1s")
	})
	require.Less(t, took.to.Sub(took.from), 6*time.Second, "two attempts and the pause between them")
}

// echoes are ways to say a secret again.
func echoes(secret string) map[string]string {
	spaced := strings.Join(strings.Split(secret, ""), " ")
	reversed := []rune(secret)
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	percent := ""
	for _, b := range []byte(secret) {
		percent += fmt.Sprintf("%%%02x", b)
	}
	return map[string]string{
		"as it is":        secret,
		"cut":             secret[4:16],
		"in capitals":     strings.ToUpper(secret),
		"in base64":       base64.StdEncoding.EncodeToString([]byte("id:" + secret)),
		"in URL's base64": base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"in hex":          hex.EncodeToString([]byte(secret)),
		"in percents":     percent,
		"as a query":      url.QueryEscape(secret + "&"),
		"spaced":          spaced,
		"backwards":       string(reversed),
		"escaped":         strings.ReplaceAll(secret, "e", `\u0065`),
		"as entities":     strings.ReplaceAll(secret, "e", "&#101;"),
	}
}

// What IMS says is passed on only if nothing of a secret is in it.
func TestEchoedSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	ims := startAdobe(t, time.Hour)
	vault := vaulttest.Start(t, vaulttest.Options{Audit: true})
	ims.configure(t, vault)
	vault.Write(t, configPath, vaulttest.Data{"max_retries": 0})
	client := vault.Client(t).Logical()
	for name, echo := range echoes(clientSecret) {
		t.Run(name, func(t *testing.T) {
			role := "echo-" + strings.NewReplacer(" ", "-", "'", "").Replace(name)
			vault.Write(t, "adobeims/roles/"+role, vaulttest.Data{"scopes": "openid", "verify": false})
			defer ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "invalid_client", Description: "you sent " + echo})()
			_, err := client.Read("adobeims/token/" + role)
			requireStatus(t, http.StatusBadRequest, err, name)
			require.ErrorContains(t, err, "invalid_client")
			_, written := client.Write(configPath, vaulttest.Data{"org_id": orgID, "request_timeout": "9s"})
			require.Error(t, written)
			text := err.Error() + written.Error() + fmt.Sprint(vault.Read(t, "adobeims/status/"+role).Data)
			require.NotContains(t, text, echo)
			require.NotContains(t, text, "you sent")
			vault.RequireNotLogged(t, echo)
		})
	}
}

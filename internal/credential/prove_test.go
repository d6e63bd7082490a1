// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

const page = "<html><body>Please sign in</body></html>"

func TestProve(t *testing.T) {
	a, b := newAdobe(t, "p8e-good"), newBench(t)
	proof, err := b.Prove(t.Context(), at(a.URL, "p8e-good"), nil)
	require.NoError(t, err)
	require.Equal(t, &Proof{Secret: "p8e-good", AccountID: "ACCOUNT@techacct.adobe.com"}, proof)
	require.Equal(t, []string{tokenPath + " p8e-good", invalidatePath + " p8e-good"}, a.requests())
	require.Zero(t, a.livingTokens(), "the token of the proof lives on")
}

func TestProveTakesTheCandidateThatIMSAccepts(t *testing.T) {
	a, b := newAdobe(t, "p8e-new"), newBench(t)
	proof, err := b.Prove(t.Context(), at(a.URL, ""), []secret.Secret{"p8e-old", "p8e-new"})
	require.NoError(t, err)
	require.Equal(t, secret.Secret("p8e-new"), proof.Secret)
	require.Equal(t, []string{tokenPath + " p8e-old", tokenPath + " p8e-new", invalidatePath + " p8e-new"}, a.requests())
}

func TestProveByInvalidScope(t *testing.T) {
	a, b := newAdobe(t, "p8e-good"), newBench(t)
	a.instead(tokenPath, 400, "application/json", `{"error":"invalid_scope"}`)
	proof, err := b.Prove(t.Context(), at(a.URL, "p8e-good"), nil)
	require.NoError(t, err)
	require.Equal(t, &Proof{Secret: "p8e-good"}, proof)
}

// A token that cannot be used proves nothing, and is ended all the same.
func TestProveWithAnUnusableToken(t *testing.T) {
	a, b := newAdobe(t, "p8e-good"), newBench(t)
	a.onToken = func(answer map[string]any) { delete(answer, "expires_in") }
	_, err := b.Prove(t.Context(), at(a.URL, "p8e-good"), nil)
	var open *Unproven
	require.ErrorAs(t, err, &open)
	require.Zero(t, a.livingTokens())
}

// Ending the token of the proof is no reason to refuse the credential.
func TestProveWhileInvalidatingFails(t *testing.T) {
	a, b := newAdobe(t, "p8e-good"), newBench(t)
	a.instead(invalidatePath, 503, "text/html", page)
	_, err := b.Prove(t.Context(), at(a.URL, "p8e-good"), nil)
	require.NoError(t, err)
	require.Contains(t, b.log.String(), "could not be ended")
}

func TestProveRefused(t *testing.T) {
	for name, test := range map[string]struct {
		answer string // "": IMS's own
		client string
		says   []string
	}{
		"a wrong secret":                  {says: []string{"client_secret: ", "invalid_client"}},
		"a client that IMS does not know": {client: "another", says: []string{"client_id: IMS at http://127.0.0.1"}},
		"a credential of another type":    {answer: `{"error":"unauthorized_client"}`, says: []string{"credential_type: "}},
		"something else":                  {answer: `{"error":"invalid_request","error_description":"invalid org_id parameter"}`, says: []string{"invalid_request"}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newAdobe(t, "p8e-good"), newBench(t)
			c := at(a.URL, "p8e-wrong")
			if test.client != "" {
				c.ClientID = test.client
			}
			if test.answer != "" {
				a.instead(tokenPath, 400, "application/json", test.answer)
			}
			_, err := b.Prove(t.Context(), c, []secret.Secret{"p8e-wrong", "p8e-bad"})
			var advised *advice.Error
			require.ErrorAs(t, err, &advised)
			require.Contains(t, err.Error(), "Nothing was stored")
			require.NotContains(t, err.Error(), "p8e-")
			for _, words := range test.says {
				require.Contains(t, err.Error(), words)
			}
			var failed *ims.Error
			require.ErrorAs(t, err, &failed)
			require.Equal(t, ims.Refused, failed.Kind)
		})
	}
}

func TestProveLeftOpen(t *testing.T) {
	for name, test := range map[string]struct {
		status int // 0: nobody listens
		body   string
		kind   ims.Kind
		says   []string
	}{
		"a page in a success":      {status: 200, body: page, kind: ims.Malformed, says: []string{"a page or a proxy answered", "HTTPS_PROXY"}},
		"a page in a 403":          {status: 403, body: page, kind: ims.Malformed, says: []string{"a page or a proxy answered", "HTTPS_PROXY"}},
		"a page in a 404":          {status: 404, body: "404 page not found", kind: ims.Malformed, says: []string{"HTTPS_PROXY"}},
		"JSON without a token":     {status: 200, body: `{"status":"ok"}`, kind: ims.Malformed, says: []string{"HTTPS_PROXY"}},
		"a failure of IMS":         {status: 503, body: page, kind: ims.Unavailable, says: []string{"503"}},
		"a throttle":               {status: 429, body: `{"error":"too_many"}`, kind: ims.Throttled, says: []string{"429"}},
		"nobody there to be asked": {kind: ims.Unreachable, says: []string{"HTTPS_PROXY"}},
	} {
		for _, kind := range []Type{ServerToServer, WebApp} {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				a, b := newAdobe(t, "p8e-good"), newBench(t)
				c := at(a.URL, "p8e-good")
				c.Type, c.RedirectURI = kind, "https://app.example/cb"
				if test.status == 0 {
					a.Close()
				} else {
					a.instead(tokenPath, test.status, "text/html", test.body)
				}
				_, err := b.Prove(t.Context(), c, nil)
				var open *Unproven
				require.ErrorAs(t, err, &open)
				var failed *ims.Error
				require.ErrorAs(t, err, &failed)
				require.Equal(t, test.kind, failed.Kind)
				require.Contains(t, err.Error(), "Nothing was stored")
				require.Regexp(t, "verify=false$", err.Error())
				for _, words := range test.says {
					require.Contains(t, err.Error(), words)
				}
			})
		}
	}
}

func TestProveAfterTheDeadline(t *testing.T) {
	a, b := newAdobe(t, "p8e-good"), newBench(t)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := b.Prove(ctx, at(a.URL, "p8e-good"), nil)
	var open *Unproven
	require.ErrorAs(t, err, &open)
	require.ErrorContains(t, err, "no answer in time")

	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	_, err = b.Prove(ctx, at(a.URL, "p8e-good"), nil)
	require.ErrorIs(t, err, context.Canceled)
}

// An operator who puts a credential right need not wait for the end of a
// throttle.
func TestProveDuringAThrottle(t *testing.T) {
	a, b := newAdobe(t, "p8e-good"), newBench(t)
	c := at(a.URL, "p8e-good")
	a.mu.Lock()
	a.answer[tokenPath] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	a.mu.Unlock()
	require.NoError(t, b.Put(t.Context(), "default", c))
	_, err := b.Use(t.Context(), "default", c, mint(t))
	require.Error(t, err)
	require.False(t, b.pool.Quiet(c.IMSURL, c.ClientID).IsZero())

	a.mu.Lock()
	delete(a.answer, tokenPath)
	a.mu.Unlock()
	_, err = b.Prove(t.Context(), c, nil)
	require.NoError(t, err)
}

func TestProveWebApp(t *testing.T) {
	webApp := func(url string, current secret.Secret) *Credential {
		c := at(url, current)
		c.Type, c.RedirectURI = WebApp, "https://app.example/cb"
		return c
	}
	t.Run("a code is refused", func(t *testing.T) {
		a, b := newAdobe(t, "p8e-good"), newBench(t)
		proof, err := b.Prove(t.Context(), webApp(a.URL, ""), []secret.Secret{"p8e-bad", "p8e-good"})
		require.NoError(t, err)
		require.Equal(t, &Proof{Secret: "p8e-good"}, proof)
	})
	t.Run("the client is refused", func(t *testing.T) {
		a, b := newAdobe(t, "p8e-good"), newBench(t)
		_, err := b.Prove(t.Context(), webApp(a.URL, "p8e-bad"), nil)
		var advised *advice.Error
		require.ErrorAs(t, err, &advised)
	})
	for _, code := range []string{"invalid_grant", "access_denied", "invalid_code"} {
		t.Run(code, func(t *testing.T) {
			a, b := newAdobe(t, "p8e-good"), newBench(t)
			a.instead(tokenPath, 400, "application/json", `{"error":"`+code+`"}`)
			_, err := b.Prove(t.Context(), webApp(a.URL, "p8e-good"), nil)
			require.NoError(t, err)
		})
	}
	for _, body := range []string{
		`{"message":"blocked by policy"}`, `{"error":{"code":403,"message":"blocked by policy"}}`, `{"error_code":403003,"message":"Api Key is invalid"}`,
		`{"error_code":404,"title":"Not Found"}`,
	} {
		t.Run("words and numbers are neither a proof nor a refusal: "+body, func(t *testing.T) {
			a, b := newAdobe(t, "p8e-good"), newBench(t)
			a.instead(tokenPath, 403, "application/json", body)
			_, err := b.Prove(t.Context(), webApp(a.URL, "p8e-good"), nil)
			var open *Unproven
			require.ErrorAs(t, err, &open)
		})
	}
	for _, body := range []string{`{"error":"unauthorized_client"}`, `{"error":"invalid_client"}`, `{"error":"something_else"}`, `{"error":"invalid_request"}`, `{"error":"bad_request"}`} {
		t.Run("no proof: "+body, func(t *testing.T) {
			a, b := newAdobe(t, "p8e-good"), newBench(t)
			a.instead(tokenPath, 403, "application/json", body)
			_, err := b.Prove(t.Context(), webApp(a.URL, "p8e-good"), nil)
			var advised *advice.Error
			require.ErrorAs(t, err, &advised)
		})
	}
	t.Run("a made-up code is accepted", func(t *testing.T) {
		a, b := newAdobe(t, "p8e-good"), newBench(t)
		a.instead(tokenPath, 200, "application/json", `{"access_token":"x.y.z","expires_in":3600}`)
		_, err := b.Prove(t.Context(), webApp(a.URL, "p8e-good"), nil)
		var open *Unproven
		require.ErrorAs(t, err, &open)
		require.Equal(t, ims.Malformed, kindOf(err))
	})
}

func TestProveConsole(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*adobe, *Credential)
		kind    ims.Kind // "": proven
		says    []string
	}{
		"listed": {},
		"no ids": {prepare: func(a *adobe, c *Credential) { c.CredentialID = ""; a.accept() }},
		"another secret": {prepare: func(_ *adobe, c *Credential) {
			c.Secrets = Secrets{Current: "p8e-bad", Retired: []Secret{{Value: "p8e-good"}}}
		}},
		"a wrong secret": {prepare: func(a *adobe, _ *Credential) { a.accept() }, kind: ims.Refused, says: []string{"client_secret: "}},
		"no I/O Management API": {
			prepare: func(a *adobe, _ *Credential) {
				a.instead(tokenPath, 400, "application/json", `{"error":"invalid_scope"}`)
			},
			kind: ims.Refused, says: []string{"console_org_id, credential_id: ", "I/O Management API"},
		},
		"an unknown credential": {
			prepare: func(a *adobe, _ *Credential) {
				a.instead(consolePath, 404, "application/json", `{"error_code":"404000","message":"not found"}`)
			},
			kind: ims.Refused, says: []string{"console_org_id, credential_id: ", "console_org_id=4711", "credential_id=900001", "404"},
		},
		"another client's": {
			prepare: func(a *adobe, _ *Credential) {
				a.instead(consolePath, 200, "application/json", `{"client_id":"x","client_secrets":[]}`)
			},
			kind: ims.Refused, says: []string{"credential_id=900001"},
		},
		"a page in its place": {
			prepare: func(a *adobe, _ *Credential) { a.instead(consolePath, 404, "text/html", page) },
			kind:    ims.Malformed, says: []string{"Developer Console", "HTTPS_PROXY", "verify=false"},
		},
		"a failure": {
			prepare: func(a *adobe, _ *Credential) { a.instead(consolePath, 502, "text/html", page) },
			kind:    ims.Unavailable, says: []string{"verify=false"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newAdobe(t, "p8e-good"), newBench(t)
			c := rotating(a.URL, "p8e-good")
			if test.prepare != nil {
				test.prepare(a, c)
			}
			err := b.ProveConsole(t.Context(), c)
			require.Zero(t, a.livingTokens(), "the management token lives on")
			if test.kind == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, test.kind, kindOf(err))
			var advised *advice.Error
			var open *Unproven
			if test.kind == ims.Refused {
				require.ErrorAs(t, err, &advised)
			} else {
				require.ErrorAs(t, err, &open)
			}
			require.Contains(t, err.Error(), "Nothing was stored")
			for _, words := range test.says {
				require.Contains(t, err.Error(), words)
			}
		})
	}
}

// SPDX-License-Identifier: MPL-2.0

package ims_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// adobe stands for IMS.
func adobe(answers map[string]string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, answers[r.URL.Path])
	}))
}

// A token for the client itself, and its end.
func ExampleClient_ClientCredentials() {
	server := adobe(map[string]string{
		"/ims/token/v3": `{"access_token":"made-up","token_type":"bearer","expires_in":86399,"scope":"openid,AdobeID"}`,
	})
	defer server.Close()

	pool := ims.NewPool("example/1", time.Now)
	defer pool.Close()
	client, err := ims.New(pool, ims.Options{URL: server.URL, Timeout: 10 * time.Second, MaxRetries: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	ctx := context.Background()
	credential := ims.Credential{ClientID: "e053e1a8", ClientSecret: "p8e-made-up"}
	token, err := client.ClientCredentials(ctx, credential, []string{"openid", "AdobeID"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.AccessToken, "lives for", token.Expires.Sub(token.Issued), "with", token.Scopes)
	fmt.Println("invalidated:", client.Invalidate(ctx, credential, token.AccessToken))
	// Output:
	// [redacted] lives for 23h59m59s with [openid AdobeID]
	// invalidated: <nil>
}

// A proxy's page in the place of an answer is no proof that a token ended.
func ExampleClient_Invalidate() {
	server := adobe(map[string]string{
		"/ims/invalidate_token/v2": "<html>Please sign in to the proxy</html>",
		"/ims/validate_token/v1":   `{"valid":true}`,
	})
	defer server.Close()

	pool := ims.NewPool("example/1", time.Now)
	defer pool.Close()
	client, err := ims.New(pool, ims.Options{URL: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	err = client.Invalidate(context.Background(), ims.Credential{ClientID: "e053e1a8"}, "made-up")
	fmt.Println(err)
	// Output:
	// IMS token invalidation failed: 200 OK: a page or a proxy answered instead of Adobe, with HTML; check the URL and HTTPS_PROXY
}

// A person signs in and consents; the code that Adobe sends back is redeemed.
func ExampleClient_Exchange() {
	server := adobe(map[string]string{
		"/ims/token/v3": `{"access_token":"made-up","refresh_token":"made-up","sub":"1A2B@AdobeID","expires_in":86399}`,
	})
	defer server.Close()

	pool := ims.NewPool("example/1", time.Now)
	defer pool.Close()
	client, err := ims.New(pool, ims.Options{URL: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	const redirectURI = "https://vault.example/v1/adobeims/callback"
	verifier := ims.NewVerifier()
	address, err := url.Parse(client.AuthorizeURL("e053e1a8", redirectURI, []string{"openid", "offline_access"}, "a random state", verifier))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("to be opened in a browser:", address.Path, "for", address.Query().Get("scope"))

	credential := ims.Credential{ClientID: "e053e1a8", ClientSecret: "p8e-made-up"}
	grant, err := client.Exchange(context.Background(), credential, redirectURI, "the code from the redirect", verifier)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(grant.UserID, "can be served until", grant.RefreshExpires.Sub(grant.Issued), "after the last refresh")
	// Output:
	// to be opened in a browser: /ims/authorize/v2 for openid,offline_access
	// 1A2B@AdobeID can be served until 336h0m0s after the last refresh
}

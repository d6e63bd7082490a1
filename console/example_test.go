// SPDX-License-Identifier: MPL-2.0

package console_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// A client secret is added, the one it replaces is found by its age and
// removed.
func Example() {
	adobe := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"uuid":"new","client_secret":"p8e-made-up","created_at":"1782448485000"}`)
		case http.MethodGet:
			_, _ = io.WriteString(w, `{"client_secrets":[{"uuid":"old","created_at":"1682448485000"},{"uuid":"new","created_at":"1782448485000"}]}`)
		case http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer adobe.Close()

	pool := adobehttp.NewPool("example/1", time.Now)
	defer pool.Close()
	client, err := console.New(pool, console.Options{URL: adobe.URL, Timeout: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	ctx := context.Background()
	const accessToken = console.Secret("a token with the scope manage_client_secrets")
	credential := console.Credential{OrgID: "23294", CredentialID: "436084", ClientID: "e053e1a8"}
	added, err := client.Add(ctx, accessToken, credential)
	if err != nil {
		fmt.Println(err, "- a secret may have been added:", console.MayHaveTakenEffect(err))
		return
	}
	fmt.Println("added", added.UUID, "with the value", added.Value)

	listing, err := client.List(ctx, accessToken, credential)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, secret := range listing.Secrets {
		if secret.Created.Before(added.Created) {
			fmt.Println("removed", secret.UUID, client.Remove(ctx, accessToken, credential, secret.UUID))
		}
	}
	// Output:
	// added new with the value [redacted]
	// removed old <nil>
}

// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func Example() {
	adobe := emulator.New(emulator.Options{})
	adobe.AddClient(emulator.Client{
		ID: "client", Secrets: []string{"secret"}, Scopes: []string{"openid", "AdobeID"},
	})
	ims, err := adobe.Start("")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer adobe.Stop()

	mint := func(scope string) (status int, token string) {
		response, err := http.PostForm(ims+emulator.TokenPath, url.Values{
			"grant_type": {"client_credentials"}, "client_id": {"client"}, "client_secret": {"secret"}, "scope": {scope},
		})
		if err != nil {
			fmt.Println(err)
			return 0, ""
		}
		defer func() { _ = response.Body.Close() }()
		var answer struct {
			AccessToken string `json:"access_token"`
			Error       string
		}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			fmt.Println(err)
		}
		if answer.Error != "" {
			fmt.Println("refused:", answer.Error)
		}
		return response.StatusCode, answer.AccessToken
	}

	_, token := mint("openid,AdobeID")
	fmt.Println("valid:", adobe.Valid(token))
	mint("openid,firefly_api")

	// IMS is overloaded, once.
	adobe.Inject(emulator.Fault{
		Path: emulator.TokenPath, Times: 1,
		Status: http.StatusServiceUnavailable, RetryAfter: "2", Body: `{"error":"internal_error"}`,
	})
	status, _ := mint("openid")
	fmt.Println("status:", status)
	fmt.Println("asked:", adobe.Count(emulator.TokenPath), "times")

	// Output:
	// valid: true
	// refused: invalid_scope
	// refused: internal_error
	// status: 503
	// asked: 3 times
}

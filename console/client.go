// SPDX-License-Identifier: MPL-2.0

// Package console is a client of the Adobe Developer Console's API for the
// client secrets of an OAuth Server-to-Server credential: it lists, adds and
// removes them.
//
// This should be used to rotate a client secret without anybody at the
// console's pages. The credential's project needs the I/O Management API, and
// the access token has to carry its scopes, read_client_secret and
// manage_client_secrets among them. A credential can have two client secrets at
// most. Secrets of OAuth Web App credentials cannot be managed.
//
// It knows nothing of Vault, nor of how an access token is obtained. An answer
// that does not look like the console's (a proxy's page, a redirect, an empty
// refusal) is an Error of kind Malformed: never a success, never a refusal.
//
// See https://developer.adobe.com/developer-console/docs/guides/authentication/ServerToServerAuthentication/implementation/.
package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// DefaultURL is where Adobe serves the API.
const DefaultURL = "https://api.adobe.io"

// Secret is a string that never shows when it is printed.
type Secret = adobehttp.Secret

// Options says where requests go and how; see the fields there. What adds a
// client secret is attempted once, whatever MaxRetries is.
type Options = adobehttp.Options

// Credential names what is managed.
type Credential struct {
	// OrgID is the number of the organisation in the console's URLs, such as
	// "23294". It is not the IMS organisation, "...@AdobeOrg".
	OrgID string

	// CredentialID is the number of the credential there, such as "436084".
	CredentialID string

	// ClientID is the credential's own; it is also the API key of the request.
	ClientID string
}

// Client talks to one Developer Console. It is safe for concurrent use.
type Client struct {
	url  string
	http *adobehttp.Client
}

// New returns a client of the Developer Console at the URL of the Options. Who
// makes a client closes it. The error says what is wrong with the Options.
func New(p *adobehttp.Pool, o Options) (*Client, error) {
	o.URL = strings.TrimRight(o.URL, "/")
	client, err := p.Client(adobehttp.Service{Name: "Developer Console", IDHeader: "x-request-id"}, o)
	if err != nil {
		return nil, err
	}
	return &Client{url: o.URL, http: client}, nil
}

// Close ends the use of the client. Calls under way finish. It may be called
// more than once.
func (c *Client) Close() { c.http.Close() }

// Share is the share of a server's turns and throttles that a client's requests
// have here. Its requests for tokens have another, even at the same address.
func Share(clientID string) string { return "console/" + clientID }

// newCall returns a request about the client secrets of a credential, with the
// access token as its secret.
func newCall(op string, accessToken Secret, cred Credential) *adobehttp.Call {
	return &adobehttp.Call{Op: op, Endpoint: "secrets", Share: Share(cred.ClientID), Secrets: []Secret{accessToken}}
}

// do sends a request about all client secrets of a credential, or about those
// with the uuids.
func (c *Client) do(ctx context.Context, call *adobehttp.Call, method string, cred Credential, uuid ...string) (*adobehttp.Answer, error) {
	path, err := secretsPath(cred, uuid...)
	if err != nil {
		return nil, c.http.NewError(call, Refused, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+string(call.Secrets[0]))
	req.Header.Set("X-Api-Key", cred.ClientID)
	return c.http.Do(ctx, call, req)
}

// secretsPath is the path of a credential's client secrets, or of the one with
// the uuid. A name that would make it the path of something else is an
// error: removing "" or ".." must not reach the credential itself.
func secretsPath(cred Credential, uuid ...string) (string, error) {
	var path strings.Builder
	segments := append([]string{"console", "organizations", cred.OrgID, "credentials", cred.CredentialID, "secrets"}, uuid...)
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return "", fmt.Errorf("the organisation, the credential or the secret to address is %q", s)
		}
		path.WriteString("/" + url.PathEscape(s))
	}
	return path.String(), nil
}

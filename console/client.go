// SPDX-License-Identifier: MPL-2.0

// Package console is a client of the Adobe Developer Console's API for the
// client secrets of an OAuth Server-to-Server credential: it lists, adds and
// removes them.
//
// It knows nothing of Vault, nor of how an access token is obtained. The token
// has to carry the scopes of the I/O Management API, and the credential can
// have two client secrets at most.
//
// See https://developer.adobe.com/developer-console/docs/guides/authentication/ServerToServerAuthentication/.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// DefaultURL is where Adobe serves the API.
const DefaultURL = "https://api.adobe.io"

// Secret is a string that never shows when it is printed.
type Secret = adobehttp.Secret

// Options says how requests travel; see the fields there. What adds a client
// secret is attempted once, whatever MaxRetries is.
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
	http *http.Client
	now  func() time.Time
}

// New returns a client of the Developer Console at url, which has no trailing
// slash. The error says what is wrong with the options.
func New(url string, o Options) (*Client, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	client, err := adobehttp.New(o)
	if err != nil {
		return nil, err
	}
	return &Client{url: url, http: client, now: o.Now}, nil
}

// call is one request to the API.
type call struct {
	op     string // for errors
	method string
	Token  Secret // exported, so that fmt finds its Formatter
	cred   Credential
	uuid   []string // of the client secret; none for all of them
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// do returns a 2xx answer. Everything else is an error: the context's if that
// ended, otherwise an *Error.
func (c *Client) do(ctx context.Context, r call) (*answer, error) {
	path, err := secretsPath(r.cred, r.uuid...)
	if err != nil {
		return nil, &Error{Kind: Refused, Op: r.op, Err: err}
	}
	ctx, trace := adobehttp.WithTrace(ctx)
	req, err := http.NewRequestWithContext(ctx, r.method, c.url+path, nil)
	if err != nil {
		return nil, &Error{Kind: Refused, Op: r.op, Err: errors.New("the URL of the Developer Console is not one")}
	}
	req.Header.Set("Authorization", "Bearer "+string(r.Token))
	req.Header.Set("X-Api-Key", r.cred.ClientID)

	resp, err := c.http.Do(req)
	if err != nil {
		return nil, r.unanswered(ctx, err, trace.Header)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, r.unanswered(ctx, err, trace.Header)
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: body}
	// Adobe's documentation and the API description in its library disagree
	// on which success it is.
	if a.status < 200 || a.status > 299 {
		return nil, r.refusal(a, c.now())
	}
	return a, nil
}

// secretsPath is the path of a credential's client secrets, or of the one with
// the uuid. A name that would make it the path of something else is an
// error: removing "" or ".." must not reach the credential itself.
func secretsPath(cred Credential, uuid ...string) (string, error) {
	var path strings.Builder
	segments := append([]string{"console", "organizations", cred.OrgID, "credentials", cred.CredentialID, "secrets"}, uuid...)
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return "", fmt.Errorf("the organization, the credential or the secret to address is %q", s)
		}
		path.WriteString("/" + url.PathEscape(s))
	}
	return path.String(), nil
}

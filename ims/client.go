// SPDX-License-Identifier: MPL-2.0

// Package ims is a client of the Adobe Identity Management System (IMS) for
// confidential clients: it obtains access tokens, for the client itself or for a
// person who consented, and invalidates them.
//
// It knows nothing of Vault. Tokens are not cached here: each call is a
// request to IMS.
//
// See https://developer.adobe.com/developer-console/docs/guides/authentication/.
package ims

import (
	"context"
	"net/http"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// DefaultURL is the IMS of Adobe's production environment.
const DefaultURL = "https://ims-na1.adobelogin.com"

// Secret is a string that never shows when it is printed.
type Secret = adobehttp.Secret

// Options says how requests travel; see the fields there.
type Options = adobehttp.Options

// WithoutRetries returns a context whose calls are not repeated, whatever the
// client's MaxRetries.
func WithoutRetries(ctx context.Context) context.Context { return adobehttp.WithoutRetries(ctx) }

// Credential is what the Developer Console calls a credential: the client ID
// and client secret of an OAuth Server-to-Server or OAuth Web App integration.
type Credential struct {
	ClientID     string
	ClientSecret Secret

	// OrgID is the IMS organisation, "...@AdobeOrg". It is sent along where it
	// is set; only credentials not owned by one organisation need it.
	OrgID string
}

// Client talks to one IMS. It is safe for concurrent use.
type Client struct {
	url  string
	http *http.Client
	now  func() time.Time
}

// New returns a client of the IMS at url, which has no trailing slash. The
// error says what is wrong with the options.
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

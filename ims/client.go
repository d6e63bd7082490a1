// SPDX-License-Identifier: MPL-2.0

// Package ims is a client of the Adobe Identity Management System (IMS) for
// confidential clients. It obtains access tokens by the OAuth 2.0 client
// credentials flow, for the client itself, and by the authorization code flow,
// for a person who consented; and it invalidates, revokes and validates them.
//
// This should be used with an OAuth Server-to-Server or OAuth Web App
// credential of the Adobe Developer Console. Public clients (Single Page App,
// Native App) and service accounts (JWT) are not supported.
//
// It caches nothing: each call is a request to IMS. It does not verify a
// token's signature. It knows nothing of Vault.
//
// No call succeeds without evidence. A token is dead only where IMS says so of
// that token, and an answer that does not look like IMS's (a proxy's page, a
// redirect, an empty refusal) is an Error of kind Malformed: never a success,
// never a refusal.
//
// See https://developer.adobe.com/developer-console/docs/guides/authentication/.
package ims

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// DefaultURL is the IMS of Adobe's production environment.
const DefaultURL = "https://ims-na1.adobelogin.com"

const (
	tokenPath      = "/ims/token/v3"
	authorizePath  = "/ims/authorize/v2"
	invalidatePath = "/ims/invalidate_token/v2"
	revokePath     = "/ims/revoke"
	validatePath   = "/ims/validate_token/v1"
)

// Secret is a string that never shows when it is printed.
type Secret = adobehttp.Secret

// Pool is what clients share: connections, and the turns at each server.
type Pool = adobehttp.Pool

// NewPool returns a Pool. The user agent is sent with every request; now is the
// clock by which the lives of tokens are counted.
func NewPool(userAgent string, now func() time.Time) *Pool {
	return adobehttp.NewPool(userAgent, now)
}

// Options says where requests go and how; see the fields there.
type Options = adobehttp.Options

// WithoutRetries returns a context whose calls are not repeated, whatever the
// client's MaxRetries.
func WithoutRetries(ctx context.Context) context.Context { return adobehttp.WithoutRetries(ctx) }

// WithProceed returns a context whose calls ask before they are sent: the
// function is called when the turn of a request has come. Its error ends the
// call and is returned as it is.
func WithProceed(ctx context.Context, proceed func() error) context.Context {
	return adobehttp.WithProceed(ctx, proceed)
}

// Credential is what the Developer Console calls a credential: the client ID
// and client secret of an OAuth Server-to-Server or OAuth Web App integration.
type Credential struct {
	ClientID     string
	ClientSecret Secret

	// OrgID is the IMS organisation, "...@AdobeOrg". It is sent with requests
	// of the client credentials grant where it is set; only credentials that
	// are not owned by one organisation need it.
	OrgID string
}

// Client talks to one IMS. It is safe for concurrent use.
type Client struct {
	url  string
	http *adobehttp.Client

	// formFirst is set once IMS accepted a client's secret in the form after it
	// had refused it in the Basic header.
	formFirst atomic.Bool
}

// New returns a client of the IMS at the URL of the Options. Who makes a client
// closes it. The error says what is wrong with the Options.
func New(p *Pool, o Options) (*Client, error) {
	o.URL = strings.TrimRight(o.URL, "/")
	client, err := p.Client(adobehttp.Service{Name: "IMS", IDHeader: "x-debug-id"}, o)
	if err != nil {
		return nil, err
	}
	return &Client{url: o.URL, http: client}, nil
}

// Close ends the use of the client. Calls under way finish. It may be called
// more than once.
func (c *Client) Close() { c.http.Close() }

// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

const (
	authorizePath = "/ims/authorize/v2"
	revokePath    = "/ims/revoke"
)

// DefaultRefreshLife is how long a refresh token lives that does not tell. Adobe
// documents 14 days.
const DefaultRefreshLife = 14 * 24 * time.Hour

// Grant is what a person granted: an access token, and a refresh token for the
// next ones. IMS gives a new refresh token with each use of one.
type Grant struct {
	Token

	// RefreshToken is empty if the scopes do not include offline_access.
	RefreshToken Secret

	// RefreshExpires is when the refresh token lapses unless it is used.
	RefreshExpires time.Time
}

// NewVerifier returns a random PKCE code verifier (RFC 7636 §4.1).
func NewVerifier() Secret { return Secret(oauth2.GenerateVerifier()) }

// AuthorizeURL is the address at which a person signs in and consents, with the
// PKCE challenge of the verifier (S256). Adobe then sends the browser to the
// redirectURI with the state.
func (c *Client) AuthorizeURL(clientID, redirectURI string, scopes []string, state string, verifier Secret) string {
	config := c.userConfig(Credential{ClientID: clientID}, redirectURI)
	return config.AuthCodeURL(state, oauth2.S256ChallengeOption(string(verifier)),
		oauth2.SetAuthURLParam("scope", strings.Join(scopes, ",")))
}

// Exchange redeems an authorization code (RFC 6749 §4.1.3). The client
// authenticates by HTTP Basic, as Adobe documents it for web apps.
func (c *Client) Exchange(ctx context.Context, cred Credential, redirectURI, code string, verifier Secret) (*Grant, error) {
	ctx, trace := adobehttp.WithTrace(context.WithValue(ctx, oauth2.HTTPClient, c.http))
	granted, err := c.userConfig(cred, redirectURI).Exchange(ctx, code, oauth2.VerifierOption(string(verifier)))
	if err != nil {
		return nil, c.tokenError(ctx, err, trace, cred.ClientSecret, basic(cred), Secret(code), verifier)
	}
	return newGrant(granted, trace, cred.ClientSecret)
}

// Refresh obtains a new access token, and with it a new refresh token, which
// takes the place of the one given (RFC 6749 §6).
func (c *Client) Refresh(ctx context.Context, cred Credential, refreshToken Secret) (*Grant, error) {
	ctx, trace := adobehttp.WithTrace(context.WithValue(ctx, oauth2.HTTPClient, c.http))
	source := c.userConfig(cred, "").TokenSource(ctx, &oauth2.Token{RefreshToken: string(refreshToken)})
	granted, err := source.Token()
	if err != nil {
		return nil, c.tokenError(ctx, err, trace, cred.ClientSecret, basic(cred), refreshToken)
	}
	return newGrant(granted, trace, cred.ClientSecret, refreshToken)
}

// Revoke ends a refresh token (RFC 7009).
func (c *Client) Revoke(ctx context.Context, cred Credential, refreshToken Secret) error {
	form := url.Values{"token": {string(refreshToken)}}
	authenticate := func(req *http.Request) { req.Header.Set("Authorization", "Basic "+string(basic(cred))) }
	return c.post(ctx, "revocation", revokePath, form, authenticate, cred.ClientSecret, basic(cred), refreshToken)
}

// basic is the credential in a Basic header, encoded as oauth2 does (RFC 6749
// §2.3.1).
func basic(cred Credential) Secret {
	plain := url.QueryEscape(cred.ClientID) + ":" + url.QueryEscape(string(cred.ClientSecret))
	return Secret(base64.StdEncoding.EncodeToString([]byte(plain)))
}

func (c *Client) userConfig(cred Credential, redirectURI string) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     cred.ClientID,
		ClientSecret: string(cred.ClientSecret),
		RedirectURL:  redirectURI,
		Endpoint: oauth2.Endpoint{
			AuthURL:   c.url + authorizePath,
			TokenURL:  c.url + tokenPath,
			AuthStyle: oauth2.AuthStyleInHeader,
		},
	}
}

func newGrant(granted *oauth2.Token, trace *adobehttp.Trace, secrets ...Secret) (*Grant, error) {
	token, err := newToken(granted, trace.Sent)
	if err != nil {
		return nil, malformed("token request", trace, err, secrets...)
	}
	grant := &Grant{Token: *token, RefreshToken: Secret(granted.RefreshToken)}
	grant.RefreshExpires = token.Issued.Add(DefaultRefreshLife)
	expires, ok := expiryFromClaims(granted.RefreshToken)
	if ok && expires.After(token.Issued) && expires.Before(token.Issued.Add(maxLife)) {
		grant.RefreshExpires = expires
	}
	return grant, nil
}

// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// DefaultRefreshLife is how long a refresh token lives that does not tell.
// Adobe documents 14 days.
const DefaultRefreshLife = 14 * 24 * time.Hour

// Grant is what a person granted: an access token, and a refresh token for the
// next ones. IMS gives a new refresh token with each use of one.
type Grant struct {
	Token

	// RefreshToken is empty if the scopes do not include offline_access.
	RefreshToken Secret

	// RefreshExpires is when the refresh token lapses unless it is used; zero
	// if there is none.
	RefreshExpires time.Time
}

// NewVerifier returns a random PKCE code verifier (RFC 7636 §4.1).
func NewVerifier() Secret { return Secret(oauth2.GenerateVerifier()) }

// AuthorizeURL is the address at which a person signs in and consents, with the
// PKCE challenge of the verifier (S256). Adobe then sends the browser to the
// redirectURI, with the state and either a code or an error.
func (c *Client) AuthorizeURL(clientID, redirectURI string, scopes []string, state string, verifier Secret) string {
	config := c.userConfig(Credential{ClientID: clientID}, redirectURI, oauth2.AuthStyleInHeader)
	return config.AuthCodeURL(state, oauth2.S256ChallengeOption(string(verifier)),
		oauth2.SetAuthURLParam("scope", strings.Join(scopes, ",")))
}

// Exchange redeems an authorization code (RFC 6749 §4.1.3). The client
// authenticates by HTTP Basic, as Adobe documents it for web apps. If IMS
// refuses the client so (invalid_client), the ID and secret are sent once in
// the form, as Adobe's own clients do; what worked is tried first from then on.
//
// Once the request is sent, its answer is waited for even if ctx ends.
//
// The error is an *Error, unless ctx ended first or WithProceed's function did
// not let the request pass. Of kind Malformed, it may come with a Grant: one
// whose access token is missing or cannot be used (no expires_in, a clock far
// off). Its Expires is zero. Its refresh token works, and no other will be had.
func (c *Client) Exchange(ctx context.Context, cred Credential, redirectURI string, code, verifier Secret) (*Grant, error) {
	return c.userGrant(ctx, cred, userRequest{
		redirectURI: redirectURI,
		Secrets:     []Secret{code, verifier},
		send: func(ctx context.Context, config *oauth2.Config) error {
			_, err := config.Exchange(ctx, string(code), oauth2.VerifierOption(string(verifier)))
			return err
		},
	})
}

// Refresh obtains a new access token, and with it a new refresh token, which
// takes the place of the one given (RFC 6749 §6). Where IMS gives no new one,
// the Grant has the one given.
//
// How the client authenticates, and what is returned, is as for Exchange. A
// Grant that comes with an error must be stored as well: the refresh token
// given may work no more.
func (c *Client) Refresh(ctx context.Context, cred Credential, refreshToken Secret) (*Grant, error) {
	return c.userGrant(ctx, cred, userRequest{
		Held:    refreshToken,
		Secrets: []Secret{refreshToken},
		send: func(ctx context.Context, config *oauth2.Config) error {
			_, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: string(refreshToken)}).Token()
			return err
		},
	})
}

// userRequest is a request for a person's tokens. The secrets are exported
// fields, so that fmt finds their Formatter.
type userRequest struct {
	redirectURI string
	Held        Secret   // the refresh token that stays if the answer has none
	Secrets     []Secret // of the request, beside the client's
	send        func(context.Context, *oauth2.Config) error
}

// userGrant asks in the one way of authenticating and, if IMS refuses the
// client, in the other.
func (c *Client) userGrant(ctx context.Context, cred Credential, r userRequest) (grant *Grant, err error) {
	err = c.inEitherStyle(func(style oauth2.AuthStyle) error {
		grant, err = c.userGrantIn(ctx, style, cred, r)
		return err
	})
	return grant, err
}

// inEitherStyle asks with the client's secret in the Basic header or in the
// form, whichever worked last, and if IMS refuses the client, in the other way.
func (c *Client) inEitherStyle(ask func(oauth2.AuthStyle) error) error {
	first, second := oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams
	if c.formFirst.Load() {
		first, second = second, first
	}
	err := ask(first)
	if !RefusedWith(err, CodeInvalidClient) {
		return err
	}
	again := ask(second)
	if RefusedWith(again, CodeInvalidClient) {
		return err
	}
	if again == nil {
		c.formFirst.Store(second == oauth2.AuthStyleInParams)
	}
	return again
}

func (c *Client) userGrantIn(ctx context.Context, style oauth2.AuthStyle, cred Credential, r userRequest) (*Grant, error) {
	config := c.userConfig(cred, r.redirectURI, style)
	call := tokenCall(cred, append([]Secret{cred.ClientSecret, basic(cred)}, r.Secrets...)...)
	body, err := c.tokenAnswer(ctx, call, func(ctx context.Context) error { return r.send(ctx, config) })
	if err != nil {
		return nil, err
	}
	grant, err := readGrant(body, call.Sent, r.Held)
	call.Secrets = append(call.Secrets, grant.AccessToken, grant.RefreshToken)
	grant.withoutEchoes(cred.ClientSecret, slices.Concat(r.Secrets, []Secret{grant.RefreshToken})...)
	if err == nil {
		return grant, nil
	}
	err = c.http.NewError(call, Malformed, err)
	if grant.AccessToken == "" && grant.RefreshToken == "" {
		return nil, err
	}
	return grant, err
}

// readGrant reads an answer that is known to be a JSON object. With an error,
// the Grant has what there is. Held is the refresh token that stays if the
// answer, which has an access token, has none.
func readGrant(body []byte, sent time.Time, held Secret) (*Grant, error) {
	a := readAnswer(body)
	token, err := a.token(sent)
	grant := &Grant{Token: token, RefreshToken: a.refreshToken()}
	if grant.RefreshToken == "" && token.AccessToken != "" {
		grant.RefreshToken = held
	}
	if grant.RefreshToken != "" {
		grant.RefreshExpires = refreshEnd(token.Issued, grant.RefreshToken)
	}
	return grant, err
}

// refreshEnd is when a refresh token lapses, which no answer tells.
func refreshEnd(issued time.Time, refreshToken Secret) time.Time {
	claims, _ := ReadClaims(string(refreshToken))
	if claims.Expires.After(issued) && claims.Expires.Before(issued.Add(maxSpan)) {
		return claims.Expires
	}
	return issued.Add(DefaultRefreshLife)
}

func (c *Client) userConfig(cred Credential, redirectURI string, style oauth2.AuthStyle) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     cred.ClientID,
		ClientSecret: string(cred.ClientSecret),
		RedirectURL:  redirectURI,
		Endpoint: oauth2.Endpoint{
			AuthURL:   c.url + authorizePath,
			TokenURL:  c.url + tokenPath,
			AuthStyle: style,
		},
	}
}

// basic is the credential in a Basic header, encoded as oauth2 does (RFC 6749
// §2.3.1).
func basic(cred Credential) Secret {
	plain := url.QueryEscape(cred.ClientID) + ":" + url.QueryEscape(string(cred.ClientSecret))
	return Secret(base64.StdEncoding.EncodeToString([]byte(plain)))
}

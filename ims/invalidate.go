// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// Types of token, as IMS calls them.
const (
	TypeAccessToken  = "access_token"
	TypeRefreshToken = "refresh_token"
)

// Invalidate ends an access token before its time. The credential's secret may
// be empty if it is no longer known. Tokens other than this one live on: the
// request never cascades. If IMS refuses the secret, it is asked once more
// without, as for a token of a client whose secret is not known.
//
// It returns nil only where the token is known to be dead: IMS confirmed its
// end, refused it as invalid_token, or answered to Validate that it is not
// valid. Otherwise the error is that of the invalidation: an *Error, unless ctx
// ended first or WithProceed's function did not let the request pass.
//
// The call is the one that Adobe's own libraries make; Adobe documents neither
// it nor an answer for a token that is dead already. See
// https://github.com/adobe/ims-go and https://github.com/adobe/aio-lib-ims.
func (c *Client) Invalidate(ctx context.Context, cred Credential, accessToken Secret) error {
	token := heldToken{Token: accessToken, kind: TypeAccessToken, clientID: cred.ClientID}
	ask := func(secret Secret) error {
		form := url.Values{"token_type": {TypeAccessToken}, "token": {string(accessToken)}, "client_id": {cred.ClientID}}
		if secret != "" {
			form.Set("client_secret", string(secret))
		}
		return c.end(ctx, token, ending{
			op: "token invalidation", endpoint: "invalidate", path: invalidatePath,
			Form: form, header: http.Header{"X-Ims-Clientid": {cred.ClientID}}, Secrets: []Secret{secret},
		})
	}
	err := ask(cred.ClientSecret)
	if cred.ClientSecret == "" || !secretRefused(err) {
		return err
	}
	again := ask("")
	if RefusedWith(again, CodeInvalidClient) {
		return err
	}
	return again
}

// Revoke ends a refresh token (RFC 7009), and so what a person granted. The
// client authenticates as for Exchange.
//
// It returns nil only where the token is known to be dead, as Invalidate does.
//
// See https://developer.adobe.com/developer-console/docs/guides/authentication/UserAuthentication/ims/.
func (c *Client) Revoke(ctx context.Context, cred Credential, refreshToken Secret) error {
	token := heldToken{Token: refreshToken, kind: TypeRefreshToken, clientID: cred.ClientID}
	return c.inEitherStyle(func(style oauth2.AuthStyle) error {
		e := ending{
			op: "revocation", endpoint: "revoke", path: revokePath,
			Form: url.Values{"token": {string(refreshToken)}}, header: http.Header{},
			Secrets: []Secret{cred.ClientSecret, basic(cred)},
		}
		if style == oauth2.AuthStyleInHeader {
			e.header.Set("Authorization", "Basic "+string(basic(cred)))
		} else {
			e.Form.Set("client_id", cred.ClientID)
			e.Form.Set("client_secret", string(cred.ClientSecret))
		}
		return c.end(ctx, token, e)
	})
}

// Validate asks IMS whether a token of a client lives: one of TypeAccessToken
// or TypeRefreshToken. Only an answer that says so counts; all else is an
// error: an *Error, unless ctx ended first or WithProceed's function did not
// let the request pass.
//
// The call is the one that Adobe's own libraries make; Adobe does not document
// it. See https://github.com/adobe/ims-go.
func (c *Client) Validate(ctx context.Context, clientID, kind string, token Secret) (bool, error) {
	form := url.Values{"type": {kind}, "client_id": {clientID}, "token": {string(token)}}
	call := endingCall("token validation", "validate", clientID, token)
	body, err := c.post(ctx, call, validatePath, form, http.Header{"X-Ims-Clientid": {clientID}})
	if err != nil {
		return false, err
	}
	valid, told := readValidity(body)
	if !told {
		return false, c.http.NewError(call, Malformed, errors.New("the answer does not say whether the token is valid; check the URL"))
	}
	return valid, nil
}

// heldToken is a token to be ended. The token is an exported field, so that fmt
// finds its Formatter; likewise below.
type heldToken struct {
	Token          Secret
	kind, clientID string
}

// ending is a request to end a token. Form holds secrets: it is never printed.
type ending struct {
	op, endpoint, path string
	Form               url.Values
	header             http.Header
	Secrets            []Secret // of the request, beside the token
}

// end sends a request to end a token. Where the answer proves nothing, the
// token is validated.
func (c *Client) end(ctx context.Context, token heldToken, e ending) error {
	call := endingCall(e.op, e.endpoint, token.clientID, append(e.Secrets, token.Token)...)
	call.EmptyOK = true
	body, err := c.post(ctx, call, e.path, e.Form, e.header)
	switch readEnding(body, err) {
	case dead:
		return nil
	case unproven:
		if valid, failed := c.Validate(ctx, token.clientID, token.kind, token.Token); failed == nil && !valid {
			return nil
		}
	}
	if err == nil {
		err = c.http.NewError(call, Malformed, errors.New("the answer is JSON that Adobe is not known to give; check the URL"))
	}
	return err
}

func endingCall(op, endpoint, share string, secrets ...Secret) *adobehttp.Call {
	return &adobehttp.Call{Op: op, Endpoint: endpoint, Share: share, Ending: true, Secrets: secrets}
}

// post sends a form and returns the body of a good answer.
func (c *Client) post(ctx context.Context, call *adobehttp.Call, path string, form url.Values, header http.Header) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := c.http.Do(ctx, call, req)
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

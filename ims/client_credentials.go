// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// ClientCredentials obtains a token for the client itself by the client
// credentials grant (RFC 6749 §4.4). The scopes travel joined by commas, as
// Adobe documents them, and the credential in the form body.
//
// Once the request is sent, its answer is waited for even if ctx ends: the
// token would live on at Adobe, known to nobody.
//
// The error is an *Error, unless ctx ended first or WithProceed's function did
// not let the request pass. Of kind Malformed, it may come with a Token: one
// that was granted and cannot be used (no expires_in, a clock far off), with no
// Expires, so that it can be invalidated.
func (c *Client) ClientCredentials(ctx context.Context, cred Credential, scopes []string) (*Token, error) {
	params := url.Values{"scope": {strings.Join(scopes, ",")}}
	if cred.OrgID != "" {
		params.Set("org_id", cred.OrgID)
	}
	config := clientcredentials.Config{
		ClientID:       cred.ClientID,
		ClientSecret:   string(cred.ClientSecret),
		TokenURL:       c.url + tokenPath,
		EndpointParams: params,
		AuthStyle:      oauth2.AuthStyleInParams,
	}
	call := tokenCall(cred, cred.ClientSecret)
	body, err := c.tokenAnswer(ctx, call, func(ctx context.Context) error {
		_, err := config.Token(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	token, err := readAnswer(body).token(call.Sent)
	call.Secrets = append(call.Secrets, token.AccessToken)
	token.withoutEchoes(cred.ClientSecret)
	if err == nil {
		return &token, nil
	}
	err = c.http.NewError(call, Malformed, err)
	if token.AccessToken == "" {
		return nil, err
	}
	return &token, err
}

// tokenCall is a request to the token endpoint. The secrets are those of the
// request.
func tokenCall(cred Credential, secrets ...Secret) *adobehttp.Call {
	return &adobehttp.Call{Op: "token request", Endpoint: "token", Share: cred.ClientID, Finish: true, Secrets: secrets}
}

// tokenAnswer has oauth2 send a request and returns the body of a good answer,
// a JSON object. What oauth2 makes of it is not used: it drops a refresh token
// beside an access token that it finds fault with.
func (c *Client) tokenAnswer(ctx context.Context, call *adobehttp.Call, send func(context.Context) error) ([]byte, error) {
	ctx, client := c.http.HTTP(ctx, call)
	kept := &keeper{next: client.Transport}
	client = &http.Client{Transport: kept, CheckRedirect: client.CheckRedirect}
	err := send(context.WithValue(ctx, oauth2.HTTPClient, client))
	if kept.body != nil {
		return kept.body, nil
	}
	return nil, c.http.Failure(call, err, errors.New("the answer cannot be read"))
}

// keeper keeps the body of a good answer.
type keeper struct {
	next http.RoundTripper
	body []byte
}

// RoundTrip implements http.RoundTripper.
func (k *keeper) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := k.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // it is in memory
	if err != nil {
		return nil, err
	}
	k.body, resp.Body = body, io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

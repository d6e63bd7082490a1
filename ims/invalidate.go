// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

const invalidatePath = "/ims/invalidate_token/v2"

// Invalidate ends an access token before its time. The credential's secret may
// be empty if it is no longer known. Tokens other than this one live on: the
// request never cascades.
//
// The call is the one that Adobe's own libraries make (adobe/ims-go,
// adobe/aio-lib-ims); Adobe documents no answer for a token that is dead
// already. A *Error of kind Refused may mean that: see NoSuchToken.
func (c *Client) Invalidate(ctx context.Context, cred Credential, accessToken Secret) error {
	form := url.Values{
		"token_type": {"access_token"},
		"token":      {string(accessToken)},
		"client_id":  {cred.ClientID},
	}
	if cred.ClientSecret != "" {
		form.Set("client_secret", string(cred.ClientSecret))
	}
	identify := func(req *http.Request) { req.Header.Set("X-IMS-ClientId", cred.ClientID) }
	return c.post(ctx, "token invalidation", invalidatePath, form, identify, cred.ClientSecret, accessToken)
}

// post sends a form whose answer says nothing but whether it worked. The secrets
// are those of the request.
func (c *Client) post(ctx context.Context, op, path string, form url.Values, complete func(*http.Request), secrets ...Secret) error {
	ctx, trace := adobehttp.WithTrace(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	complete(req)

	resp, err := c.http.Do(req)
	if err != nil {
		return unanswered(ctx, op, err, trace.Header, secrets...)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return nil
	}
	var answer struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if body, err := io.ReadAll(resp.Body); err == nil {
		_ = json.Unmarshal(body, &answer) // an answer without a code is told by its status
	}
	return c.refusal(op, resp.StatusCode, resp.Header, answer.Code, answer.Description, secrets...)
}

// NoSuchToken tells whether IMS refused to invalidate or revoke because it knows no such
// living token, rather than because it refused the client that asked.
func (e *Error) NoSuchToken() bool {
	if e.Kind != Refused || e.Code == CodeInvalidClient || e.Code == CodeUnauthorizedClient {
		return false
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusGone:
		return true
	}
	return false
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/field"
)

const callbackPath = "callback"

// callback
func (b *backend) pathCallback() *framework.Path {
	return &framework.Path{
		Pattern:         callbackPath + "$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "Where Adobe sends the browser of a person who has signed in.",
		HelpDescription: "Takes code and state and answers a page. It needs no Vault token: the state is what proves the request.",
		Fields: map[string]*framework.FieldSchema{
			"code":              {Type: framework.TypeString, Description: "The authorization code.", Query: true},
			"state":             {Type: framework.TypeString, Description: "The state of the sign-in.", Query: true},
			"error":             {Type: framework.TypeString, Description: "Why there is no code.", Query: true},
			"error_description": {Type: framework.TypeString, Description: "The same in words; not shown.", Query: true},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: onActive(operation(b.readCallback, "Complete a sign-in.", "complete", "sign-in", map[int][]framework.Response{http.StatusOK: {{Description: "A page that says whether it worked.", MediaType: "text/html"}}})),
		},
	}
}

// readCallback tells a stranger nothing: not which roles or states there are,
// nor what IMS said.
func (b *backend) readCallback(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	if req.WrapInfo != nil && req.WrapInfo.TTL > 0 {
		// Vault would store the wrapped page for whoever asks, for as long as
		// they say.
		return refuse("X-Vault-Wrap-TTL: the answer is a page for a browser; there is nothing to wrap")
	}
	code, state := d.Get("code").(string), d.Get("state").(string)
	if len(code) > field.Limit("code") || len(state) > field.Limit("state") {
		return page(http.StatusBadRequest, pageStale)
	}
	if code == "" {
		role, err := b.authorizations.Deny(ctx, state)
		switch {
		case errors.Is(err, authorization.ErrStale):
			return page(http.StatusBadRequest, pageStale)
		case err != nil:
			return nil, err
		}
		b.Logger().Warn("a sign-in ended without consent", "role", role, "error", field.Describe(d.Get("error").(string)))
		return page(http.StatusOK, pageDenied)
	}
	role, err := inTime(ctx, func(ctx context.Context) (string, error) {
		role, _, err := b.authorizations.Redeem(ctx, state, code, "", false)
		return role, err
	})
	switch {
	case errors.Is(err, authorization.ErrStale):
		return page(http.StatusBadRequest, pageStale)
	case errors.Is(err, authorization.ErrAnotherPerson):
		b.Logger().Warn("a sign-in could not be completed", "role", role, "error", err)
		return page(http.StatusConflict, pageTaken)
	case err != nil:
		b.Logger().Warn("a sign-in could not be completed", "role", role, "error", err)
		return page(http.StatusBadGateway, pageFailed)
	}
	return page(http.StatusOK, pageDone)
}

// callbackPage is what a person reads.
type callbackPage struct {
	Good       bool
	Title      string
	Paragraphs []string
}

var (
	pageDone = callbackPage{Good: true, Title: "Access granted", Paragraphs: []string{
		"Vault has stored the authorization. Applications can now get their tokens from Vault.", "You can close this window.",
	}}
	pageDenied = callbackPage{Title: "Access not granted", Paragraphs: []string{
		"Adobe reports that access was not allowed. Nothing was stored.", "If that was not intended, ask your Vault operator for a new link.",
	}}
	pageStale = callbackPage{Title: "This link no longer works", Paragraphs: []string{
		"It was used already, is older than ten minutes, or is incomplete. Nothing was stored.", "Ask your Vault operator for a new link.",
	}}
	pageTaken = callbackPage{Title: "Access not taken over", Paragraphs: []string{
		"Somebody else has given this access already. Nothing was changed, and what you granted was ended.", "If you are to take their place, ask your Vault operator for a link that does so.",
	}}
	pageFailed = callbackPage{Title: "Access could not be completed", Paragraphs: []string{
		"The sign-in could not be completed with Adobe. Nothing was stored.", "Ask your Vault operator for a new link. Vault's log says what went wrong.",
	}}
)

var (
	//go:embed callback.html
	callbackHTML string
	//go:embed callback.css
	callbackCSS string

	callbackTemplate = template.Must(template.New("callback").Parse(callbackHTML))
)

// page answers a page of its own. Vault drops the headers of plugins, so its
// Content-Security-Policy is in the page: nothing but its own style.
func page(status int, content callbackPage) (*logical.Response, error) {
	hash := sha256.Sum256([]byte(callbackCSS))
	var html bytes.Buffer
	err := callbackTemplate.Execute(&html, map[string]any{
		"Page":  content,
		"Style": template.CSS(callbackCSS), //nolint:gosec // our own file
		"Hash":  base64.StdEncoding.EncodeToString(hash[:]),
	})
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		logical.HTTPContentType: "text/html; charset=utf-8",
		logical.HTTPStatusCode:  status,
		logical.HTTPRawBody:     html.Bytes(),
	}}, nil
}

// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"context"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

const tokenPath = "/ims/token/v3"

// ClientCredentials obtains a token for the scopes by the client credentials
// grant (RFC 6749 §4.4). The scopes travel joined by commas, as Adobe documents
// them, and the credential in the form body.
//
// The error is an *Error, unless ctx ended first.
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
	ctx, trace := adobehttp.WithTrace(context.WithValue(ctx, oauth2.HTTPClient, c.http))
	granted, err := config.Token(ctx)
	if err != nil {
		return nil, c.tokenError(ctx, err, trace, cred.ClientSecret)
	}
	token, err := newToken(granted, trace.Sent)
	if err != nil {
		return nil, malformed("token request", trace, err, cred.ClientSecret)
	}
	return token, nil
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// Mint implements tokens.Minter: a person's token comes from their authorization,
// any other from the credential itself.
func (b *backend) Mint(ctx context.Context, spec tokens.Spec, order tokens.Order) (*tokens.Token, error) {
	c, err := b.credentials.Get(ctx, spec.Config)
	switch {
	case err != nil:
		return nil, err
	case c.Value == nil:
		return nil, advice.Missing("config %q does not exist", spec.Config)
	}
	if order.Background {
		ctx = ims.WithoutRetries(ctx)
	}
	ctx = ims.WithProceed(ctx, order.Proceed)
	var token *tokens.Token
	if c.Value.Type == credential.WebApp {
		token, err = b.authorizations.Mint(ctx, spec, order)
	} else {
		token, err = b.roles.Mint(ctx, spec, c.Value)
	}
	if err == nil {
		err = b.roles.Usable(token)
	}
	return token, err
}

// End implements tokens.Ender.
func (b *backend) End(ctx context.Context, t *tokens.Token) error {
	return b.credentials.End(ctx, credential.Issued{
		Config: t.Config, ClientID: t.ClientID, IMSURL: t.IMSURL, Token: t.AccessToken, Expires: t.Expires,
	})
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// verifyScope is asked for when a credential is proven. Any would do: IMS
// looks at the credential before it looks at the scope.
const verifyScope = "openid"

const verifyTimeout = 60 * time.Second

// verify asks IMS for a token with the config's values. It returns nothing if
// they are good, else the answer to the request. The token goes nowhere.
func (b *backend) verify(ctx context.Context, c *config) (*logical.Response, error) {
	client, err := b.clients.forURL(c, c.IMSURL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	if c.CredentialType == webApp {
		err = verifyWebApp(ctx, client, c)
	} else {
		_, err = client.ClientCredentials(ctx, c.credential(), []string{verifyScope})
	}

	if ctx.Err() != nil {
		err = &ims.Error{Kind: ims.Unreachable, Op: "token request", Err: fmt.Errorf("no answer within %s", inWords(verifyTimeout))}
	}
	var failure *ims.Error
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &failure):
		return nil, err
	case failure.Code == ims.CodeInvalidScope:
		return nil, nil
	case failure.Kind == ims.Refused:
		return refuse("%s. IMS does not accept this client_id with this client_secret as %s: compare them with the Developer Console. Nothing was stored",
			failure, c.CredentialType)
	}
	return nil, logical.CodedError(adobeStatus(failure),
		fmt.Sprintf("%s. Nothing was stored. To store the config without asking IMS, add verify=false", failure))
}

// verifyWebApp proves a credential that has no tokens of its own: IMS refuses a
// code that it never gave, but not before it has accepted the client.
func verifyWebApp(ctx context.Context, client *ims.Client, c *config) error {
	_, err := client.Exchange(ctx, c.credential(), c.RedirectURI, "a-code-to-prove-the-client", ims.NewVerifier())
	var failure *ims.Error
	if errors.As(err, &failure) && failure.Kind == ims.Refused && !isInvalidClient(err) && failure.Code != ims.CodeUnauthorizedClient {
		return nil
	}
	return err
}

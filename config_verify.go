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
func (b *backend) verify(ctx context.Context, name string, c *config) (*logical.Response, error) {
	client, err := b.clients.forURL(c, c.IMSURL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	_, err = client.ClientCredentials(ctx, c.credential(), []string{verifyScope})

	var failure *ims.Error
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &failure):
		return nil, err
	case failure.Code == ims.CodeInvalidScope:
		return nil, nil
	case failure.Kind == ims.Refused:
		return refuse("%s. %s Nothing was stored", failure, adviceFor(failure, name))
	}
	return nil, logical.CodedError(adobeStatus(failure),
		fmt.Sprintf("%s. Nothing was stored. To store the config without asking IMS, add verify=false", failure))
}

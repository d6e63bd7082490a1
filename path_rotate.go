// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// config/<name>/rotate
func (b *backend) pathRotate() *framework.Path {
	return &framework.Path{
		Pattern:         configPrefix + framework.GenericNameRegex("name") + "/rotate",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "Rotate the client secret of a config.",
		HelpDescription: pathRotateHelpDesc,
		Fields: map[string]*framework.FieldSchema{
			"name": {Type: framework.TypeString, Description: "Name of the config."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback:                    b.rotateConfig,
				Summary:                     "Rotate the client secret.",
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "rotate", OperationSuffix: "client-secret"},
				Responses: answers(map[string]*framework.FieldSchema{
					"client_secret_uuid":          {Type: framework.TypeString, Description: "Uuid of the new client secret in the Developer Console."},
					"previous_secret_uuid":        {Type: framework.TypeString, Description: "Uuid of the client secret before."},
					"previous_secret_remove_time": {Type: framework.TypeString, Description: "When the client secret before is removed in the Developer Console, RFC 3339."},
				}),
			},
		},
	}
}

func (b *backend) rotateConfig(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("name").(string)
	rotated, err := b.rotate(ctx, req.Storage, name)
	if err != nil {
		return respond(err)
	}
	c := rotated.config
	data := map[string]any{"client_secret_uuid": c.SecretUUID}
	if n := len(c.Retired); n > 0 {
		data["previous_secret_uuid"] = c.Retired[n-1].UUID
		data["previous_secret_remove_time"] = timestamp(c.Retired[n-1].RemoveAt)
	}
	resp := &logical.Response{Data: data}
	for _, removed := range rotated.early {
		resp.AddWarning(fmt.Sprintf("The client secret %s, which was to work until %s, was removed now: Adobe keeps two at most", removed.UUID, timestamp(removed.RemoveAt)))
	}
	return resp, nil
}

const pathRotateHelpDesc = `
Adds a client secret to the credential in the Adobe Developer Console, proves it by
minting a token with it, makes it the config's current one, and removes the one
before once previous_secret_ttl is over, or at the next rotation if that is
earlier. The new secret is never shown.

It needs console_org_id and credential_id on the config, and the I/O Management API
in the project of the Developer Console.

  $ vault write -f adobeims/config/default/rotate

With rotation_period on the config this happens by itself.
`

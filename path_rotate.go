// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

// config/<name>/rotate
func (b *backend) pathRotate() *framework.Path {
	return &framework.Path{
		Pattern:         configPath + framework.GenericNameRegex("name") + "/rotate",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "Rotate the client secret of a config.",
		HelpDescription: pathRotateHelpDesc,
		Fields: map[string]*framework.FieldSchema{
			"name": nameField("config"),
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: onPrimary(operation(b.rotateConfig, "Rotate the client secret.", "rotate", "client-secret", okResponse(map[string]*framework.FieldSchema{
				"client_secret_uuid":          {Type: framework.TypeString, Description: "UUID of the new client secret in the Developer Console."},
				"previous_secret_uuid":        {Type: framework.TypeString, Description: "UUID of the previous client secret."},
				"previous_secret_remove_time": {Type: framework.TypeString, Description: "When the previous client secret is removed in the Developer Console, RFC 3339."},
			}))),
		},
	}
}

func (b *backend) rotateConfig(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("name").(string)
	rotated, err := b.rotations.Rotate(ctx, name)
	if err != nil {
		return respond(err)
	}
	data := map[string]any{"client_secret_uuid": rotated.UUID}
	if p := rotated.Previous; p != nil {
		data["previous_secret_uuid"] = p.UUID
		data["previous_secret_remove_time"] = advice.Time(p.RemoveAt)
	}
	resp := &logical.Response{Data: data}
	for _, removed := range rotated.RemovedEarly {
		resp.AddWarning(fmt.Sprintf("The client secret %s was due to keep working until %s and has been removed early: Adobe allows two", removed.UUID, advice.Time(removed.RemoveAt)))
	}
	b.warnOfSameClient(ctx, resp, name)
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

With rotation_period or rotation_schedule on the config this happens by itself. A
rotation that takes longer than 45 seconds goes on by itself; write again for its
outcome.
`

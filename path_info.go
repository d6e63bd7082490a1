// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// info
func (b *backend) pathInfo() *framework.Path {
	return &framework.Path{
		Pattern:         "info/?$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "The plugin's version and build.",
		HelpDescription: "Answers the version, commit and build date of the plugin and the version of the Vault SDK in it.",
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: operation(b.readInfo, "Read the plugin's version and build.", "read", "info", okResponse(map[string]*framework.FieldSchema{
				"version":     {Type: framework.TypeString, Description: "Version of the plugin."},
				"commit":      {Type: framework.TypeString, Description: "Commit it was built from."},
				"build_date":  {Type: framework.TypeString, Description: "When it was built, RFC 3339."},
				"sdk_version": {Type: framework.TypeString, Description: "Version of the Vault SDK in it."},
			})),
		},
	}
}

func (b *backend) readInfo(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	return &logical.Response{Data: map[string]any{
		"version":     Version,
		"commit":      commit,
		"build_date":  buildDate,
		"sdk_version": sdkVersion(),
	}}, nil
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
)

// operationPrefix starts the names of the operations in the OpenAPI document.
const operationPrefix = "adobe-ims"

// okResponse documents a 200 with these fields.
func okResponse(fields map[string]*framework.FieldSchema) map[int][]framework.Response {
	return map[int][]framework.Response{http.StatusOK: {{Description: "OK", Fields: fields}}}
}

// noContent documents a 204.
func noContent() map[int][]framework.Response {
	return map[int][]framework.Response{http.StatusNoContent: {{Description: "No Content"}}}
}

// keysField is what a list answers.
func keysField() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"keys": {Type: framework.TypeStringSlice, Description: "The names."},
	}
}

// nameField is the name in a path.
func nameField(of string) *framework.FieldSchema {
	return &framework.FieldSchema{Type: framework.TypeString, Description: "Name of the " + of + "."}
}

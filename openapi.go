// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
)

// operationPrefix starts the names of the operations in the OpenAPI document.
const operationPrefix = "adobe-ims"

// answers documents a 200 with these fields.
func answers(fields map[string]*framework.FieldSchema) map[int][]framework.Response {
	return map[int][]framework.Response{http.StatusOK: {{Description: "OK", Fields: fields}}}
}

// answersNothing documents a 204.
func answersNothing() map[int][]framework.Response {
	return map[int][]framework.Response{http.StatusNoContent: {{Description: "No Content"}}}
}

// keysField is what a list answers.
func keysField() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"keys": {Type: framework.TypeStringSlice, Description: "The names."},
	}
}

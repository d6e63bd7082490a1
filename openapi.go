// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
)

// operationPrefix starts the names of the operations in the OpenAPI document.
const operationPrefix = "adobe-ims"

// operation is an operation of a path: what it does in a sentence, the name that
// the OpenAPI document gives it as verb and suffix, and what it answers.
func operation(callback framework.OperationFunc, summary, verb, suffix string, responses map[int][]framework.Response) *framework.PathOperation {
	return &framework.PathOperation{
		Callback:     callback,
		Summary:      summary,
		DisplayAttrs: &framework.DisplayAttributes{OperationVerb: verb, OperationSuffix: suffix},
		Responses:    responses,
	}
}

// onActive has performance standbys pass the operation on to their active node: it
// writes what is local to the cluster, rests on what only that node knows, or is to
// show what was written a moment ago.
func onActive(o *framework.PathOperation) *framework.PathOperation {
	o.ForwardPerformanceStandby = true
	return o
}

// onPrimary has performance secondaries pass it on as well: it writes what all
// clusters share.
func onPrimary(o *framework.PathOperation) *framework.PathOperation {
	o.ForwardPerformanceSecondary = true
	return onActive(o)
}

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

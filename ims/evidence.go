// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"encoding/json"
	"errors"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// evidence is what the answer to an invalidation or a revocation tells of the
// token.
type evidence int

const (
	// noAnswer: nothing, and asking on is of no use. IMS was out of reach or
	// failed, or it refused the client that asked.
	noAnswer evidence = iota

	// dead: it ended, or was at its end already.
	dead

	// unproven: nothing. Either something else answered, or IMS said no to the
	// request and not of the token. Validating the token can tell.
	unproven
)

// readEnding decides what an answer tells: the body of a good one (nothing, or
// a JSON object), or the error.
//
// A 2xx with an empty body is the documented success, and {} means the same;
// anything more is no answer that Adobe is known to give. Of the refusals, only
// invalid_token is about the token.
func readEnding(body []byte, err error) evidence {
	var failed *Error
	switch {
	case err == nil && adobehttp.IsEmpty(body):
		return dead
	case err == nil:
		return unproven
	case !errors.As(err, &failed):
		return noAnswer
	case failed.Kind == Malformed:
		return unproven
	case failed.Kind != Refused:
		return noAnswer
	}
	switch failed.Code {
	case CodeInvalidToken:
		return dead
	case CodeInvalidClient, CodeUnauthorizedClient:
		return noAnswer
	}
	return unproven
}

// readValidity returns what the answer to a validation says: whether the token
// lives, and whether it says that at all.
func readValidity(body []byte) (valid, told bool) {
	var said struct {
		Valid *bool `json:"valid"`
	}
	if json.Unmarshal(body, &said) != nil || said.Valid == nil {
		return false, false
	}
	return *said.Valid, true
}

// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"errors"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// Error is a failed call. It holds no secret and no raw answer.
type Error = adobehttp.Error

// Kind is what an Error means for whoever has to act on it.
type Kind = adobehttp.Kind

// The kinds of Error. Refused stays until the credential, the scopes or the
// token are others.
const (
	Refused     = adobehttp.Refused
	Throttled   = adobehttp.Throttled
	Unavailable = adobehttp.Unavailable
	Malformed   = adobehttp.Malformed
	Unreachable = adobehttp.Unreachable
)

// Error codes of IMS that callers tell apart (RFC 6749 §5.2, RFC 6750 §3.1).
const (
	CodeInvalidClient      = "invalid_client"
	CodeInvalidScope       = "invalid_scope"
	CodeInvalidToken       = "invalid_token"
	CodeUnauthorizedClient = "unauthorized_client"
)

// What IMS says of invalid_client. Adobe's own clients tell the two apart.
const (
	wrongClientID     = "invalid client_id parameter"
	wrongClientSecret = "invalid client_secret parameter"
)

// RefusedWith reports whether IMS refused what was asked with the error code,
// such as CodeInvalidScope. The same code beside a status of 429 or 5xx is no
// refusal.
func RefusedWith(err error, code string) bool {
	failed := refusal(err)
	return failed != nil && failed.Code == code
}

// RefusedByCode reports whether IMS refused what was asked with a code of the form
// of OAuth's. A refusal in words or numbers alone may be a gateway's in between.
func RefusedByCode(err error) bool {
	failed := refusal(err)
	return failed != nil && adobehttp.IsCode(failed.Code)
}

// ClientUnknown reports whether IMS refused a call because it knows no client
// of that ID (any more): the credential was deleted at Adobe.
func ClientUnknown(err error) bool {
	return RefusedWith(err, CodeInvalidClient) && strings.EqualFold(refusal(err).Description, wrongClientID)
}

// secretRefused reports whether IMS refused the client's secret, as far as it
// tells.
func secretRefused(err error) bool {
	if !RefusedWith(err, CodeInvalidClient) {
		return false
	}
	said := refusal(err).Description
	return said == "" || strings.EqualFold(said, wrongClientSecret)
}

// refusal returns an error of kind Refused, or nil for any other.
func refusal(err error) *Error {
	var failed *Error
	if errors.As(err, &failed) && failed.Kind == Refused {
		return failed
	}
	return nil
}

// SPDX-License-Identifier: MPL-2.0

package console

import (
	"errors"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// Error is a failed call. It holds no secret and no raw answer. Its Code is the
// answer's "error_code", digits of which Adobe documents no list.
type Error = adobehttp.Error

// Kind is what an Error means for whoever has to act on it.
type Kind = adobehttp.Kind

// The kinds of Error. After Refused and Throttled, nothing was added; after the
// others, a client secret may have been.
const (
	Refused     = adobehttp.Refused
	Throttled   = adobehttp.Throttled
	Unavailable = adobehttp.Unavailable
	Malformed   = adobehttp.Malformed
	Unreachable = adobehttp.Unreachable
)

// MayHaveTakenEffect reports whether what was asked for may have happened
// despite the error, which is that of a request sent once, as Add sends its
// own. It is so unless the console said no.
func MayHaveTakenEffect(err error) bool {
	var failed *Error
	if errors.As(err, &failed) {
		return failed.Kind != Refused && failed.Kind != Throttled
	}
	return err != nil
}

// SPDX-License-Identifier: MPL-2.0

package console

import (
	"errors"
	"regexp"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// Error is a failed call. It holds no secret and no raw answer. Its Code is the
// answer's "error_code", digits of which Adobe documents no list.
type Error = adobehttp.Error

// Kind is what an Error means for whoever has to act on it.
type Kind = adobehttp.Kind

// The kinds of Error. MayHaveTakenEffect says after which of them a client secret
// may have been added.
const (
	Refused     = adobehttp.Refused
	Throttled   = adobehttp.Throttled
	Unavailable = adobehttp.Unavailable
	Malformed   = adobehttp.Malformed
	Unreachable = adobehttp.Unreachable
)

// MayHaveTakenEffect reports whether what was asked for may have happened
// despite the error, which is that of a request sent once, as Add sends its
// own. It is so unless nothing was sent, the console throttled, or it said no
// with a code of its own: another refusal may be that of a proxy which withheld
// the answer.
func MayHaveTakenEffect(err error) bool {
	var failed *Error
	switch {
	case !errors.As(err, &failed):
		return err != nil
	case failed.Kind == Throttled:
		return false
	case failed.Kind == Refused:
		return failed.Status != 0 && (failed.Status < 400 || !codePattern.MatchString(failed.Code))
	}
	return true
}

// codePattern is the form of the codes of Adobe's gateway, such as 403003. An HTTP
// status is none.
var codePattern = regexp.MustCompile(`^[0-9]{5,}$`)

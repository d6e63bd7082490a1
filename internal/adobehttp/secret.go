// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// Secret is a string that prints as a placeholder, whatever the verb. Storage
// encodings (JSON) hold its value: convert to string where that is wanted.
type Secret string

const redacted = "[redacted]"

// Format implements fmt.Formatter.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// minRedacted is how long a secret is at least to be looked for: a shorter one
// would make the words unreadable, and is none.
const minRedacted = 6

// maxQuoted is how much of a server's words an error repeats, in bytes.
const maxQuoted = 200

// Quote makes a server's words fit to be shown: one line of printable
// characters, cut at a sensible length, without the secrets of the request
// should the server echo one of them.
func Quote(words string, secrets ...Secret) string {
	for _, s := range secrets {
		if len(s) < minRedacted {
			continue
		}
		for _, form := range []string{string(s), url.QueryEscape(string(s))} {
			words = strings.ReplaceAll(words, form, redacted)
		}
	}
	words = strings.Join(strings.FieldsFunc(words, func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.IsSpace(r)
	}), " ")
	if len(words) > maxQuoted {
		words = strings.ToValidUTF8(words[:maxQuoted], "") + "..."
	}
	return words
}

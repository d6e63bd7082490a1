// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"encoding/base64"
	"strings"
	"unicode"
)

const (
	withheld = "[withheld]"

	// maxQuoted is how much of a server's words is passed on, in bytes.
	maxQuoted = 200

	ellipsis = "..."

	// fragment is how long a part of a secret is that must not be shown, in
	// bytes. Of a secret that is shorter, that is the whole; below minSecret,
	// it would make words unreadable, and is none.
	fragment  = 8
	minSecret = 6
)

// known are the words that Adobe documents or that its own libraries tell
// apart: codes and descriptions of IMS, and messages of the gateway before the
// console. They are passed on unseen.
var known = set(
	"access_denied", "bad_request", "internal_error", "invalid_client", "invalid_code", "invalid_grant",
	"invalid_redirect_uri", "invalid_request", "invalid_scope", "invalid_token", "server_error",
	"temporarily_unavailable", "unauthorized_client", "unsupported_grant_type", "unsupported_token_type",

	"invalid client_id parameter", "invalid client_secret parameter", "Please try again later",

	"Api Key is invalid", "Oauth token is not valid", "Too many requests",
)

func set(words ...string) map[string]bool {
	s := make(map[string]bool, len(words))
	for _, w := range words {
		s[w] = true
	}
	return s
}

// Quote makes a server's words fit to be shown: one line of printable
// characters, cut at 200 bytes. Words that are not known are withheld
// altogether if they hold a part of a secret of the request, however it is
// written.
func Quote(words string, secrets ...Secret) string {
	words = oneLine(words)
	if known[words] || !echoes(words, secrets) {
		return words
	}
	return withheld
}

// oneLine looks at no more than a few times what is shown.
func oneLine(words string) string {
	const enough = 4 * maxQuoted
	whole := len(words) <= enough
	if !whole {
		words = words[:enough]
	}
	words = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(words, ""), func(r rune) bool {
		return !unicode.IsPrint(r) || unicode.IsSpace(r)
	}), " ")
	if len(words) > maxQuoted || !whole {
		words = strings.ToValidUTF8(words[:min(len(words), maxQuoted-len(ellipsis))], "") + ellipsis
	}
	return words
}

// echoes reports whether the words, or what they decode to, hold a fragment of
// a secret. Words that decode to too much are taken to.
func echoes(words string, secrets []Secret) bool {
	f := fragmentsOf(secrets)
	if words == "" || len(f) == 0 {
		return false
	}
	readings, all := readingsOf(words)
	if !all {
		return true
	}
	for _, r := range readings {
		if f.in(spaceless(r)) || f.in(alphanumeric(r)) {
			return true
		}
	}
	return false
}

// fragments are the parts of secrets to look for, by their length.
type fragments map[int]map[string]bool

func fragmentsOf(secrets []Secret) fragments {
	f := fragments{}
	for _, s := range secrets {
		f.add(spaceless(string(s)))
		f.add(alphanumeric(string(s)))
		// Base64 is also looked for as it is, since what was folded to one case
		// cannot be decoded. The three starts are the three alignments; the
		// last characters depend on what follows the secret.
		for start := 0; start < 3 && len(s) >= fragment+start; start++ {
			encoded := alphanumeric(base64.RawStdEncoding.EncodeToString([]byte(s[start:])))
			f.add(encoded[:len(encoded)-2])
		}
	}
	return f
}

func (f fragments) add(s string) {
	size := min(len(s), fragment)
	if size < minSecret {
		return
	}
	if f[size] == nil {
		f[size] = map[string]bool{}
	}
	for i := range len(s) - size + 1 {
		f[size][s[i:i+size]] = true
	}
}

func (f fragments) in(s string) bool {
	for size, parts := range f {
		for i := range max(len(s)-size+1, 0) {
			if parts[s[i:i+size]] {
				return true
			}
		}
	}
	return false
}

// spaceless folds case and full-width forms, and drops what separates without
// being seen.
func spaceless(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return -1
		}
		return fold(r)
	}, s)
}

// alphanumeric folds likewise, and keeps ASCII letters and digits alone.
func alphanumeric(s string) string {
	return strings.Map(func(r rune) rune {
		if r = fold(r); r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}

func fold(r rune) rune {
	const fullWidth = 0xFF00 - 0x20
	if r > 0xFF00 && r < 0xFF5F {
		r -= fullWidth
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

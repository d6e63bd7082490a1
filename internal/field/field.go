// SPDX-License-Identifier: MPL-2.0

// Package field has the rules for every text that comes in with a request: what
// files and pasting put around it is dropped, what cannot be seen is refused by
// name, and nothing is longer than its limit.
//
// It knows nothing of what a field means. Its functions are pure. Their errors
// are *advice.Error, name the field and never quote the value, which may be a
// secret in the wrong place. The length is looked at before anything else, so
// that refusing costs nothing.
package field

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

const (
	// byteOrderMark is what some editors put at the beginning of a file.
	byteOrderMark = "\uFEFF"

	// surroundings is how much longer than its limit a value may be on account
	// of what is dropped at its ends, in bytes.
	surroundings = 64
)

// Text returns the value of a field of one line: without a byte-order mark at
// its beginning and white space at its ends. The limit is in bytes.
func Text(name, value string, limit int) (string, error) {
	text, err := Document(name, value, limit)
	if err != nil {
		return "", err
	}
	for _, r := range text {
		if unseen(r) {
			return "", advice.Field(name, "has the character U+%04X, %s: type the value instead of copying it, or copy it again without that", r, whatIs(r))
		}
	}
	return text, nil
}

// Document is Text for a file, such as JSON or PEM: what characters it may have
// is for whoever reads it.
func Document(name, value string, limit int) (string, error) {
	if len(value) > limit+surroundings {
		return "", tooLong(name, len(value), limit)
	}
	if isUTF16(value) {
		return "", advice.Field(name, "is text in UTF-16, as some Windows programs save it: save the file as UTF-8")
	}
	if !utf8.ValidString(value) {
		return "", advice.Field(name, "is no text in UTF-8: save the file as UTF-8")
	}
	text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(value), byteOrderMark))
	if len(text) > limit {
		return "", tooLong(name, len(text), limit)
	}
	return text, nil
}

func tooLong(name string, length, limit int) error {
	return advice.Field(name, "has %d bytes; %d is the limit", length, limit)
}

// unseen reports whether a character does not show, or not as itself: it would
// make two values that look alike differ.
func unseen(r rune) bool {
	switch r {
	case ' ':
		return false
	case utf8.RuneError, brailleBlank:
		return true
	}
	return unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// brailleBlank is a symbol by its category, and blank.
const brailleBlank = '\u2800'

func whatIs(r rune) string {
	switch r {
	case utf8.RuneError:
		return "which stands for bytes that are no UTF-8"
	case '\n', '\r':
		return "which begins another line"
	}
	return "which cannot be seen"
}

// isUTF16 reports whether a value is the bytes of a UTF-16 file. JSON cannot
// hold such bytes: Vault's command line puts U+FFFD in the place of each half
// of the mark at the beginning.
func isUTF16(value string) bool {
	for _, mark := range []string{"\xFF\xFE", "\xFE\xFF"} {
		if strings.HasPrefix(value, mark) {
			return true
		}
	}
	head := strings.TrimPrefix(value[:min(len(value), 64)], "\uFFFD\uFFFD")
	even, odd := 0, 0 // zero bytes
	for i := range len(head) {
		switch {
		case head[i] != 0:
		case i%2 == 0:
			even++
		default:
			odd++
		}
	}
	// Two characters can be zero bytes by accident; every other byte cannot.
	half := max(len(head)/2, 3)
	return odd == 0 && even >= half || even == 0 && odd >= half
}

// Describe shows words from outside in a message: quoted, on one line, cut off
// at a sensible length.
func Describe(words string) string {
	const most = 80
	if len(words) > most {
		words = strings.ToValidUTF8(words[:most], "") + "..."
	}
	return fmt.Sprintf("%q", words)
}

// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxDepth is how often encodings are undone: twice nested ones, and a
	// reversal or the like on top.
	maxDepth = 3

	// maxReadings bounds the work. Words that are no cipher have a handful.
	maxReadings = 100
)

// readingsOf returns what words say and what they decode to, each once. It
// reports whether those are all.
func readingsOf(words string) (readings []string, all bool) {
	seen := map[string]bool{words: true}
	readings = []string{words}
	for depth, from := 0, 0; depth < maxDepth; depth++ {
		to := len(readings)
		for _, r := range readings[from:to] {
			for _, decoded := range decode(r) {
				if len(decoded) < minSecret || seen[decoded] {
					continue
				}
				if len(readings) == maxReadings {
					return readings, false
				}
				seen[decoded] = true
				readings = append(readings, decoded)
			}
		}
		from = to
	}
	return readings, true
}

// decode undoes one encoding, in every way that words can be read.
func decode(s string) []string {
	decoded := []string{reverse(s), rot13(s), html.UnescapeString(s), unescape(s)}
	for _, base := range []int{2, 8, 10, 16} {
		decoded = append(decoded, legible(codes(s, base)))
	}
	for start := range 3 {
		decoded = append(decoded, legible(decimals(s, start)))
	}
	for _, a := range alphabets {
		for start := range a.alignments {
			decoded = append(decoded, legible(a.decode(s, start)))
		}
	}
	return decoded
}

func reverse(s string) string {
	runes := []rune(s)
	slices.Reverse(runes)
	return string(runes)
}

func rot13(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case r >= 'A' && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, s)
}

// escape is a character by its number, as URLs, JSON, programming languages and
// mail write it.
var escape = regexp.MustCompile(`(?i)\\u\{([0-9a-f]{1,6})\}|(?:%u|\\u|u\+)([0-9a-f]{4})|(?:%|=|\\x|0x)([0-9a-f]{2})|\\([0-7]{3})`)

func unescape(s string) string {
	return escape.ReplaceAllStringFunc(s, func(found string) string {
		groups := escape.FindStringSubmatch(found)
		base, number := 16, groups[1]+groups[2]+groups[3]
		if number == "" {
			base, number = 8, groups[4]
		}
		return character(number, base)
	})
}

func character(number string, base int) string {
	code, err := strconv.ParseInt(number, base, 32)
	if err != nil {
		return ""
	}
	return string(rune(code))
}

const lettersAndDigits = "0123456789abcdefghijklmnopqrstuvwxyz"

// codes reads numbers that stand apart as characters.
func codes(s string, base int) string {
	var b strings.Builder
	for _, number := range strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return !strings.ContainsRune(lettersAndDigits[:base], r)
	}) {
		b.WriteString(character(number, base))
	}
	return b.String()
}

// decimals reads digits that do not stand apart as the numbers of printable
// ASCII characters: those of three digits begin with a 0 or a 1.
func decimals(s string, start int) string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
	var b strings.Builder
	for i := start; i < len(digits); {
		size := 2
		if digits[i] <= '1' {
			size = 3
		}
		if i+size > len(digits) {
			break
		}
		b.WriteString(character(digits[i:i+size], 10))
		i += size
	}
	return b.String()
}

// alphabet is an encoding in which each character stands for some bits. Other
// characters are passed over: they separate, pad or wrap.
type alphabet struct {
	bits       int
	alignments int      // how many characters may stand before a byte's beginning
	values     [256]int // -1 for none
}

const upperAndLower = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Of base64, the one without its two special characters is for texts in which
// they separate. Both of its forms at once are for texts that mix them.
var alphabets = []*alphabet{
	newAlphabet(1, 8, "01"),
	newAlphabet(4, 2, "0123456789abcdef", "0123456789ABCDEF"),
	newAlphabet(5, 8, "abcdefghijklmnopqrstuvwxyz234567", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
	newAlphabet(5, 8, "0123456789abcdefghijklmnopqrstuv", "0123456789ABCDEFGHIJKLMNOPQRSTUV"),
	newAlphabet(6, 4, upperAndLower+"+/"),
	newAlphabet(6, 4, upperAndLower+"-_"),
	newAlphabet(6, 4, upperAndLower+"+/", upperAndLower+"-_"),
	newAlphabet(6, 4, upperAndLower),
}

func newAlphabet(bits, alignments int, forms ...string) *alphabet {
	a := &alphabet{bits: bits, alignments: alignments}
	for i := range a.values {
		a.values[i] = -1
	}
	for _, form := range forms {
		for value, c := range []byte(form) {
			a.values[c] = value
		}
	}
	return a
}

// decode decodes the characters from the one at start.
func (a *alphabet) decode(s string, start int) string {
	decoded := make([]byte, 0, len(s))
	buffer, held := 0, 0
	for _, c := range []byte(s) {
		value := a.values[c]
		if value < 0 {
			continue
		}
		if start > 0 {
			start--
			continue
		}
		buffer, held = buffer<<a.bits|value, held+a.bits
		if held >= 8 {
			held -= 8
			decoded = append(decoded, byte(buffer>>held)) //nolint:gosec // eight bits are left
			buffer &= 1<<held - 1
		}
	}
	return string(decoded)
}

// legible keeps what may be text of what was decoded: decoding something else
// gives bytes at random, of which there is no need to look for more. A zero
// byte is half of a character of UTF-16.
func legible(s string) string {
	runs := strings.FieldsFunc(strings.ReplaceAll(s, "\x00", ""), func(r rune) bool { return r < ' ' || r > '~' })
	runs = slices.DeleteFunc(runs, func(run string) bool { return len(run) < minSecret })
	return strings.Join(runs, " ")
}

// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const quoted = "p8e-Kq3Zv+wX9/tR=mB7_dLc2Yh5NsAf"

// joined writes each byte with a format, between separators.
func joined(format, between string) func(string) string {
	return func(s string) string {
		parts := make([]string, 0, len(s))
		for _, c := range []byte(s) {
			parts = append(parts, fmt.Sprintf(format, c))
		}
		return strings.Join(parts, between)
	}
}

func each(s, between string) string { return strings.Join(strings.Split(s, ""), between) }

// echoForms are ways to write a secret that somebody could read it from.
var echoForms = map[string]func(string) string{
	"as it is":                   func(s string) string { return s },
	"upper case":                 strings.ToUpper,
	"lower case":                 strings.ToLower,
	"reversed":                   reverse,
	"rot13":                      rot13,
	"spaced":                     func(s string) string { return each(s, " ") },
	"dashed":                     func(s string) string { return each(s, "-") },
	"dotted":                     func(s string) string { return each(s, ".") },
	"in lines":                   func(s string) string { return each(s, "\r\n") },
	"zero-width spaces":          func(s string) string { return each(s, "\u200b") },
	"soft hyphens":               func(s string) string { return each(s, "\u00ad") },
	"combining marks":            func(s string) string { return each(s, "\u0301") },
	"zero bytes":                 func(s string) string { return each(s, "\x00") },
	"invalid bytes":              func(s string) string { return each(s, "\xff") },
	"full width":                 fullWidth,
	"in quotes":                  strconv.Quote,
	"backslashes":                func(s string) string { return each(s, `\`) },
	"query":                      url.QueryEscape,
	"path":                       url.PathEscape,
	"percent":                    joined("%%%02X", ""),
	"percent, lower case":        joined("%%%02x", ""),
	"percent twice":              joined("%%25%02X", ""),
	"percent u":                  joined("%%u%04X", ""),
	`\u`:                         joined(`\u%04x`, ""),
	`\\u`:                        joined(`\\u%04X`, ""),
	`\u{}`:                       joined(`\u{%x}`, ""),
	`\x`:                         joined(`\x%02x`, ""),
	`\ooo`:                       joined(`\%03o`, ""),
	"U+":                         joined("U+%04X", " "),
	"HTML, decimal":              joined("&#%d;", ""),
	"HTML, hex":                  joined("&#x%X;", ""),
	"HTML, padded":               joined("&#%05d", ""),
	"HTML of percent":            func(s string) string { return joined("&#%d;", "")(url.QueryEscape(s)) },
	"quoted-printable":           joined("=%02X", ""),
	"hex":                        joined("%02x", ""),
	"hex, upper case":            joined("%02X", ""),
	"hex, colons":                joined("%02x", ":"),
	"hex, spaces":                joined("%02X", " "),
	"hex, 0x":                    joined("0x%02x", ", "),
	"hex, one 0x":                func(s string) string { return "0x" + hex.EncodeToString([]byte(s)) },
	"hex, UTF-16":                joined("00%02x", ""),
	"decimal, commas":            joined("%d", ","),
	"decimal, spaces":            joined("%d", " "),
	"decimal, padded":            joined("%03d", ""),
	"decimal, unbroken":          joined("%d", ""),
	"octal":                      joined("%o", " "),
	"binary":                     joined("%08b", " "),
	"base64":                     b64(base64.StdEncoding, 0),
	"base64, one byte before":    b64(base64.StdEncoding, 1),
	"base64, two bytes before":   b64(base64.StdEncoding, 2),
	"base64, three bytes before": b64(base64.StdEncoding, 3),
	"base64, no padding":         b64(base64.RawStdEncoding, 0),
	"base64 for URLs":            b64(base64.URLEncoding, 0),
	"base64 for URLs, unpadded":  b64(base64.RawURLEncoding, 1),
	"base64 with id (Basic)":     func(s string) string { return "Basic " + b64(base64.StdEncoding, 0)("client:"+s) },
	"base64, wrapped":            func(s string) string { return each(b64(base64.StdEncoding, 0)(s), "\n") },
	"base64, dashed":             func(s string) string { return each(b64(base64.StdEncoding, 0)(s), "-") },
	"base64, upper case":         func(s string) string { return strings.ToUpper(b64(base64.StdEncoding, 0)(s)) },
	"base64, UTF-16":             func(s string) string { return b64(base64.StdEncoding, 0)(each(s, "\x00")) },
	"base64, percent":            func(s string) string { return url.QueryEscape(b64(base64.StdEncoding, 0)(s)) },
	"base64, reversed":           func(s string) string { return reverse(b64(base64.StdEncoding, 0)(s)) },
	"base64 of reversed":         func(s string) string { return b64(base64.StdEncoding, 0)(reverse(s)) },
	"base64 of base64":           func(s string) string { return b64(base64.StdEncoding, 0)(b64(base64.URLEncoding, 1)(s)) },
	"base64 of hex":              func(s string) string { return b64(base64.StdEncoding, 2)(hex.EncodeToString([]byte(s))) },
	"base64 of rot13":            func(s string) string { return b64(base64.StdEncoding, 2)(rot13(s)) },
	"hex of base64":              func(s string) string { return hex.EncodeToString([]byte(b64(base64.StdEncoding, 1)(s))) },
	"base32":                     func(s string) string { return base32.StdEncoding.EncodeToString([]byte(s)) },
	"base32, lower case":         func(s string) string { return strings.ToLower(base32.StdEncoding.EncodeToString([]byte(s))) },
	"base32, hex":                func(s string) string { return base32.HexEncoding.EncodeToString([]byte(s)) },
	"base32, bytes before":       func(s string) string { return base32.StdEncoding.EncodeToString([]byte("abc" + s)) },
	"JSON":                       func(s string) string { b, _ := json.Marshal(map[string]string{"client_secret": s}); return string(b) },
}

func b64(e *base64.Encoding, before int) func(string) string {
	return func(s string) string { return e.EncodeToString([]byte(strings.Repeat("~", before) + s)) }
}

func fullWidth(s string) string {
	return strings.Map(func(r rune) rune { return r + 0xFEE0 }, s)
}

func TestEchoesAreWithheld(t *testing.T) {
	require.Greater(t, len(echoForms), 60)
	for name, form := range echoForms {
		t.Run(name, func(t *testing.T) {
			for from := 0; from+12 <= len(quoted); from += 4 {
				part := quoted[from : from+12]
				echo := form(part)
				for _, words := range []string{echo, "bad request: " + echo, echo + " is no secret", "the value '" + echo + "'"} {
					require.Equal(t, withheld, Quote(words, "another", quoted), "%s in %q", part, words)
				}
			}
		})
	}
}

// Parts of eight characters, the shortest that count, unless an encoding mixes
// them with what stands beside them.
func TestEchoesOfEightCharacters(t *testing.T) {
	for _, form := range []string{"as it is", "upper case", "reversed", "rot13", "spaced", "percent", `\u`, "HTML, decimal", "hex", "base64", "base64, one byte before", "base64 of base64", "base32"} {
		for from := range len(quoted) - 8 {
			require.Equal(t, withheld, Quote(echoForms[form](quoted[from:from+8]), quoted), "%s from %d", form, from)
		}
	}
	require.Equal(t, quoted[:7], Quote(quoted[:7], quoted), "less than a fragment")
}

func TestShortSecrets(t *testing.T) {
	require.Equal(t, withheld, Quote("not Ab-C12 either", "abC12x", "abc12!", "Ab-C12"))
	require.Equal(t, "no, not at all", Quote("no, not at all", "no", "", "not", "at al"))
}

func TestHarmlessWordsPass(t *testing.T) {
	long := Secret("eyJhbGciOiJSUzI1NiIsIng1dSI6Imltc19uYTEta2V5LWF0LTEuY2VyIn0." + strings.Repeat(quoted, 50))
	for _, words := range []string{
		"", "invalid_client", "invalid client_secret parameter", "invalid client_id parameter",
		"The requested scope is not allowed for this client", "Please try again later", "token has expired",
		"the client is not allowed to use client_credentials; see https://developer.adobe.com/developer-console/docs/guides/",
		"4f0c9e1a-77f4-4d8a-9d3c-0b1f3a5c7e9d", "ErrQuotaExceeded 400000: two client secrets at most",
		"request 20261122T090000Z-0000000017 of node 10.0.17.4:8443 failed after 1200 ms",
		"1,2,3,4,5,6,7,8,9,10", strings.Repeat("a1", 90), "Ungültiger Wert für den Parameter „scope“", "パラメータが無効です",
		strings.Repeat("%41", 60), strings.Repeat("QUJD", 45),
	} {
		require.Equal(t, words, Quote(words, quoted, long), words)
	}
	require.Equal(t, "invalid client_secret parameter", Quote("invalid client_secret parameter", "client_secret"), "known words pass unseen")
}

func TestQuoteIsOneShortLine(t *testing.T) {
	require.Equal(t, "a b c", Quote(" a\t\x1b\r\n b\u202e\u2028c "))
	for _, words := range []string{strings.Repeat("é", 300), strings.Repeat("x", 201), strings.Repeat(" ", 900) + "x", strings.Repeat("世", 5000)} {
		got := Quote(words, quoted)
		require.LessOrEqual(t, len(got), maxQuoted)
		require.True(t, strings.HasSuffix(got, ellipsis))
	}
	require.Equal(t, strings.Repeat("x", 200), Quote(strings.Repeat("x", 200)))
	require.NotContains(t, Quote(strings.Repeat("x", 190)+quoted, quoted), quoted[:8])
}

func TestQuoteIsFast(t *testing.T) {
	for name, words := range map[string]string{
		"plain":   strings.Repeat("word ", 1<<18),
		"base64":  strings.Repeat("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo", 1<<15),
		"percent": strings.Repeat("%2541", 1<<18),
		"digits":  strings.Repeat("65 ", 1<<18),
		"zeros":   strings.Repeat("\x00", 1<<20),
	} {
		begun := time.Now()
		Quote(words, Secret(strings.Repeat(quoted, 60)))
		require.Less(t, time.Since(begun), 5*time.Second, name) // a hundredth, but for a busy machine
	}
}

// What decodes to too much is not gone through to the end, and not shown.
func TestTooManyReadings(t *testing.T) {
	readings, all := readingsOf("no cipher at all")
	require.True(t, all)
	require.Less(t, len(readings), 10)

	twice := func(encode func(string) string, s string) string { return encode(encode(s)) }
	cipher := `\u0041\u0042&#65;&#66;` + twice(b64(base64.StdEncoding, 0), "abcdefghi") + twice(joined("%02x", ""), "abcdefg") +
		" " + joined("%d", " ")("%41%42%43%44") + " " + b64(base64.StdEncoding, 0)("6b6b6b6b6b6b")
	_, all = readingsOf(cipher)
	require.False(t, all)
	require.Equal(t, withheld, Quote(cipher, quoted))
	require.Equal(t, cipher, Quote(cipher), "there is no secret to be found")
}

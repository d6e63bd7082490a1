// SPDX-License-Identifier: MPL-2.0

package field

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

func TestText(t *testing.T) {
	for name, test := range map[string]struct {
		value, want string
		says        string // "": accepted
	}{
		"plain":                         {value: "p8e-secret", want: "p8e-secret"},
		"empty":                         {value: " \n", want: ""},
		"white space around":            {value: " \tp8e-secret\r\n", want: "p8e-secret"},
		"a mark at the beginning":       {value: "\uFEFFp8e-secret\n", want: "p8e-secret"},
		"white space around the mark":   {value: " \uFEFF p8e-secret", want: "p8e-secret"},
		"a no-break space around":       {value: "\u00A0p8e-secret", want: "p8e-secret"},
		"a space inside":                {value: "a b", want: "a b"},
		"letters of any language":       {value: "Örg 組織 🙂", want: "Örg 組織 🙂"},
		"as long as may be":             {value: strings.Repeat("x", 20) + "\n", want: strings.Repeat("x", 20)},
		"too long by one":               {value: strings.Repeat("x", 21), says: "client_id: has 21 bytes; 20 is the limit"},
		"far too long":                  {value: strings.Repeat("x", 1<<20), says: "client_id: has 1048576 bytes; 20 is the limit"},
		"a zero-width space":            {value: "p8e-\u200Bsecret", says: "client_id: has the character U+200B, which cannot be seen"},
		"a zero-width space at the end": {value: "p8e-secret\u200B", says: "U+200B"},
		"a mark inside":                 {value: "p8e-\uFEFFsecret", says: "U+FEFF"},
		"a second mark":                 {value: "\uFEFF\uFEFFp8e-secret", says: "U+FEFF"},
		"right-to-left override":        {value: "p8e-\u202Esecret", says: "U+202E"},
		"NUL":                           {value: "p8e-\x00secret", says: "U+0000"},
		"escape":                        {value: "p8e-\x1bsecret", says: "U+001B"},
		"DEL":                           {value: "p8e-\x7fsecret", says: "U+007F"},
		"a tab inside":                  {value: "p8e-\tsecret", says: "U+0009"},
		"two lines":                     {value: "p8e-\nsecret", says: "U+000A, which begins another line"},
		"a line separator":              {value: "p8e-\u2028secret", says: "U+2028"},
		"a no-break space inside":       {value: "p8e-\u00A0secret", says: "U+00A0"},
		"a soft hyphen":                 {value: "p8e-\u00ADsecret", says: "U+00AD"},
		"a variation selector":          {value: "p8e-\uFE0Fsecret", says: "U+FE0F"},
		"a Hangul filler":               {value: "p8e-\u3164secret", says: "U+3164"},
		"a blank of braille":            {value: "p8e-\u2800secret", says: "U+2800"},
		"a tag":                         {value: "p8e-\U000E0041secret", says: "U+E0041"},
		"private use":                   {value: "p8e-\uE000secret", says: "U+E000"},
		"a replacement character":       {value: "p8e-\uFFFDsecret", says: "U+FFFD, which stands for bytes that are no UTF-8"},
		"no UTF-8":                      {value: "p8e-\xFFsecret", says: "is no text in UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := Text("client_id", test.value, 20)
			if test.says == "" {
				require.NoError(t, err)
				require.Equal(t, test.want, text)
				return
			}
			require.ErrorContains(t, err, test.says)
			require.ErrorContains(t, err, "client_id: ")
			require.NotContains(t, err.Error(), "p8e-")
			require.NotContains(t, err.Error(), "secret")
			var advised *advice.Error
			require.ErrorAs(t, err, &advised)
		})
	}
}

func TestDocumentTakesAnyCharacters(t *testing.T) {
	text, err := Document("project", "\uFEFF{\r\n\t\"name\": \"a\u200Db\"}\r\n", 100)
	require.NoError(t, err)
	require.Equal(t, "{\r\n\t\"name\": \"a\u200Db\"}", text)
}

func TestUTF16IsNamed(t *testing.T) {
	const document = `{"project": {"id": "1", "name": "Örg"}}`
	for name, mark := range map[string]string{"with a mark": "\uFEFF", "without": ""} {
		for order, put := range map[string]func([]byte, uint16) []byte{
			"little-endian": func(b []byte, u uint16) []byte { return append(b, byte(u&0xFF), byte(u>>8)) },
			"big-endian":    func(b []byte, u uint16) []byte { return append(b, byte(u>>8), byte(u&0xFF)) },
		} {
			t.Run(name+", "+order, func(t *testing.T) {
				var raw []byte
				for _, unit := range utf16.Encode([]rune(mark + document)) {
					raw = put(raw, unit)
				}
				_, err := Document("project", string(raw), 1000)
				require.ErrorContains(t, err, "project: is text in UTF-16")

				// As it arrives when it has been through JSON.
				encoded, err := json.Marshal(string(raw))
				require.NoError(t, err)
				var arrived string
				require.NoError(t, json.Unmarshal(encoded, &arrived))
				_, err = Document("project", arrived, 1000)
				require.ErrorContains(t, err, "project: is text in UTF-16")
			})
		}
	}
	for _, odd := range []string{"a\x00", "ab\x00cd", "\x00", "a\x00b\x00c"} {
		_, err := Text("client_id", odd, 100)
		require.ErrorContains(t, err, "U+0000", "%q", odd)
	}
}

func TestDescribe(t *testing.T) {
	require.Equal(t, `"Server One"`, Describe("Server One"))
	require.Equal(t, `"a\u202eb\n"`, Describe("a\u202Eb\n"))
	require.Len(t, Describe(strings.Repeat("x", 1000)), 85)
}

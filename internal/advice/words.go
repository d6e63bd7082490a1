// SPDX-License-Identifier: MPL-2.0

package advice

import (
	"strings"
	"time"
)

// Time writes a moment as all answers and messages do: RFC 3339, UTC.
func Time(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Span writes a duration in whole seconds without its zeros: 48h, not 48h0m0s.
func Span(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

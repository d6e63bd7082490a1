// SPDX-License-Identifier: MPL-2.0

package console

import (
	"strconv"
	"strings"
	"time"
)

// maxMillis is the end of the year 9999, the last that RFC 3339 and so the JSON
// of a time.Time can express.
const maxMillis = 253402300799999

// millis is a time that the console writes as a string of the milliseconds
// since 1970. A plain number is taken too. Anything else, such as "PERMANENT"
// or null, is the zero time: no time here is worth losing an answer for.
type millis struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (m *millis) UnmarshalJSON(b []byte) error {
	*m = millis{}
	n, err := strconv.ParseFloat(strings.TrimSpace(strings.Trim(string(b), `"`)), 64)
	if err == nil && n > 0 && n <= maxMillis {
		m.Time = time.UnixMilli(int64(n)).UTC()
	}
	return nil
}

// SPDX-License-Identifier: MPL-2.0

// Package secret is a string that never shows when it is printed.
//
// It knows nothing of where secrets come from. It is the one type for client
// secrets, access tokens, refresh tokens and codes, so that no text, error or panic
// holds one by accident. A log in JSON would: nothing that holds a Secret is an
// argument of a log line.
package secret

import "fmt"

// Secret is a string that prints as a placeholder, whatever the verb. Storage
// encodings (JSON) hold its value: convert to string where that is wanted.
//
// In a struct it must be an exported field: fmt does not find the Formatter of
// others.
type Secret string

const redacted = "[redacted]"

// Format implements fmt.Formatter.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

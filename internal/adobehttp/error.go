// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind is what a failed call means for whoever has to act on it.
type Kind string

// The kinds of failure.
const (
	// Refused: the service understood and said no. Asking again changes nothing
	// until what was asked with or for is another.
	Refused Kind = "refused"

	// Throttled: the service asks for fewer requests, or too many wait here.
	Throttled Kind = "throttled"

	// Unavailable: the service answered that it failed.
	Unavailable Kind = "unavailable"

	// Malformed: what answered is not the service as documented: a redirect, a
	// page, an endless answer, an answer without what was asked for.
	Malformed Kind = "malformed"

	// Unreachable: no answer, or not all of it.
	Unreachable Kind = "unreachable"
)

// Error is a failed call. It holds no secret and no raw answer.
type Error struct {
	// Service is who was asked, such as "IMS".
	Service string

	// Op is what was asked for, such as "token request".
	Op string

	Kind Kind

	// Status is the HTTP status; 0 if no answer came, or not all of it.
	Status int

	// Code and Description are the answer's own, fit to be shown. Both may be
	// empty.
	Code, Description string

	// RequestID names the request for Adobe's support; it came in the answer's
	// IDHeader, such as "x-debug-id". Empty if no answer came.
	IDHeader, RequestID string

	// RetryAfter is how long the service asks to be left alone, of kind Throttled
	// or Unavailable; 0 if it does not say.
	RetryAfter time.Duration

	// Err is the cause where there was no answer or none that could be used.
	Err error
}

// Error implements error. It reads: IMS token request failed: 400
// invalid_client (invalid client_secret parameter), x-debug-id 1234.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s failed:", e.Service, e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, " %d", e.Status)
	}
	switch {
	case e.Code != "":
		fmt.Fprintf(&b, " %s", e.Code)
	case e.Status != 0 && http.StatusText(e.Status) != "":
		fmt.Fprintf(&b, " %s", http.StatusText(e.Status))
	}
	if e.Description != "" {
		fmt.Fprintf(&b, " (%s)", e.Description)
	}
	if e.Err != nil {
		if e.Status != 0 || e.Code != "" {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, " %s", e.Err)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, ", %s %s", e.IDHeader, e.RequestID)
	}
	return b.String()
}

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.Err }

// Wait is RetryAfter, for callers that know only an interface.
func (e *Error) Wait() time.Duration { return e.RetryAfter }

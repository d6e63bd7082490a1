// SPDX-License-Identifier: MPL-2.0

package console

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// Kind is what an Error means for whoever has to act on it.
type Kind = adobehttp.Kind

// The kinds of Error. After Refused and Throttled, nothing was added; after the
// others, a client secret may have been.
const (
	Refused     = adobehttp.Refused
	Throttled   = adobehttp.Throttled
	Unavailable = adobehttp.Unavailable
	Malformed   = adobehttp.Malformed
	Unreachable = adobehttp.Unreachable
)

// Error is a failed call. It holds no secret and no raw answer.
type Error struct {
	Kind Kind
	// Op is what was asked for, such as "adding of a client secret".
	Op string
	// Status is the HTTP status; 0 if no answer came, or not all of it.
	Status int
	// Code, Title and Message are the answer's "error_code" (digits), "title"
	// and "message". Adobe documents no list of codes.
	Code, Title, Message string
	// RequestID is the answer's x-request-id, which Adobe's support asks for.
	RequestID string
	// RetryAfter is how long the console asks to be left alone; 0 if it does
	// not say.
	RetryAfter time.Duration
	// Err is the cause where there was no answer or none that could be used.
	Err error
}

// Error implements error. It reads: Developer Console listing of client secrets
// failed: 403 403003 (Api Key is invalid), x-request-id 1234.
func (e *Error) Error() string {
	id := ""
	if e.RequestID != "" {
		id = "x-request-id " + e.RequestID
	}
	return adobehttp.Describe("Developer Console "+e.Op, e.Status, e.Code, cmp.Or(e.Message, e.Title), e.Err, id)
}

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.Err }

// MayHaveTakenEffect tells whether what was asked for may have happened despite
// the error. It is about a request that was sent once, as Add sends its own.
func (e *Error) MayHaveTakenEffect() bool { return e.Kind != Refused && e.Kind != Throttled }

// refusal builds the Error of an answer with a status other than 2xx. It comes
// from the gateway before the console as {"title", "status", "error_code",
// "message"}, or as {"error_code", "message"}.
func (r *call) refusal(a *answer, now time.Time) *Error {
	var body struct {
		Code    errorCode `json:"error_code"`
		Title   string    `json:"title"`
		Message string    `json:"message"`
	}
	_ = json.Unmarshal(a.body, &body) // an answer without a code is told by its status
	e := &Error{
		Op:         r.op,
		Kind:       adobehttp.KindOf(a.status),
		Status:     a.status,
		Code:       adobehttp.Quote(string(body.Code), r.Token),
		Title:      adobehttp.Quote(body.Title, r.Token),
		Message:    adobehttp.Quote(body.Message, r.Token),
		RequestID:  requestID(a.header, r.Token),
		RetryAfter: adobehttp.RetryAfter(a.header, now),
	}
	if a.status < 400 {
		e.Err = adobehttp.ErrRedirect
	}
	return e
}

// errorCode is the same digits in some answers as a number and in others as a
// string.
type errorCode string

// UnmarshalJSON implements json.Unmarshaler.
func (c *errorCode) UnmarshalJSON(b []byte) error {
	var number json.Number // takes both, but no string of something else
	if json.Unmarshal(b, &number) == nil {
		*c = errorCode(number)
		return nil
	}
	_ = json.Unmarshal(b, (*string)(c)) // an error would lose the message that follows
	return nil
}

func (r *call) malformed(a *answer, cause error) *Error {
	return &Error{Kind: Malformed, Op: r.op, Status: a.status, Err: cause, RequestID: requestID(a.header, r.Token)}
}

func requestID(header http.Header, token Secret) string {
	return adobehttp.Quote(header.Get("X-Request-Id"), token)
}

// unanswered builds the Error of a request that brought no usable answer.
func (r *call) unanswered(ctx context.Context, err error, header http.Header) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	kind, cause := adobehttp.Cause(err, r.Token)
	return &Error{Kind: kind, Op: r.op, Err: cause, RequestID: requestID(header, r.Token)}
}

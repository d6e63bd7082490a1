// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// Kind is what an Error means for whoever has to act on it.
type Kind = adobehttp.Kind

// The kinds of Error. Refused stays until the credential, the scopes or the token
// are others.
const (
	Refused     = adobehttp.Refused
	Throttled   = adobehttp.Throttled
	Unavailable = adobehttp.Unavailable
	Malformed   = adobehttp.Malformed
	Unreachable = adobehttp.Unreachable
)

// Error codes of IMS that callers tell apart (RFC 6749 §5.2).
const (
	CodeInvalidClient      = "invalid_client"
	CodeInvalidScope       = "invalid_scope"
	CodeUnauthorizedClient = "unauthorized_client"
)

// Error is a failed call. It holds no secret and no raw answer.
type Error struct {
	Kind Kind
	// Op is what was asked for, such as "token request".
	Op string
	// Status is the HTTP status; 0 if no answer came.
	Status int
	// Code and Description are the answer's "error" and "error_description".
	Code, Description string
	// DebugID is the answer's x-debug-id, which Adobe's support asks for.
	DebugID string
	// RetryAfter is how long IMS asks to be left alone; 0 if it does not say.
	RetryAfter time.Duration
	// Err is the cause where there was no answer or none that could be used.
	Err error
}

// Error implements error. It reads: IMS token request failed: 400 invalid_client
// (invalid client_secret parameter), x-debug-id 1234.
func (e *Error) Error() string {
	id := ""
	if e.DebugID != "" {
		id = "x-debug-id " + e.DebugID
	}
	return adobehttp.Describe("IMS "+e.Op, e.Status, e.Code, e.Description, e.Err, id)
}

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.Err }

// refusal builds the Error of an answer with a status other than 2xx, or with
// an "error" in it. The secrets are those of the request.
func (c *Client) refusal(op string, status int, header http.Header, code, description string, secrets ...Secret) *Error {
	e := &Error{
		Op:          op,
		Kind:        adobehttp.KindOf(status),
		Status:      status,
		Code:        adobehttp.Quote(code, secrets...),
		Description: adobehttp.Quote(description, secrets...),
		DebugID:     debugID(header, secrets...),
		RetryAfter:  adobehttp.RetryAfter(header, c.now()),
	}
	if status < 300 { // an "error" in an answer that else succeeded
		e.Kind = Refused
	} else if status < 400 {
		e.Err = adobehttp.ErrRedirect
	}
	return e
}

func malformed(op string, trace *adobehttp.Trace, cause error, secrets ...Secret) *Error {
	return &Error{Kind: Malformed, Op: op, Status: trace.Status, Err: cause, DebugID: debugID(trace.Header, secrets...)}
}

func debugID(header http.Header, secrets ...Secret) string {
	return adobehttp.Quote(header.Get("X-Debug-Id"), secrets...)
}

// unanswered builds the Error of a request that brought no usable answer.
func unanswered(ctx context.Context, op string, err error, header http.Header, secrets ...Secret) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	kind, cause := adobehttp.Cause(err, secrets...)
	return &Error{Kind: kind, Op: op, Err: cause, DebugID: debugID(header, secrets...)}
}

var errNoToken = errors.New("but the answer is not a token in JSON, with an access_token and expires_in as a number of seconds; check the URL, and whether a proxy answered")

func (c *Client) tokenError(ctx context.Context, err error, trace *adobehttp.Trace, secrets ...Secret) error {
	const op = "token request"
	var answered *oauth2.RetrieveError
	var sending *url.Error
	switch {
	case errors.As(err, &answered):
		return c.refusal(op, answered.Response.StatusCode, answered.Response.Header,
			answered.ErrorCode, answered.ErrorDescription, secrets...)
	case ctx.Err() != nil, errors.As(err, &sending):
		return unanswered(ctx, op, err, trace.Header, secrets...)
	}
	// What is left is an answer that oauth2 could not read. Its words may
	// quote the answer, so they stay here.
	return malformed(op, trace, errNoToken, secrets...)
}

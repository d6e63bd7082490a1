// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"context"
	"net/http"
	"time"
)

// Call is one request's particulars. It travels in the request's context, so
// that the requests that oauth2 makes have it too. It serves one request, in
// one goroutine.
type Call struct {
	// Op is what is asked for, for errors, such as "token request".
	Op string

	// Endpoint is a short name that never changes, for metrics: token,
	// invalidate, revoke, validate or secrets.
	Endpoint string

	// Share is whose share of the server's turns the request takes: a client
	// ID.
	Share string

	// Ending is set of what ends a token or asks whether it lives. Such a
	// request never waits behind one that asks for a token.
	Ending bool

	// Once is set of what must not take effect twice: it is sent a single time,
	// whatever becomes of it.
	Once bool

	// Finish is set of what must not be lost: once sent, the answer is waited
	// for though the caller's context ends, as long as Options.Timeout allows.
	Finish bool

	// EmptyOK is set where an empty body is the documented success.
	EmptyOK bool

	// Secrets are those of the request. A server's words are not passed on if
	// they hold a part of one.
	Secrets []Secret

	// Sent is when the last attempt was sent: before the server can have acted.
	// It is zero if none was.
	Sent time.Time

	// Status is the last attempt's HTTP status; 0 if no answer came.
	Status int

	// Header is that of the last attempt's answer; empty if none came.
	Header http.Header

	failure *Error // what is wrong with the last attempt's answer; nil if nothing is
}

type callKey struct{}

func withCall(ctx context.Context, call *Call) context.Context {
	return context.WithValue(ctx, callKey{}, call)
}

// callOf returns the Call of a request's context.
func callOf(ctx context.Context) *Call {
	if call, ok := ctx.Value(callKey{}).(*Call); ok {
		return call
	}
	return &Call{}
}

type withoutRetriesKey struct{}

// WithoutRetries returns a context whose requests are not repeated, whatever
// the client's MaxRetries. A kept-alive connection that turns out to be closed
// is no attempt yet.
func WithoutRetries(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutRetriesKey{}, true)
}

type proceedKey struct{}

// WithProceed returns a context whose requests ask before they are sent: the
// function is called whenever the turn of an attempt has come. Its error ends
// the request, of which nothing is sent any more, and is returned as it is.
func WithProceed(ctx context.Context, proceed func() error) context.Context {
	return context.WithValue(ctx, proceedKey{}, proceed)
}

func proceed(ctx context.Context) error {
	if ask, ok := ctx.Value(proceedKey{}).(func() error); ok {
		return ask()
	}
	return nil
}

// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ErrTooLarge is returned for an answer of more than MaxAnswer bytes.
var ErrTooLarge = fmt.Errorf("the answer is larger than %d bytes", MaxAnswer)

// Trace tells a caller about the last attempt of its request.
type Trace struct {
	// Sent is when the attempt was sent: before the server can have acted.
	Sent time.Time

	// Status is the answer's HTTP status; 0 if no answer came.
	Status int

	// Header is the answer's header; empty if no answer came.
	Header http.Header
}

type traceKey struct{}

// WithTrace returns a context whose request fills in the Trace. The Trace may
// be read once the request has returned.
func WithTrace(ctx context.Context) (context.Context, *Trace) {
	t := &Trace{Header: http.Header{}}
	return context.WithValue(ctx, traceKey{}, t), t
}

// attempts sends one attempt of a request and reads its whole answer, so that
// an answer that stalls or breaks off is a failed attempt like any other.
type attempts struct {
	base    http.RoundTripper
	options Options
}

func (a *attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	caller := req.Context()
	if gate := a.options.Gate; gate != nil {
		if err := gate.Acquire(caller, 1); err != nil {
			return nil, err
		}
		defer gate.Release(1)
	}
	trace, _ := caller.Value(traceKey{}).(*Trace)
	if trace == nil {
		trace = &Trace{}
	}
	*trace = Trace{Sent: a.options.Now(), Header: http.Header{}}

	ctx := caller
	if a.options.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.options.Timeout)
		defer cancel()
	}
	req = req.Clone(ctx)
	req.Header.Set("User-Agent", a.options.UserAgent)
	if caller.Value(onceKey{}) == nil {
		// Not sent, but tells the transport that the request may go over another
		// connection where a kept-alive one turns out to be dead.
		req.Header["Idempotency-Key"] = []string{}
	}

	resp, err := a.base.RoundTrip(req)
	if err == nil {
		trace.Status, trace.Header = resp.StatusCode, resp.Header
		err = buffer(resp)
	}
	if err != nil && caller.Err() == nil && ctx.Err() != nil {
		err = fmt.Errorf("no complete answer within %s: %w", a.options.Timeout, err)
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// buffer replaces the answer's body by the bytes read from it.
func buffer(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	closeErr := resp.Body.Close()
	switch {
	case err != nil:
		return fmt.Errorf("reading the answer: %w", err)
	case len(body) > MaxAnswer:
		return ErrTooLarge
	case closeErr != nil:
		return fmt.Errorf("reading the answer: %w", closeErr)
	}
	// Every service here answers in JSON. Without the label, oauth2 would take
	// an answer for a form.
	resp.Header.Set("Content-Type", "application/json")
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

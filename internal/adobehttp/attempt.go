// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer is how much of an answer is read, in bytes. A token answer is a few
// kilobytes.
const maxAnswer = 1 << 20

var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)

// unsent is why an attempt was not sent. It ends the request.
type unsent struct{ Err error }

func (u *unsent) Error() string { return u.Err.Error() }
func (u *unsent) Unwrap() error { return u.Err }

// attempts sends one attempt of a request and reads its whole answer, so that
// an answer that stalls or breaks off is a failed attempt like any other.
type attempts struct{ client *Client }

// RoundTrip implements http.RoundTripper. What is wrong with an answer is left
// in the Call, for the retries and the judge.
func (a attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	c, caller := a.client, req.Context()
	call := callOf(caller)
	if err := proceed(caller); err != nil {
		return nil, &unsent{err}
	}
	if caller.Err() != nil {
		return nil, &unsent{caller.Err()}
	}
	base := c.pool.useTransport(c.transport)
	defer c.pool.leaveTransport(c.transport)
	resp, err := c.send(caller, call, base, req)
	c.pool.observe(c.service.Name, call.Endpoint, outcomeOf(call), c.pool.now().Sub(call.Sent))
	return resp, err
}

// outcomeOf is what an attempt came to, as the judge has it.
func outcomeOf(call *Call) string {
	switch {
	case call.failure != nil:
		return string(call.failure.Kind)
	case call.Status == 0:
		return string(Unreachable)
	}
	return "success"
}

func (c *Client) send(caller context.Context, call *Call, base *http.Transport, req *http.Request) (*http.Response, error) {
	ctx := caller
	if call.Finish {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	req = req.Clone(ctx)
	req.Header.Set("User-Agent", c.pool.userAgent)
	if !call.Once {
		// Not sent, but tells the transport that the request may go over
		// another connection where a kept-alive one turns out to be closed.
		req.Header["Idempotency-Key"] = []string{}
	}

	call.Sent, call.Status, call.Header, call.failure = c.pool.now(), 0, http.Header{}, nil
	resp, body, err := c.exchange(call, base, req)
	if err != nil && caller.Err() == nil && ctx.Err() != nil {
		// Its connection may have gone dead, and the idle ones beside it with it.
		base.CloseIdleConnections()
		return nil, fmt.Errorf("no complete answer within %s", c.options.Timeout)
	}
	if err != nil {
		return nil, err
	}
	c.noteAnswer(call)
	// Every service here answers in JSON. Without the label, oauth2 would take
	// an answer for a form.
	resp.Header.Set("Content-Type", "application/json")
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// exchange sends the request, reads the answer and judges it.
func (c *Client) exchange(call *Call, base http.RoundTripper, req *http.Request) (*http.Response, []byte, error) {
	resp, err := base.RoundTrip(req)
	if err != nil {
		if headerTooLarge(err) {
			call.failure = c.NewError(call, Malformed, fmt.Errorf("the header of the answer is larger than %d bytes", maxHeader))
		}
		return nil, nil, err
	}
	body, err := readBody(resp.Body)
	switch {
	case err != nil && speaksByStatus(resp.StatusCode):
		body, err = nil, nil
	case err != nil && !errors.Is(err, errTooLarge):
		return nil, nil, err
	}
	call.Status, call.Header = resp.StatusCode, resp.Header
	call.failure = c.judge(call, body, err)
	return resp, body, nil
}

func readBody(from io.ReadCloser) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, maxAnswer+1))
	closeErr := from.Close()
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", err)
	case len(body) > maxAnswer:
		return nil, errTooLarge
	case closeErr != nil:
		return nil, fmt.Errorf("reading the answer: %w", closeErr)
	}
	return body, nil
}

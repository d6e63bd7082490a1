// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// defaultTimeout is the limit of an attempt where the Options have none: an
// attempt without a limit would keep its turn for good.
const defaultTimeout = 30 * time.Second

// Service is who is asked.
type Service struct {
	// Name is how errors call it, such as "IMS".
	Name string

	// IDHeader is the header of its answers that names the request, such as
	// "x-debug-id".
	IDHeader string
}

// Options says where a client's requests go, and how. All but the URL may be
// zero.
type Options struct {
	// URL is the server's, such as "https://ims-na1.adobelogin.com". Clients of
	// the same URL share its turns.
	URL string

	// CACert is a PEM bundle of the authorities to trust. Empty means those
	// of the system.
	CACert string

	// Timeout limits one attempt, from sending the request to the last byte of
	// the answer. Waiting for a turn does not count. 0 means 30 seconds.
	Timeout time.Duration

	// MaxRetries is how often a request is repeated after a 429, a 5xx or a
	// network error.
	MaxRetries int
}

// Client sends requests to one server. It is safe for concurrent use.
type Client struct {
	pool      *Pool
	service   Service
	options   Options
	transport *transport
	http      *http.Client
	closing   sync.Once
}

// Answer is an answer of Adobe's: a JSON object, or nothing where that is the
// documented success.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Client returns a client of a server, or an error that says what is wrong with
// the Options. Who makes one closes it.
func (p *Pool) Client(s Service, o Options) (*Client, error) {
	o.URL = serverURL(o.URL)
	o.Timeout = cmp.Or(max(o.Timeout, 0), defaultTimeout)
	if u, err := url.Parse(o.URL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, errors.New("the URL is not that of a server")
	}
	t, err := p.openTransport(o)
	if err != nil {
		return nil, err
	}
	c := &Client{pool: p, service: s, options: o, transport: t}
	retrying := &retryablehttp.Client{
		HTTPClient:   &http.Client{Transport: attempts{c}, CheckRedirect: noRedirect},
		RetryWaitMin: retryWaitMin,
		RetryWaitMax: retryWaitMax,
		RetryMax:     o.MaxRetries,
		CheckRetry:   shouldRetry,
		Backoff:      backoff(p.now),
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	c.http = &http.Client{
		Transport:     &judged{client: c, next: &retryablehttp.RoundTripper{Client: retrying}},
		CheckRedirect: noRedirect,
	}
	return c, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close ends the use of the client. Requests under way finish; when nobody uses
// the connections any more, they are closed.
func (c *Client) Close() { c.closing.Do(func() { c.pool.closeTransport(c.transport) }) }

// HTTP returns an HTTP client for requests that others make (oauth2), and the
// context that they have to be made with. It returns good answers only, whose
// bodies need no closing. Failure says what its errors mean.
func (c *Client) HTTP(ctx context.Context, call *Call) (context.Context, *http.Client) {
	return withCall(ctx, call), c.http
}

// Do sends a request and returns a good answer. The error is an *Error, unless
// the caller's context ended (its own error) or WithProceed's function did not
// let the request pass (the function's).
func (c *Client) Do(ctx context.Context, call *Call, req *http.Request) (*Answer, error) {
	resp, err := c.http.Do(req.WithContext(withCall(ctx, call))) //nolint:gosec // to the server of the client's own URL
	if err != nil {
		return nil, c.Failure(call, err, errors.New("the answer cannot be read"))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, c.NewError(call, Unreachable, errors.New("the answer cannot be read"))
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// Failure returns what a request through HTTP failed with, without what
// net/http and oauth2 put around it: an error as Do returns it. An error that
// sending the request did not bring means that a good answer was of no use to
// who made the request: that is an *Error of kind Malformed with the cause
// given.
func (c *Client) Failure(call *Call, err, unusable error) error {
	var sending *url.Error
	if errors.As(err, &sending) {
		return sending.Err
	}
	return c.NewError(call, Malformed, unusable)
}

// NewError returns the failure of a call after its last attempt, for callers
// that find fault with a good answer. The words of the cause are shown as they
// are.
func (c *Client) NewError(call *Call, kind Kind, cause error) *Error {
	return &Error{
		Service:   c.service.Name,
		Op:        call.Op,
		Kind:      kind,
		Status:    call.Status,
		IDHeader:  c.service.IDHeader,
		RequestID: Quote(call.Header.Get(c.service.IDHeader), call.Secrets...),
		Err:       cause,
	}
}

// SPDX-License-Identifier: MPL-2.0

// Package adobehttp is the HTTP that every client of an Adobe service here
// shares: one kept-alive transport with a time limit for each attempt, bounded
// answers, no redirects, and retries that honour Retry-After.
package adobehttp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/hashicorp/go-cleanhttp"
	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/sync/semaphore"
)

const (
	// MaxAnswer is how much of an answer is read, in bytes. A token answer is
	// a few kilobytes.
	MaxAnswer = 1 << 20

	// maxRetryAfter is how long an attempt waits because the server said so.
	// A longer Retry-After ends the retries; it is the caller's to honour.
	maxRetryAfter = 2 * time.Second
)

// Waits between attempts grow linearly with jitter: the first lies between
// these two, the second between twice these, and so on.
const (
	retryWaitMin = 100 * time.Millisecond
	retryWaitMax = 300 * time.Millisecond
)

// Options says how a client reaches its server. The zero value of a field is
// its default.
type Options struct {
	// CACert is a PEM bundle of the authorities to trust. Empty means those
	// of the system.
	CACert string

	// Timeout limits one attempt, from sending the request to the last byte of
	// the answer. Waiting for a turn at the Gate does not count. 0 means none.
	Timeout time.Duration

	// MaxRetries is how often a request is repeated after a 429, a 5xx or a
	// network error.
	MaxRetries int

	// UserAgent is sent with every request.
	UserAgent string

	// Gate limits the requests under way at once, over all the clients that
	// share it. Nil means no limit.
	Gate *semaphore.Weighted

	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// New returns an HTTP client that sends requests as the Options say, or an error
// if CACert holds no certificate. HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the
// environment apply. Idle connections close by themselves after 90 seconds.
func New(o Options) (*http.Client, error) {
	base := cleanhttp.DefaultPooledTransport()
	base.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	base.MaxIdleConnsPerHost = 16
	if o.CACert != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(o.CACert)) {
			return nil, errors.New("the PEM bundle holds no certificate")
		}
		base.TLSClientConfig.RootCAs = pool
	}
	if o.Now == nil {
		o.Now = time.Now
	}

	retrying := &retryablehttp.Client{
		HTTPClient:   &http.Client{Transport: &attempts{base: base, options: o}, CheckRedirect: noRedirect},
		RetryWaitMin: retryWaitMin,
		RetryWaitMax: retryWaitMax,
		RetryMax:     o.MaxRetries,
		CheckRetry:   o.shouldRetry,
		Backoff:      retryablehttp.RateLimitLinearJitterBackoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return &http.Client{Transport: &retryablehttp.RoundTripper{Client: retrying}, CheckRedirect: noRedirect}, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

type onceKey struct{}

// Once returns a context whose requests are sent a single time, whatever
// becomes of them: for calls that must not take effect twice.
func Once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

type unrepeatedKey struct{}

// WithoutRetries returns a context whose requests are not repeated, whatever the
// client's MaxRetries. A kept-alive connection that turns out to be dead is no
// attempt yet.
func WithoutRetries(ctx context.Context) context.Context {
	return context.WithValue(ctx, unrepeatedKey{}, true)
}

func (o Options) shouldRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Value(onceKey{}) != nil || ctx.Value(unrepeatedKey{}) != nil || errors.Is(err, ErrTooLarge) {
		return false, nil
	}
	if resp != nil && (ctx.Err() != nil || RetryAfter(resp.Header, o.Now()) > maxRetryAfter) {
		return false, nil // what was answered counts
	}
	return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
}

// RetryAfter is how long the server asks to be left alone, in either form of
// RFC 9110 §10.2.3; 0 if it does not say.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		const most = 24 * 60 * 60
		return time.Duration(min(max(seconds, 0), most)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

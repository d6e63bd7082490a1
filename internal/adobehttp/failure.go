// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Kind is what a failed call means for whoever has to act on it.
type Kind string

// The kinds of failure.
const (
	// Refused: the service understood and said no. Asking again changes nothing
	// until what was asked with or for is another.
	Refused Kind = "refused"

	// Throttled: the service asks for fewer requests.
	Throttled Kind = "throttled"

	// Unavailable: the service answered that it failed.
	Unavailable Kind = "unavailable"

	// Malformed: what answered is not the service as documented: a redirect, a
	// page, an endless answer, an answer without what was asked for.
	Malformed Kind = "malformed"

	// Unreachable: no answer, or not all of it.
	Unreachable Kind = "unreachable"
)

// KindOf is the kind of an answer with a status other than 2xx.
func KindOf(status int) Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return Throttled
	case status >= 500, status == http.StatusRequestTimeout:
		return Unavailable
	case status >= 400:
		return Refused
	}
	return Malformed
}

// ErrRedirect is the cause of a failure with a status of 3xx.
var ErrRedirect = errors.New("a redirect, which is not followed; check the URL")

// Cause says in words why a request brought no usable answer: which host, and
// what went wrong, without the secrets of the request. The words of net/http may
// quote a broken answer, so the chain of errors behind them does not get out.
func Cause(err error, secrets ...Secret) (Kind, error) {
	var sending *url.Error
	if errors.As(err, &sending) {
		if u, parseErr := url.Parse(sending.URL); parseErr == nil {
			err = fmt.Errorf("%s://%s: %w", u.Scheme, u.Host, sending.Err)
		}
	}
	kind, words := Unreachable, Quote(withoutAnswer(err.Error()), secrets...)
	if errors.Is(err, ErrTooLarge) {
		kind = Malformed
	}
	if unknown := new(x509.UnknownAuthorityError); errors.As(err, unknown) {
		words += "; for a private CA, or a proxy that inspects TLS, set ca_cert"
	}
	return kind, errors.New(words)
}

// withoutAnswer cuts off where net/http quotes a broken answer: it may hold a
// token.
func withoutAnswer(words string) string {
	const broken = "malformed MIME header"
	if i := strings.Index(words, broken); i >= 0 {
		return words[:i+len(broken)]
	}
	if i := strings.IndexByte(words, '"'); i >= 0 {
		return strings.TrimRight(words[:i], " :")
	}
	return words
}

// Describe writes a failure as all errors here read: IMS token request failed:
// 400 invalid_client (invalid client_secret parameter), x-debug-id 1234. What is
// empty or 0 is left out.
func Describe(what string, status int, code, words string, cause error, requestID string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s failed:", what)
	if status != 0 {
		fmt.Fprintf(&b, " %d", status)
		if code == "" && cause == nil {
			fmt.Fprintf(&b, " %s", http.StatusText(status))
		}
	}
	if code != "" {
		fmt.Fprintf(&b, " %s", code)
	}
	if words != "" {
		fmt.Fprintf(&b, " (%s)", words)
	}
	if cause != nil {
		fmt.Fprintf(&b, " %s", cause)
	}
	if requestID != "" {
		fmt.Fprintf(&b, ", %s", requestID)
	}
	return b.String()
}

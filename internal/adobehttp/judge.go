// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// judged lets only good answers out: whoever made the request sees a 2xx with a
// JSON object or, where that is the documented success, an empty one.
// Everything else is an error.
type judged struct {
	client *Client
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper. The error is one that Do returns. The
// request keeps its turn between its attempts: while a server fails, others that
// would meet the same wait.
func (j *judged) RoundTrip(req *http.Request) (*http.Response, error) {
	call := callOf(req.Context())
	call.Sent, call.Status, call.Header, call.failure = time.Time{}, 0, http.Header{}, nil
	if err := j.client.takeTurn(req.Context(), call); err != nil {
		return nil, err
	}
	defer j.client.giveTurnBack(call)
	resp, err := j.next.RoundTrip(req)
	notSent := (*unsent)(nil)
	switch {
	case errors.As(err, &notSent):
		return nil, notSent.Err
	case call.failure != nil:
		return nil, call.failure
	case err == nil:
		return resp, nil
	case req.Context().Err() != nil:
		return nil, req.Context().Err()
	}
	return nil, j.client.unanswered(call, req.URL, err)
}

// judge decides whether an answer is Adobe's, and what it says: nil for a good
// one. The error is that of reading the body.
func (c *Client) judge(call *Call, body []byte, err error) *Error {
	if err != nil {
		return c.NewError(call, Malformed, err)
	}
	said, isObject := readObject(body)
	kind := kindOf(call.Status, said, isObject)
	empty := len(bytes.TrimSpace(body)) == 0
	if kind == "" || isSuccess(call.Status) && empty && call.EmptyOK {
		return nil
	}
	failed := c.NewError(call, kind, nil)
	if kind == Throttled || kind == Unavailable { // the only ones for which it is Adobe's
		failed.RetryAfter = retryAfter(call.Header, c.pool.now())
	}
	switch {
	case kind != Malformed:
		failed.Code, failed.Description = Quote(said.code(), call.Secrets...), Quote(said.description(), call.Secrets...)
	case isRedirect(call.Status):
		failed.Err = errors.New("a redirect, which is not followed; check the URL and HTTPS_PROXY")
	default:
		failed.Err = fmt.Errorf("a page or a proxy answered instead of Adobe, with %s; check the URL and HTTPS_PROXY",
			contentOf(body, isObject))
	}
	return failed
}

// kindOf is what an answer says; "" for a good one. An empty body is never good
// here.
func kindOf(status int, said object, isObject bool) Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return Throttled
	case status >= 500, status == http.StatusRequestTimeout:
		return Unavailable
	case isSuccess(status) && isObject && said.refuses(), status >= 400 && said.isError():
		return Refused
	case isSuccess(status) && isObject:
		return ""
	}
	return Malformed
}

// IsEmpty reports whether the body of an answer is empty or an empty JSON object.
func IsEmpty(body []byte) bool {
	body = bytes.TrimSpace(body)
	var object map[string]json.RawMessage
	return len(body) == 0 || json.Unmarshal(body, &object) == nil && object != nil && len(object) == 0
}

func isSuccess(status int) bool  { return status >= 200 && status < 300 }
func isRedirect(status int) bool { return status >= 300 && status < 400 }

// speaksByStatus reports whether an answer says what it says by its status
// alone, even if its body cannot be read.
func speaksByStatus(status int) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || isRedirect(status)
}

// contentOf says what an answer looks like that is not Adobe's.
func contentOf(body []byte, isObject bool) string {
	start := bytes.ToLower(bytes.TrimSpace(body[:min(len(body), 512)]))
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return "an empty body"
	case isObject, json.Valid(body):
		return "other JSON"
	case bytes.Contains(start, []byte("<html")), bytes.Contains(start, []byte("<!doctype")):
		return "HTML"
	}
	return "text that is not JSON"
}

// object is what an answer says of itself, in the shapes that Adobe's services
// use: IMS has "error", a code or an object; the gateway before the console has
// "error_code", "title" and "message".
type object struct {
	Error            json.RawMessage `json:"error"`
	ErrorDescription json.RawMessage `json:"error_description"`
	ErrorCode        json.RawMessage `json:"error_code"`
	Title            json.RawMessage `json:"title"`
	Message          json.RawMessage `json:"message"`
}

func readObject(body []byte) (o object, isObject bool) {
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) == 0 || trimmed[0] != '{' || json.Unmarshal(trimmed, &o) != nil {
		return object{}, false
	}
	return o, true
}

// text returns a JSON string, or "" for anything else.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// digits returns a JSON number, or a string of one, as it is written.
func digits(raw json.RawMessage) string {
	number := strings.Trim(string(raw), `"`)
	if number == "" || strings.Trim(number, "0123456789") != "" {
		return ""
	}
	return number
}

// nested returns "error" where that is an object with a code or a message.
func (o object) nested() (code, message string) {
	var inner struct{ Code, Message json.RawMessage }
	if len(o.Error) == 0 || o.Error[0] != '{' || json.Unmarshal(o.Error, &inner) != nil {
		return "", ""
	}
	code = text(inner.Code)
	if code == "" {
		code = digits(inner.Code)
	}
	return code, text(inner.Message)
}

// codeForm is the form of the codes of OAuth and of IMS. Other servers write
// words in their place, such as "Not Found".
var codeForm = regexp.MustCompile(`^[a-z][a-z0-9_.:-]{0,99}$`)

// IsCode reports whether an Error's Code has the form of those of OAuth and of
// IMS. Numbers are a gateway's.
func IsCode(code string) bool { return codeForm.MatchString(code) }

// refuses reports whether the object has an "error", which means a refusal even
// in a 2xx.
func (o object) refuses() bool {
	code, message := o.nested()
	return IsCode(text(o.Error)) || code != "" || message != ""
}

// isError reports whether the object has the shape of Adobe's errors.
func (o object) isError() bool {
	if text(o.Error) != "" && !o.refuses() {
		return false
	}
	return o.refuses() || digits(o.ErrorCode) != "" || text(o.Message) != "" || text(o.Title) != ""
}

func (o object) code() string {
	inner, _ := o.nested()
	return cmp.Or(text(o.Error), inner, digits(o.ErrorCode))
}

func (o object) description() string {
	_, inner := o.nested()
	return cmp.Or(text(o.ErrorDescription), inner, text(o.Message), text(o.Title))
}

// unanswered says in words why a request brought no usable answer: which host,
// and what went wrong. The words of net/http may quote a broken answer, so the
// chain of errors behind them does not get out.
func (c *Client) unanswered(call *Call, to *url.URL, err error) *Error {
	var sending *url.Error
	if errors.As(err, &sending) {
		err = sending.Err
	}
	words := Quote(fmt.Sprintf("%s://%s: %s", to.Scheme, to.Host, withoutAnswer(err.Error())), call.Secrets...)
	if unknown := new(x509.UnknownAuthorityError); errors.As(err, unknown) {
		words += "; for a private CA, or a proxy that inspects TLS, set ca_cert"
	}
	failed := c.NewError(call, Unreachable, errors.New(words))
	failed.Status = 0
	return failed
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

// headerTooLarge reports whether a transport gave up over the size of a header.
// It has no error of its own for that.
func headerTooLarge(err error) bool {
	return strings.Contains(err.Error(), "response headers exceeded") ||
		strings.Contains(err.Error(), "response header list larger")
}

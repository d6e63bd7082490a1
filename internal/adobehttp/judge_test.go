// SPDX-License-Identifier: MPL-2.0

package adobehttp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

const page = "<!DOCTYPE html><html><body>Please sign in to the guest network</body></html>"

func TestWhoAnswered(t *testing.T) {
	const (
		ok          = adobehttp.Kind("")
		refused     = adobehttp.Refused
		throttled   = adobehttp.Throttled
		unavailable = adobehttp.Unavailable
		malformed   = adobehttp.Malformed
	)
	for _, test := range []struct {
		status      int
		body        string
		want        adobehttp.Kind
		code, words string // or, of malformed ones, what the error says
	}{
		{200, `{"access_token":"at"}`, ok, "", ""},
		{201, ` {} `, ok, "", ""},
		{200, `{"error":null}`, ok, "", ""},
		{200, `{"error":""}`, ok, "", ""},
		{200, `{"message":"done","valid":false}`, ok, "", ""},
		{200, `{"error":"invalid_client","error_description":"invalid client_secret parameter"}`, refused, "invalid_client", "invalid client_secret parameter"},
		{200, `{"error":{"code":"x","message":"y"}}`, refused, "x", "y"},
		{200, page, malformed, "", "HTML"},
		{200, ``, malformed, "", "an empty body"},
		{204, ``, malformed, "", "an empty body"},
		{200, `[]`, malformed, "", "other JSON"},
		{200, `"word"`, malformed, "", "other JSON"},
		{200, `null`, malformed, "", "other JSON"},
		{200, "\ufeff{}", malformed, "", "not JSON"},
		{200, `{"access_token":"at"`, malformed, "", "not JSON"},
		{200, `{} {}`, malformed, "", "not JSON"},
		{200, `access_token=at&expires_in=300`, malformed, "", "not JSON"},

		{400, `{"error":"invalid_scope","error_description":"d"}`, refused, "invalid_scope", "d"},
		{401, `{"error":"invalid_client"}`, refused, "invalid_client", ""},
		{400, `{"error":{"code":42,"message":"y"}}`, refused, "42", "y"},
		{400, `{"error":{"message":"y"}}`, refused, "", "y"},
		{403, `{"message":"nope"}`, refused, "", "nope"},
		{403, `{"title":"ErrForbidden","status":403}`, refused, "", "ErrForbidden"},
		{403, `{"title":"ErrInvalidApiKey","error_code":403003,"message":"Api Key is invalid"}`, refused, "403003", "Api Key is invalid"},
		{404, `{"error_code":"404000"}`, refused, "404000", ""},
		{400, ``, malformed, "", "an empty body"},
		{403, page, malformed, "", "HTML"},
		{403, "blocked by policy", malformed, "", "not JSON"},
		{404, "404 page not found\n", malformed, "", "not JSON"},
		{404, `{}`, malformed, "", "other JSON"},
		{404, `{"path":"/ims/token/v3","status":404}`, malformed, "", "other JSON"},
		{400, `{"error":"","message":"","title":null,"error_code":"x"}`, malformed, "", "other JSON"},
		{400, `{"error":true,"message":{"a":"b"}}`, malformed, "", "other JSON"},
		{400, `{"error":{"reason":"y"}}`, malformed, "", "other JSON"},
		{400, `[{"error":"invalid_client"}]`, malformed, "", "other JSON"},

		{429, ``, throttled, "", ""},
		{429, page, throttled, "", ""},
		{429, `{"error_code":"429050","message":"Too many requests"}`, throttled, "429050", "Too many requests"},
		{408, page, unavailable, "", ""},
		{500, `{"error":"internal_error","error_description":"Please try again later"}`, unavailable, "internal_error", "Please try again later"},
		{502, "Bad Gateway", unavailable, "", ""},
		{503, `{}`, unavailable, "", ""},
		{300, `{"error":"invalid_client"}`, malformed, "", "redirect"},
		{302, ``, malformed, "", "redirect"},
		{304, ``, malformed, "", "redirect"},
		{307, page, malformed, "", "redirect"},
	} {
		t.Run(fmt.Sprint(test.status, " ", test.body), func(t *testing.T) {
			url, _ := service(t, answer(test.status, test.body, "Content-Type", "text/html"))
			call := newCall()
			got, err := post(t.Context(), client(t, adobehttp.Options{URL: url}), call, url)
			require.Equal(t, test.status, call.Status)
			if test.want == ok {
				require.NoError(t, err)
				require.Equal(t, test.body, string(got.Body))
				return
			}
			e := failed(t, err)
			require.Equal(t, test.want, e.Kind)
			require.Equal(t, test.status, e.Status)
			require.Equal(t, "debug-1", e.RequestID)
			if test.want == malformed {
				require.ErrorContains(t, e, test.words)
				require.ErrorContains(t, e, "check the URL and HTTPS_PROXY")
				require.Empty(t, e.Code+e.Description)
				return
			}
			require.Equal(t, test.code, e.Code)
			require.Equal(t, test.words, e.Description)
			require.NoError(t, e.Err)
		})
	}
}

func TestEmptyIsSuccessWhereItIsDocumented(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   bool
	}{
		{200, "", true},
		{200, "\n", true},
		{204, "", true},
		{200, "{}", true},
		{200, page, false},
		{200, `{"error":"invalid_token"}`, false},
		{400, "", false},
		{302, "", false},
		{503, "", false},
	} {
		url, _ := service(t, answer(test.status, test.body))
		call := newCall()
		call.EmptyOK = true
		_, err := post(t.Context(), client(t, adobehttp.Options{URL: url}), call, url)
		require.Equal(t, test.want, err == nil, "%d %s: %v", test.status, test.body, err)
	}
}

func TestErrorText(t *testing.T) {
	for want, handler := range map[string]http.HandlerFunc{
		"IMS token request failed: 400 invalid_client (invalid client_secret parameter), x-debug-id debug-1": answer(400, `{"error":"invalid_client","error_description":"invalid client_secret parameter"}`),
		"IMS token request failed: 503 Service Unavailable, x-debug-id debug-1":                              unavailable,
		"IMS token request failed: 403 Forbidden (nope), x-debug-id debug-1":                                 answer(403, `{"message":"nope"}`),
		"IMS token request failed: 403 Forbidden: a page or a proxy answered instead of Adobe, with HTML; " +
			"check the URL and HTTPS_PROXY, x-debug-id debug-1": answer(403, page),
		"IMS token request failed: 400 some_code ([withheld]), x-debug-id [withheld]": answer(400,
			`{"error":"some_code","error_description":"`+strings.ToUpper(string(secret))+`"}`, "X-Debug-Id", string(secret[4:])),
	} {
		url, _ := service(t, handler)
		_, err := post(t.Context(), client(t, adobehttp.Options{URL: url}), newCall(), url)
		require.EqualError(t, err, want)
		_ = failed(t, err)
	}
}

func TestCodes(t *testing.T) {
	for code, want := range map[string]bool{
		"invalid_client": true, "access_denied": true, "": false, "403": false, "403003": false, "Not Found": false, "Forbidden": false,
	} {
		require.Equal(t, want, adobehttp.IsCode(code), code)
	}
}

// Only who asks to be left alone is believed that: a page with a Retry-After says
// nothing of Adobe.
func TestWhoseRetryAfter(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   time.Duration
	}{
		{429, page, time.Hour},
		{503, ``, time.Hour},
		{200, page, 0},
		{302, ``, 0},
		{403, page, 0},
		{403, `{"message":"blocked by policy"}`, 0},
		{400, `{"error":"invalid_client"}`, 0},
	} {
		url, _ := service(t, answer(test.status, test.body, "Retry-After", "3600"))
		_, err := post(t.Context(), client(t, adobehttp.Options{URL: url}), newCall(), url)
		require.Equal(t, test.want, failed(t, err).RetryAfter, "%d %s", test.status, test.body)
	}
}

// token asks for a token the way that ims does.
func token(ctx context.Context, c *adobehttp.Client, call *adobehttp.Call, url string) (*oauth2.Token, error) {
	ctx, client := c.HTTP(ctx, call)
	config := clientcredentials.Config{ClientID: "client", ClientSecret: string(secret), TokenURL: url, AuthStyle: oauth2.AuthStyleInParams}
	granted, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return nil, c.Failure(call, err, fmt.Errorf("the answer is not a token"))
	}
	return granted, nil
}

func TestOAuth2SeesGoodAnswersOnly(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    adobehttp.Kind
		says    string
	}{
		"text/plain":      {answer(200, `{"access_token":"at"}`, "Content-Type", "text/plain"), "", ""},
		"a form":          {answer(200, `{"access_token":"at"}`, "Content-Type", "application/x-www-form-urlencoded"), "", ""},
		"a page":          {answer(200, page), adobehttp.Malformed, "HTML"},
		"refused":         {answer(400, `{"error":"invalid_client"}`), adobehttp.Refused, "400 invalid_client"},
		"error in a 200":  {answer(200, `{"error":"invalid_client"}`), adobehttp.Refused, "200 invalid_client"},
		"no token":        {answer(200, `{}`), adobehttp.Malformed, "200 OK: the answer is not a token, x-debug-id debug-1"},
		"token of no use": {answer(200, `{"access_token":7}`), adobehttp.Malformed, "200 OK: the answer is not a token"},
		"portal":          {answer(302, ``, "Location", "http://127.0.0.1:1/login"), adobehttp.Malformed, "redirect"},
		"broken redirect": {answer(302, ``, "Location", "http://%zz"), adobehttp.Malformed, "redirect"},
		"dropped":         {drop, adobehttp.Unreachable, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			url, asked := service(t, test.handler)
			call := newCall()
			granted, err := token(t.Context(), client(t, adobehttp.Options{URL: url}), call, url)
			require.Equal(t, int32(1), asked.Load())
			if test.want == "" {
				require.NoError(t, err)
				require.Equal(t, "at", granted.AccessToken)
				return
			}
			e := failed(t, err)
			require.Same(t, e, err, "nothing is around it")
			require.Equal(t, test.want, e.Kind)
			require.ErrorContains(t, err, test.says)
		})
	}
}

func TestFileServer(t *testing.T) {
	server := httptest.NewServer(http.FileServer(http.Dir(t.TempDir())))
	t.Cleanup(server.Close)
	c := client(t, adobehttp.Options{URL: server.URL})
	for path, status := range map[string]int{"/ims/token/v3": 404, "/": 200} {
		_, err := post(t.Context(), c, newCall(), server.URL+path)
		e := failed(t, err)
		require.Equal(t, adobehttp.Malformed, e.Kind)
		require.Equal(t, status, e.Status)
	}
}

func TestPortalRedirectIsNotFollowed(t *testing.T) {
	portal, followed := service(t, answer(200, page))
	for _, status := range []int{301, 302, 303, 307, 308} {
		url, _ := service(t, answer(status, "", "Location", portal))
		_, err := post(t.Context(), client(t, adobehttp.Options{URL: url}), newCall(), url)
		require.Equal(t, adobehttp.Malformed, failed(t, err).Kind)
	}
	require.Zero(t, followed.Load())
}

// What net/http says of a broken answer may quote it, and with it a token.
func TestBrokenAnswersAreNotQuoted(t *testing.T) {
	const mine = "eyJhbGciOiJ.a-token-of-the-answer"
	for name, raw := range map[string]string{
		"no HTTP":      mine + "\r\n\r\n",
		"status":       "HTTP/1.1 " + mine + "\r\n\r\n",
		"header":       "HTTP/1.1 200 OK\r\n" + mine + "\r\n\r\n",
		"first header": "HTTP/1.1 200 OK\r\n " + mine + "\r\n\r\n",
		"length":       "HTTP/1.1 200 OK\r\nContent-Length: " + mine + "\r\n\r\n",
		"encoding":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + mine + "\r\n\r\n",
		"chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + mine + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := service(t, func(w http.ResponseWriter, _ *http.Request) {
				connection, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_, _ = io.WriteString(connection, raw)
					_ = connection.Close()
				}
			})
			_, err := post(t.Context(), client(t, adobehttp.Options{URL: url}), newCall(), url)
			require.Equal(t, adobehttp.Unreachable, failed(t, err).Kind)
			require.NotContains(t, err.Error(), mine[:8])
			require.NotContains(t, err.Error(), "token-of")
		})
	}
}

// Other servers have words where IMS has a code.
func TestWordsAreNoCode(t *testing.T) {
	for _, body := range []string{
		`{"timestamp":"2026-11-25","status":404,"error":"Not Found","path":"/ims/token/v3"}`,
		`{"error":"Forbidden","message":"blocked by policy"}`,
		`{"error":"Service Unavailable!"}`,
	} {
		url, _ := service(t, answer(404, body))
		_, err := post(t.Context(), client(t, adobehttp.Options{URL: url}), newCall(), url)
		require.Equal(t, adobehttp.Malformed, failed(t, err).Kind, body)
	}
}

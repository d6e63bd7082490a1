// SPDX-License-Identifier: MPL-2.0

package console_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// secretless wants no secret in v, however it is printed.
func (f *fixture) secretless(v any) {
	f.t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		text := fmt.Sprintf(verb, v)
		require.NotContains(f.t, text, string(f.token))
		require.NotContains(f.t, text, fmt.Sprintf("%x", string(f.token)))
		for _, s := range f.SecretsOf(clientID) {
			require.NotContains(f.t, text, s.Value)
			require.NotContains(f.t, text, fmt.Sprintf("%x", s.Value))
		}
	}
}

func TestFaults(t *testing.T) {
	huge := emulator.Fault{Size: 2 << 20}
	for name, c := range map[string]struct {
		fault  emulator.Fault
		kind   console.Kind
		status int
		effect bool
		text   string
	}{
		"no such key":     {emulator.Fault{Status: 403, Code: "403003", Description: "Api Key is invalid"}, console.Refused, 403, false, "failed: 403 403003 (Api Key is invalid), x-request-id "},
		"bare 400":        {emulator.Fault{Status: 400}, console.Malformed, 400, true, "failed: 400 Bad Request: a page or a proxy answered"},
		"HTML 401":        {emulator.Fault{Status: 401, Body: "<html>SIGN IN"}, console.Malformed, 401, true, "HTTPS_PROXY"},
		"HTML 403":        {emulator.Fault{Status: 403, Body: "<html>SIGN IN"}, console.Malformed, 403, true, "failed: 403 Forbidden: a page or a proxy answered"},
		"HTML 404":        {emulator.Fault{Status: 404, Body: "<html>SIGN IN"}, console.Malformed, 404, true, "failed: 404 Not Found: a page or a proxy answered"},
		"other JSON 404":  {emulator.Fault{Status: 404, Body: `{"path":"SIGN IN"}`}, console.Malformed, 404, true, "failed: 404 Not Found: a page or a proxy answered"},
		"throttled":       {emulator.Fault{Status: 429, Code: "429050", Description: "Too many requests", RetryAfter: "30"}, console.Throttled, 429, false, "failed: 429 429050 (Too many requests)"},
		"500":             {emulator.Fault{}, console.Unavailable, 500, true, "failed: 500 Internal Server Error"},
		"503":             {emulator.Fault{Status: 503, Code: "503000", Description: "x\ny"}, console.Unavailable, 503, true, "failed: 503 503000 (x y)"},
		"gateway gave up": {emulator.Fault{Status: 408}, console.Unavailable, 408, true, "failed: 408 Request Timeout"},
		"redirect":        {emulator.Fault{Redirect: "/console/elsewhere"}, console.Malformed, 302, true, "failed: 302 Found: a redirect"},
		"redirect 307":    {emulator.Fault{Redirect: "/console/elsewhere", Status: 307}, console.Malformed, 307, true, "failed: 307 Temporary Redirect: a redirect"},
		"HTML":            {emulator.Fault{Body: "<html>SIGN IN"}, console.Malformed, 200, true, "failed: 200 OK: a page or a proxy answered"},
		"list":            {emulator.Fault{Body: `[{"client_secret":"p8e-x"}]`}, console.Malformed, 200, true, "failed: 200 OK: a page or a proxy answered"},
		"huge":            {huge, console.Malformed, 200, true, "the answer is larger than"},
		"cut off":         {emulator.Fault{Body: `{"client_secret":"p8e-cut`, Truncate: true}, console.Unreachable, 0, true, "reading the answer: unexpected EOF"},
		"dropped":         {emulator.Fault{Drop: true}, console.Unreachable, 0, true, "EOF"},
	} {
		for _, op := range operations {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				f := start(t, emulator.Options{}, console.Options{})
				f.Inject(c.fault)
				err := op.call(f)
				e := f.failed(err)
				require.Equal(t, c.kind, e.Kind, err)
				require.Equal(t, c.status, e.Status)
				require.Equal(t, c.effect, console.MayHaveTakenEffect(e))
				require.ErrorContains(t, err, c.text)
				require.True(t, strings.HasPrefix(err.Error(), "Developer Console "+e.Op+" failed: "), err)
				require.NotContains(t, err.Error(), "SIGN IN")
				require.NotContains(t, err.Error(), "p8e-")
				require.Equal(t, 1, f.Count(anyConsole))
				if c.status != 0 {
					require.NotEmpty(t, e.RequestID)
				}
				if c.fault.RetryAfter != "" {
					require.Equal(t, 30*time.Second, e.RetryAfter)
				}
			})
		}
	}
}

func TestMalformed(t *testing.T) {
	for text, op := range map[string]operation{
		``:                                  list,
		`null`:                              list,
		`[]`:                                list,
		`{"client_id":"client"}`:            list,
		`{"client_secrets":null}`:           list,
		`{"client_secrets":{}}`:             list,
		`{"client_secrets":[null]}`:         list,
		`{"client_secrets":[{"uuid":""}]}`:  list,
		`{"client_secrets":[{"uuid":12}]}`:  list,
		` `:                                 add,
		`{"uuid":"u"}`:                      add,
		`{"uuid":"u","client_secret":null}`: add,
		`{"uuid":"u","client_secret":""}`:   add,
		`{"client_secret":["p8e-array"]}`:   add,
		`{"client_secret":"p8e-broken"`:     add,
		`{"client_secret":"p8e-` + strings.Repeat("a", 5000) + `"}`: add,
		`Your session ended`: remove,
		`"deleted"`:          remove,
		`[]` + "\n":          remove,
	} {
		t.Run(op.name+" "+text[:min(len(text), 40)], func(t *testing.T) {
			f := answering(t, body(http.StatusOK, text))
			err := op.call(f)
			e := f.failed(err)
			require.Equal(t, console.Malformed, e.Kind)
			require.True(t, console.MayHaveTakenEffect(e))
			require.NotContains(t, err.Error(), "p8e")
		})
	}
}

// A secret is gone if the console confirms its removal with an empty answer. After
// any other one the listing tells, which is not asked where nothing of the kind
// answered. What the console sends with a 200 for a removal is not known.
func TestRemoved(t *testing.T) {
	const gone, there, unknown = `{"client_secrets":[{"uuid":"other"}]}`, `{"client_secrets":[{"uuid":"u"}]}`, `{"message":"please sign in"}`
	for _, test := range []struct {
		status  int
		text    string
		listing string // "": not asked
		want    console.Kind
	}{
		{204, "", "", ""},
		{200, "", "", ""},
		{200, "\r\n", "", ""},
		{200, "{}", "", ""},
		{200, `{"uuid":"u"}`, gone, ""},
		{200, `{"uuid":"u"}`, there, console.Malformed},
		{200, `{"message":"please sign in"}`, there, console.Malformed},
		{200, `{"message":"please sign in"}`, unknown, console.Malformed},
		{404, `{"title":"ErrNotFound","status":404,"error_code":404000,"message":"no such secret"}`, gone, ""},
		{404, `{"title":"ErrNotFound","status":404,"error_code":404000,"message":"no such secret"}`, there, console.Refused},
		{404, `{"message":"no Route matched with those values"}`, there, console.Refused},
		{404, `{"message":"no Route matched with those values"}`, unknown, console.Refused},
		{404, `{"error":{"code":404,"message":"Not Found"}}`, gone, ""},
		{404, ``, "", console.Malformed},
		{404, `{}`, "", console.Malformed},
		{404, `{"status":404}`, "", console.Malformed},
		{404, `404 page not found`, "", console.Malformed},
		{404, `<html><h1>Not Found</h1>`, "", console.Malformed},
		{404, `"message"`, "", console.Malformed},
		{403, `{"message":"blocked by policy"}`, "", console.Refused},
		{200, `{"error":"access_denied"}`, "", console.Refused},
	} {
		t.Run(fmt.Sprint(test.status, test.text, test.listing), func(t *testing.T) {
			asked := false
			f := answering(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					asked = true
					body(http.StatusOK, test.listing)(w, r)
					return
				}
				body(test.status, test.text)(w, r)
			})
			err := f.Remove(t.Context(), f.token, cred, "u")
			require.Equal(t, test.listing != "", asked)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, test.want, f.failed(err).Kind)
			require.Equal(t, test.status, f.failed(err).Status)
		})
	}
}

// Names from outside are not let in: they would be shown, logged and stored,
// and put in the path of a removal.
func TestListedUUIDs(t *testing.T) {
	for uuid, good := range map[string]bool{
		"u":                                    true,
		"0f8fad5b-d9cb-469f-a165-70867728950e": true,
		strings.Repeat("a", 64):                true,
		strings.Repeat("a", 65):                false,
		strings.Repeat("a", 300_000):           false,
		"../..":                                false,
		"a/b":                                  false,
		"a b":                                  false,
		"a\\nb":                                false,
		"ü":                                    false,
		"eyJhbGciOiJub25lIn0.e30.":             false,
		"p8e-0123456789abcdefghijklmnopqrstuv": false,
		"P8E-secret":                           false,
		"the-token-of-the-request":             false,
	} {
		f := answering(t, body(http.StatusOK, `{"client_secrets":[{"uuid":"`+uuid+`"}]}`))
		f.token = "the-token-of-the-request"
		listed, err := f.List(t.Context(), f.token, cred)
		if good {
			require.NoError(t, err)
			require.Equal(t, uuid, listed.Secrets[0].UUID)
			continue
		}
		e := f.failed(err)
		require.Equal(t, console.Malformed, e.Kind)
		require.Less(t, len(e.Error()), 300)
		require.NotContains(t, e.Error(), uuid)
	}
	f := answering(t, body(http.StatusOK, `{"client_secrets":[`+strings.Repeat(`{"uuid":"u"},`, 10)+`{"uuid":"u"}]}`))
	_, err := f.List(t.Context(), f.token, cred)
	require.Equal(t, console.Malformed, f.failed(err).Kind)
	require.ErrorContains(t, err, "lists 11 client secrets")
}

func TestRefusalsInEveryShape(t *testing.T) {
	for text, want := range map[string]string{
		`{"title":"ErrInvalidOauthToken","status":401,"error_code":401013,"message":"Oauth token is not valid"}`: "401 401013 (Oauth token is not valid)",
		`{"error_code":"429050","message":"Too many requests"}`:                                                  "401 429050 (Too many requests)",
		`{"error_code":"ERR_X","title":"ErrX"}`:                                                                  "401 Unauthorized (ErrX)",
		`{"error_code":{"a":1},"message":"m"}`:                                                                   "401 Unauthorized (m)",
	} {
		t.Run(text, func(t *testing.T) {
			f := answering(t, body(http.StatusUnauthorized, text))
			err := list.call(f)
			require.Equal(t, console.Refused, f.failed(err).Kind)
			require.EqualError(t, err, "Developer Console listing of client secrets failed: "+want)
		})
	}
	for _, text := range []string{`{"error_code":null,"message":["p8e"]}`, `{"error_code":""}`, `"p8e"`, `{"message":"p8e`} {
		t.Run(text, func(t *testing.T) {
			f := answering(t, body(http.StatusUnauthorized, text))
			err := list.call(f)
			require.Equal(t, console.Malformed, f.failed(err).Kind)
			require.NotContains(t, err.Error(), "p8e")
		})
	}
}

func TestMayHaveTakenEffect(t *testing.T) {
	for _, test := range []struct {
		kind   console.Kind
		status int
		code   string
		want   bool
	}{
		{console.Refused, 403, "403003", false},
		{console.Refused, 0, "", false}, // not sent
		{console.Throttled, 429, "", false},
		{console.Refused, 403, "", true}, // in words only: a proxy withheld the answer
		{console.Refused, 404, "404", true},
		{console.Refused, 403, "access_denied", true},
		{console.Refused, 200, "403003", true},
		{console.Unavailable, 500, "", true},
		{console.Malformed, 403, "", true},
		{console.Unreachable, 0, "", true},
	} {
		failed := &console.Error{Kind: test.kind, Status: test.status, Code: test.code}
		require.Equal(t, test.want, console.MayHaveTakenEffect(fmt.Errorf("adding: %w", failed)), failed)
	}
	require.True(t, console.MayHaveTakenEffect(context.Canceled), "the answer was not waited for")
	require.False(t, console.MayHaveTakenEffect(nil))
}

// The console says no as it does to the tokens and keys that Adobe would
// refuse.
func TestRefusals(t *testing.T) {
	f := start(t, emulator.Options{}, console.Options{})
	otherKey, unknown := cred, cred
	otherKey.ClientID = "x"
	unknown.CredentialID = "x"
	for name, c := range map[string]struct {
		token console.Secret
		cred  console.Credential
		code  string
	}{
		"token":         {"x", cred, "401013"},
		"no token":      {"", cred, "401013"},
		"key":           {f.token, otherKey, "403003"},
		"no credential": {f.token, unknown, "404000"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.List(t.Context(), c.token, c.cred)
			require.Equal(t, c.code, f.failed(err).Code)
			_, err = f.Add(t.Context(), c.token, c.cred)
			require.Equal(t, c.code, f.failed(err).Code)
		})
	}
	require.Len(t, f.SecretsOf(clientID), 1)
}

func TestRetries(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"unavailable": {Times: 1, Status: 503, RetryAfter: "0"},
		"throttled":   {Times: 1, Status: 429, RetryAfter: "0"},
		"dropped":     {Times: 1, Drop: true},
		"lost":        {Times: 1, Drop: true, After: true},
	} {
		for _, op := range operations {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				f := start(t, emulator.Options{}, console.Options{MaxRetries: 2})
				f.Inject(fault)
				err := op.call(f)
				if op.method == http.MethodPost {
					e := f.failed(err)
					require.Equal(t, 1, f.Count(anyConsole))
					require.Equal(t, fault.Status != 429, console.MayHaveTakenEffect(e))
					return
				}
				require.NoError(t, err)
				requests := 2
				if fault.After && op.method == http.MethodDelete {
					requests = 3 // what is not there any more is looked for in the listing
				}
				require.Equal(t, requests, f.Count(anyConsole))
			})
		}
	}
}

// The connection that Add finds open may be dead by then. net/http repeats some
// requests by itself in that case.
func TestAddIsSentOnceOverAStaleConnection(t *testing.T) {
	f := start(t, emulator.Options{}, console.Options{MaxRetries: 2})
	require.NoError(t, list.call(f))
	f.ResetCounters()
	f.Inject(emulator.Fault{Method: http.MethodPost, Times: 1, Drop: true, After: true})
	e := f.failed(add.call(f))
	require.Equal(t, console.Unreachable, e.Kind)
	require.True(t, console.MayHaveTakenEffect(e))
	require.Equal(t, 1, f.Count(anyConsole))
	require.Len(t, f.SecretsOf(clientID), 2)
}

func TestHang(t *testing.T) {
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			f := start(t, emulator.Options{}, console.Options{Timeout: 50 * time.Millisecond})
			f.Inject(emulator.Fault{Hang: true, After: true})
			err := op.call(f)
			e := f.failed(err)
			require.Equal(t, console.Unreachable, e.Kind)
			require.True(t, console.MayHaveTakenEffect(e))
			require.ErrorContains(t, err, "no complete answer within 50ms")
			require.NotErrorIs(t, err, context.DeadlineExceeded, "only the caller's own deadline is that")
		})
	}
}

func TestNobodyThere(t *testing.T) {
	f := start(t, emulator.Options{}, console.Options{})
	f.Stop()
	for _, op := range operations {
		e := f.failed(op.call(f))
		require.Equal(t, console.Unreachable, e.Kind)
		require.ErrorContains(t, e, f.url+": dial tcp")
	}
}

func TestCallerGivesUp(t *testing.T) {
	f := start(t, emulator.Options{}, console.Options{MaxRetries: 2, Timeout: 200 * time.Millisecond})
	f.Inject(emulator.Fault{Path: anyConsole, Hang: true})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := f.Add(short, f.token, cred) // waits for its answer, in vain
	require.Equal(t, context.DeadlineExceeded, err)
	require.True(t, console.MayHaveTakenEffect(err))
	for want, ctx := range map[error]context.Context{context.Canceled: ended, context.DeadlineExceeded: short} {
		_, err := f.List(ctx, f.token, cred)
		require.Equal(t, want, err)
		_, err = f.Add(ctx, f.token, cred)
		require.Equal(t, want, err)
		require.Equal(t, want, f.Remove(ctx, f.token, cred, "u"))
	}
}

// Nobody but the caller of Add will ever learn the value.
func TestAddedThoughTheCallerGaveUp(t *testing.T) {
	f := start(t, emulator.Options{}, console.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	f.Inject(emulator.Fault{Method: http.MethodPost, Times: 1, Status: 201, Body: `{"uuid":"u","client_secret":"p8e-new"}`,
		Match: func(*http.Request) bool {
			cancel()
			return true
		}})
	added, err := f.Add(ctx, f.token, cred)
	require.NoError(t, err)
	require.Equal(t, console.Secret("p8e-new"), added.Value)
}

// A server that repeats the token in its answer does not bring it into an
// error.
func TestEchoedToken(t *testing.T) {
	for name, h := range map[string]func(token string) http.HandlerFunc{
		"refusal": func(token string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Request-Id", token)
				body(http.StatusForbidden, fmt.Sprintf(`{"title":%[1]q,"error_code":%[1]q,"message":%[1]q}`, token))(w, nil)
			}
		},
		"another client": func(token string) http.HandlerFunc {
			return body(http.StatusOK, fmt.Sprintf(`{"client_id":%q,"client_secrets":[]}`, token))
		},
		"malformed": func(token string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Request-Id", token)
				body(http.StatusOK, token)(w, nil)
			}
		},
		"not HTTP": func(token string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nBearer " + token + "\r\n\r\n"))
					_ = conn.Close()
				}
			}
		},
		"redirect": func(token string) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://[/"+token)
				w.WriteHeader(http.StatusFound)
			}
		},
	} {
		for _, op := range operations {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				const token = "a-rather-secret-token"
				f := answering(t, h(token))
				f.token = token
				if err := op.call(f); err != nil {
					f.secretless(err)
				} else {
					require.Equal(t, "another client/remove", name+"/"+op.name)
				}
			})
		}
	}
}

// SPDX-License-Identifier: MPL-2.0

package emulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const (
	clientID     = "client"
	clientSecret = "the first secret"
	orgID        = "0123456789ABCDEF01234567@AdobeOrg"
	webID        = "web"
	webSecret    = "the web secret"
	redirectURI  = "https://vault.example.com/v1/adobeims/callback"
	managing     = "openid,read_client_secret,manage_client_secrets"
)

// fixture is a running Server with a server-to-server client and a web app.
type fixture struct {
	*emulator.Server
	t     *testing.T
	url   string
	clock *clockwork.FakeClock
}

func start(t *testing.T, o emulator.Options) *fixture {
	t.Helper()
	clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	o.Clock = clock
	s := emulator.New(o)
	s.AddClient(emulator.Client{
		ID: clientID, Secrets: []string{clientSecret}, OrgID: orgID, ConsoleOrgID: "23294", CredentialID: "436084",
	})
	s.AddClient(emulator.Client{
		ID: webID, CredentialType: emulator.OAuthWebApp, Secrets: []string{webSecret}, RedirectURIs: []string{redirectURI},
		Scopes: []string{"openid", "email", "offline_access"},
	})
	address, err := s.Start("")
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return &fixture{Server: s, t: t, url: address, clock: clock}
}

// answer is an HTTP response, read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &v), a.body)
	return v
}

// noRedirects is a client of its own connections that shows redirects instead
// of following them.
func noRedirects(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (f *fixture) send(r *http.Request) answer {
	f.t.Helper()
	response, err := noRedirects(f.t).Do(r)
	require.NoError(f.t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	return answer{response.StatusCode, response.Header, string(body)}
}

func (f *fixture) request(method, path string, form url.Values) *http.Request {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(form.Encode()))
	require.NoError(f.t, err)
	if len(form) > 0 {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

// post sends pairs of names and values as a form.
func (f *fixture) post(path string, pairs ...string) answer {
	f.t.Helper()
	return f.send(f.request(http.MethodPost, path, form(pairs...)))
}

// postAsWeb is post with the web app's HTTP Basic authentication.
func (f *fixture) postAsWeb(path string, pairs ...string) answer {
	f.t.Helper()
	r := f.request(http.MethodPost, path, form(pairs...))
	r.SetBasicAuth(webID, webSecret)
	return f.send(r)
}

// mint returns an access token of the server-to-server client.
func (f *fixture) mint(scope string) string {
	f.t.Helper()
	a := f.post(emulator.TokenPath, clientCredentials("scope", scope)...)
	require.Equal(f.t, http.StatusOK, a.status, a.body)
	return a.json(f.t)["access_token"].(string)
}

func clientCredentials(more ...string) []string {
	return append([]string{"grant_type", "client_credentials", "client_id", clientID, "client_secret", clientSecret}, more...)
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

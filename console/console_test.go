// SPDX-License-Identifier: MPL-2.0

package console_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const (
	clientID    = "client"
	firstSecret = "p8e-the-first"
	anyConsole  = "/console/*"
	timeout     = 5 * time.Second
)

var cred = console.Credential{OrgID: "23294", CredentialID: "436084", ClientID: clientID}

// fixture is a client of an emulated console, and a token for it.
type fixture struct {
	*emulator.Server
	*console.Client
	t     *testing.T
	url   string
	token console.Secret
}

func start(t *testing.T, adobe emulator.Options, o console.Options) *fixture {
	t.Helper()
	s := emulator.New(adobe)
	s.AddClient(emulator.Client{
		ID: clientID, Secrets: []string{firstSecret}, ConsoleOrgID: cred.OrgID, CredentialID: cred.CredentialID,
	})
	address, err := s.Start("")
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	if o.Timeout == 0 {
		o.Timeout = timeout
	}
	return &fixture{Server: s, Client: client(t, address, o), t: t, url: address, token: mint(t, address)}
}

func client(t *testing.T, address string, o console.Options) *console.Client {
	t.Helper()
	o.URL = address
	pool := adobehttp.NewPool("tests/1", time.Now)
	c, err := console.New(pool, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		pool.Close()
	})
	return c
}

func mint(t *testing.T, address string) console.Secret {
	t.Helper()
	resp, err := http.PostForm(address+emulator.TokenPath, url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {firstSecret},
		"scope": {"openid,read_client_secret,manage_client_secrets"},
	})
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.NotEmpty(t, answer.AccessToken)
	return console.Secret(answer.AccessToken)
}

// operation is one of the three calls, without its result.
type operation struct {
	name, method string
	call         func(f *fixture) error
}

var (
	list = operation{"list", http.MethodGet, func(f *fixture) error {
		_, err := f.List(f.t.Context(), f.token, cred)
		return err
	}}
	add = operation{"add", http.MethodPost, func(f *fixture) error {
		_, err := f.Add(f.t.Context(), f.token, cred)
		return err
	}}
	remove = operation{"remove", http.MethodDelete, func(f *fixture) error {
		return f.Remove(f.t.Context(), f.token, cred, f.SecretsOf(clientID)[0].UUID)
	}}
	operations = []operation{list, add, remove}
)

// answering returns a fixture whose console answers everything with h.
func answering(t *testing.T, h http.HandlerFunc) *fixture {
	t.Helper()
	f := start(t, emulator.Options{}, console.Options{})
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	f.url, f.Client = s.URL, client(t, s.URL, console.Options{Timeout: timeout})
	return f
}

func body(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text))
	}
}

// failed wants err to be an Error that shows no secret.
func (f *fixture) failed(err error) *console.Error {
	f.t.Helper()
	var e *console.Error
	require.ErrorAs(f.t, err, &e)
	f.secretless(err)
	return e
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// Mounts that rotate a client secret, or serve a person's token.

const (
	testConsoleOrg   = "23294"
	testCredentialID = "436084"

	webClientID  = "0123456789abcdef0123456789abcdef"
	testRedirect = "https://vault.example:8200/v1/adobeims/callback"
	testPerson   = "0123456789@AdobeID"
)

var secretsPath = emulator.SecretsPath(testConsoleOrg, testCredentialID)

// newRotatingMount mounts a backend whose config "default" can be rotated.
func newRotatingMount(t *testing.T) *mount {
	t.Helper()
	m := newServingMount(t)
	m.ims.AddClient(emulator.Client{
		ID: testClientID, Secrets: []string{testClientSecret}, OrgID: testOrgID,
		ConsoleOrgID: testConsoleOrg, CredentialID: testCredentialID,
	})
	m.clock.Advance(time.Hour) // the first secret is not of today
	m.write("config/default", map[string]any{
		"console_org_id": testConsoleOrg, "credential_id": testCredentialID, "console_url": m.imsURL,
		"client_secret": testClientSecret, "max_retries": 0, "request_timeout": "1s",
	})
	m.ims.ResetCounters()
	return m
}

// rotate succeeds or ends the test.
func (m *mount) rotate() map[string]any {
	m.t.Helper()
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	require.NoError(m.t, err)
	require.NoError(m.t, resp.Error())
	return resp.Data
}

// tick is Vault's rollback, once a minute.
func (m *mount) tick() error {
	_, err := m.handle(logical.RollbackOperation, "", map[string]any{})
	return err
}

func (m *mount) stored() *credential.Credential {
	m.t.Helper()
	c, err := m.backend.credentials.Get(m.t.Context(), "default")
	require.NoError(m.t, err)
	return c.Value
}

// uuids lists the secrets at Adobe.
func (m *mount) uuids() (uuids []string) {
	for _, s := range m.ims.SecretsOf(testClientID) {
		uuids = append(uuids, s.UUID)
	}
	return uuids
}

// newWebAppMount mounts a backend with a role "designer" that nobody has
// authorized, beside one that rotates.
func newWebAppMount(t *testing.T) *mount {
	t.Helper()
	m := newRotatingMount(t)
	m.ims.AddClient(emulator.Client{
		ID: webClientID, CredentialType: emulator.OAuthWebApp, Secrets: []string{testClientSecret}, RedirectURIs: []string{testRedirect},
	})
	m.write("config/person", map[string]any{
		"credential_type": "oauth_web_app", "redirect_uri": testRedirect, "client_id": webClientID,
		"client_secret": testClientSecret, "ims_url": m.imsURL, "max_retries": 0, "request_timeout": "1s",
	})
	m.write("roles/designer", map[string]any{"config": "person", "scopes": "openid,AdobeID,offline_access"})
	m.ims.ResetCounters()
	return m
}

func newAuthorizedMount(t *testing.T) *mount {
	t.Helper()
	m := newWebAppMount(t)
	m.signIn()
	return m
}

// beginSignIn begins a sign-in for the role "designer".
func (m *mount) beginSignIn() map[string]any {
	m.t.Helper()
	resp, err := m.handle(logical.UpdateOperation, "authorize/designer", map[string]any{})
	require.NoError(m.t, err)
	require.NoError(m.t, resp.Error())
	return resp.Data
}

// consent returns what Adobe gives to the redirect URI of a person who consents
// for the role "designer".
func (m *mount) consent(person string) (code, state string) {
	m.t.Helper()
	redirect, err := m.ims.AllowAs(m.beginSignIn()["authorize_url"].(string), person)
	require.NoError(m.t, err)
	require.True(m.t, strings.HasPrefix(redirect, testRedirect+"?"))
	return codeAndState(redirect)
}

// codeAndState are what Adobe gives to a redirect URI.
func codeAndState(redirect string) (code, state string) {
	_, query, _ := strings.Cut(redirect, "?")
	values, _ := url.ParseQuery(query)
	return values.Get("code"), values.Get("state")
}

// signIn lets a person authorize the role "designer", through the callback.
func (m *mount) signIn() {
	m.t.Helper()
	code, state := m.consent(testPerson)
	status, page := m.callback(map[string]any{"code": code, "state": state})
	require.Equal(m.t, 200, status, page)
	require.Contains(m.t, page, "Access granted")
}

func (m *mount) callback(query map[string]any) (status int, page string) {
	m.t.Helper()
	resp, err := m.handle(logical.ReadOperation, "callback", query)
	require.NoError(m.t, err)
	require.Equal(m.t, "text/html; charset=utf-8", resp.Data[logical.HTTPContentType])
	return resp.Data[logical.HTTPStatusCode].(int), string(resp.Data[logical.HTTPRawBody].([]byte))
}

func (m *mount) refreshToken() string {
	m.t.Helper()
	a, err := m.backend.authorizations.Get(m.t.Context(), "designer")
	require.NoError(m.t, err)
	require.NotNil(m.t, a)
	return string(a.RefreshToken)
}

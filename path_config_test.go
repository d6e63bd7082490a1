// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestConfigReadWrite(t *testing.T) {
	m := newMount(t)
	resp, err := m.handle(logical.ReadOperation, "config/default", nil)
	require.NoError(t, err)
	require.Nil(t, resp, "404")

	require.Nil(t, m.write("config/default", m.validConfig()), "204")
	want := map[string]any{
		"client_id":               testClientID,
		"credential_type":         "oauth_server_to_server",
		"org_id":                  "",
		"ims_url":                 m.imsURL,
		"ca_cert":                 "",
		"request_timeout":         int64(10),
		"max_retries":             0,
		"console_org_id":          "",
		"credential_id":           "",
		"allow_management_scopes": false,
		"console_url":             "https://api.adobe.io",
		"rotation_period":         int64(0),
		"rotation_schedule":       "",
		"rotation_window":         int64(0),
		"technical_account_id":    m.stored().TechnicalAccountID,
		"technical_account_email": "",
		"previous_secret_ttl":     int64(3600),
		"client_secret_uuid":      "",
		"client_secret_set_time":  "2026-11-22T09:00:00Z",
	}
	require.Equal(t, want, m.read("config/default").Data)

	// A field left out keeps its value, here and after a restart.
	m.write("config/default", map[string]any{"request_timeout": "30s", "org_id": testOrgID, "verify": false})
	want["request_timeout"], want["org_id"] = int64(30), testOrgID
	require.Equal(t, want, m.read("config/default").Data)
	m.restart()
	require.Equal(t, want, m.read("config/default").Data)

	require.Equal(t, []string{"default"}, m.list("config/"))
	_, err = m.delete("config/default")
	require.NoError(t, err)
	require.Empty(t, m.list("config/"))
	resp, err = m.handle(logical.ReadOperation, "config/default", nil)
	require.NoError(t, err)
	require.Nil(t, resp)
	_, err = m.delete("config/default")
	require.NoError(t, err, "deleting again")
}

func TestConfigDefaults(t *testing.T) {
	m := newMount(t)
	m.write("config/default", map[string]any{"client_id": "  id\n", "client_secret": " p8e-secret\n", "verify": false})
	data := m.read("config/default").Data
	require.Equal(t, "id", data["client_id"], "without the white space of a file")
	require.Equal(t, "https://ims-na1.adobelogin.com", data["ims_url"])
	require.EqualValues(t, 10, data["request_timeout"])
	require.EqualValues(t, 2, data["max_retries"])
	require.Zero(t, m.ims.Count(""), "verify=false asks nobody")
}

func TestConfigRefusals(t *testing.T) {
	m := newServingMount(t)
	before := m.read("config/default").Data
	for _, test := range []struct {
		field string
		value any
		says  string
	}{
		{"client_id", "", "required"},
		{"client_secret", " ", "required"},
		{"credential_type", "oauth_web_app", "cannot be changed"},
		{"redirect_uri", "https://vault.example/v1/adobeims/callback", "oauth_web_app only"},
		{"org_id", "23294", "console_org_id"},
		{"console_org_id", testOrgID, "not a number"},
		{"credential_id", "../x", "not an id"},
		{"request_timeout", "0s", "from 1s to 1m"},
		{"request_timeout", "5m", "from 1s to 1m"},
		{"request_timeout", "soon", "request_timeout"},
		{"request_timeout", "-1s", "request_timeout"},
		{"max_retries", 11, "from 0 to 10"},
		{"max_retries", -1, "from 0 to 10"},
		{"max_retries", "many", "max_retries"},
		{"ca_cert", "no certificate", "PEM"},
		{"ims_url", "http://example.com", "https"},
		{"ims_url", "ftp://example.com", "https"},
		{"ims_url", "example.com", "https"},
		{"ims_url", "https://user:p8e-in-url@example.com", "has a user or password in it"},
		{"ims_url", "https://example.com/ims", "more than a host"},
		{"ims_url", "https://example.com?x=1", "more than a host"},
		{"ims_url", "https://", "https"},
		{"ims_url", "https://exa mple.com", "not a URL"},
		{"ims_url", "", "https"},
		{"console_url", "http://example.com", "https"},
		{"client_secret_uuid", "not/a/uuid", "not a uuid"},
		{"rotation_period", "30d", "console_org_id"},
		{"rotation_period", "-1s", "rotation_period"},
		{"previous_secret_ttl", "later", "previous_secret_ttl"},
		{"project", "{not json", "Developer Console"},
		{"verify", "maybe", "verify"},
		{"allow_management_scopes", "maybe", "allow_management_scopes"},
	} {
		t.Run(fmt.Sprint(test.field, "=", test.value), func(t *testing.T) {
			message := m.refused(400, logical.CreateOperation, "config/default", map[string]any{test.field: test.value})
			require.Contains(t, message, test.field)
			require.Contains(t, message, test.says)
			require.NotContains(t, message, "p8e-in-url")
			require.Equal(t, before, m.read("config/default").Data, "nothing is changed")
		})
	}
	for field, other := range map[string]string{"client_id": "client_secret", "client_secret": "client_id"} {
		require.Contains(t, m.refused(400, logical.CreateOperation, "config/new", map[string]any{other: "x"}), field+": required")
	}
	require.Equal(t, []string{"default"}, m.list("config/"))
}

// Whoever may update a config must not be able to send its secret elsewhere.
func TestConfigURLChangeNeedsTheSecret(t *testing.T) {
	m := newServingMount(t)
	for _, url := range []string{"https://attacker.example", "http://127.0.0.1:1", "http://localhost:1"} {
		message := m.refused(400, logical.CreateOperation, "config/default", map[string]any{"ims_url": url, "verify": false})
		require.Contains(t, message, "ims_url")
		require.Contains(t, message, "client_secret")
	}
	require.Equal(t, m.imsURL, m.read("config/default").Data["ims_url"])
	require.Contains(t, m.refused(400, logical.CreateOperation, "config/default", map[string]any{"console_url": "https://attacker.example"}), "client_secret")
	m.write("config/default", map[string]any{"ims_url": m.imsURL + "/"}) // the same
	m.write("config/default", map[string]any{"ims_url": "https://ims.example", "client_secret": "p8e-other", "verify": false})
}

func TestConfigVerify(t *testing.T) {
	for name, test := range map[string]struct {
		fault  emulator.Fault
		status int
		says   string
	}{
		"good":          {},
		"invalid scope": {fault: emulator.Fault{Status: 400, Code: "invalid_scope"}},
		"wrong secret":  {fault: emulator.Fault{Status: 400, Code: "invalid_client"}, status: 400, says: "invalid_client"},
		"wrong grant":   {fault: emulator.Fault{Status: 400, Code: "unauthorized_client"}, status: 400, says: "unauthorized_client"},
		"failing":       {fault: emulator.Fault{Status: 500}, status: 502, says: "verify=false"},
		"overloaded":    {fault: emulator.Fault{Status: 503}, status: 503, says: "verify=false"},
		"throttled":     {fault: emulator.Fault{Status: 429}, status: 429, says: "verify=false"},
		"page":          {fault: emulator.Fault{Body: "<html>"}, status: 502, says: "verify=false"},
		"dropped":       {fault: emulator.Fault{Drop: true}, status: 502, says: "verify=false"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			if name != "good" {
				m.ims.Inject(test.fault)
			}
			if test.status == 0 {
				m.write("config/default", m.validConfig())
				require.Equal(t, 1, m.mints())
				return
			}
			message := m.refused(test.status, logical.CreateOperation, "config/default", m.validConfig())
			require.Contains(t, message, test.says)
			require.Contains(t, message, "Nothing was stored")
			require.Empty(t, m.storage.keys(t))
		})
	}
}

func TestConfigVerifyRefusesAnUpdate(t *testing.T) {
	m := newServingMount(t)
	m.refused(400, logical.CreateOperation, "config/default", map[string]any{"client_secret": "p8e-wrong"})
	require.NotEmpty(t, m.token("firefly"), "the stored secret is the one that works")
}

func TestConfigInUseIsNotDeleted(t *testing.T) {
	m := newServingMount(t)
	m.write("roles/storage", map[string]any{"scopes": "openid"})
	resp, err := m.delete("config/default")
	message := refusal(t, 400, resp, err)
	require.Contains(t, message, "firefly, storage")
	require.NotEmpty(t, m.token("firefly"))
}

func TestManagementScopesCannotBeForbiddenWhileInUse(t *testing.T) {
	m := newServingMount(t)
	m.write("config/default", map[string]any{"allow_management_scopes": true})
	m.write("roles/rotator", map[string]any{"scopes": "openid,manage_client_secrets"})
	message := m.refused(400, logical.CreateOperation, "config/default", map[string]any{"allow_management_scopes": false})
	require.Contains(t, message, "rotator")
}

func TestConfigCACert(t *testing.T) {
	m := newMount(t)
	server := httptest.NewUnstartedServer(m.ims)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused handshakes
	server.StartTLS()
	defer server.Close()
	config := m.validConfig()
	config["ims_url"] = server.URL
	message := m.refused(http.StatusBadGateway, logical.CreateOperation, "config/default", config)
	require.Contains(t, message, "certificate")
	config["ca_cert"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	m.write("config/default", config)
}

func TestConfigStorageFailures(t *testing.T) {
	broken := errors.New("storage is broken")
	for name, test := range map[string]struct {
		op      string
		request func(m *mount) (*logical.Response, error)
	}{
		"reading": {"get", func(m *mount) (*logical.Response, error) {
			return m.handle(logical.ReadOperation, "config/default", nil)
		}},
		"listing": {"list", func(m *mount) (*logical.Response, error) { return m.handle(logical.ListOperation, "config/", nil) }},
		"checking": {"get", func(m *mount) (*logical.Response, error) {
			return m.handle(logical.CreateOperation, "config/default", nil)
		}},
		"loading": {"get", func(m *mount) (*logical.Response, error) {
			return m.handle(logical.UpdateOperation, "config/default", nil)
		}},
		"writing": {"put", func(m *mount) (*logical.Response, error) {
			return m.handle(logical.UpdateOperation, "config/default", map[string]any{"max_retries": 5})
		}},
		"checking roles": {"none", func(m *mount) (*logical.Response, error) {
			m.write("config/default", map[string]any{"allow_management_scopes": true})
			m.storage.failOn("list", "role/", broken)
			_, err := m.handle(logical.UpdateOperation, "config/default", map[string]any{"allow_management_scopes": false})
			m.storage.heal()
			m.write("config/default", map[string]any{"allow_management_scopes": false})
			return nil, err
		}},
		"loading roles": {"get", func(m *mount) (*logical.Response, error) { return m.delete("config/default") }},
		"deleting": {"delete", func(m *mount) (*logical.Response, error) {
			if _, err := m.delete("roles/firefly"); err != nil {
				return nil, err
			}
			return m.delete("config/default")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newServingMount(t)
			before := m.read("config/default").Data
			m.restart()
			m.storage.failOn(test.op, "", broken)
			_, err := test.request(m)
			require.Equal(t, broken, err, "as it came")
			m.storage.heal()
			require.Equal(t, before, m.read("config/default").Data)
		})
	}
}

func (m *mount) list(path string) []string {
	m.t.Helper()
	resp, err := m.handle(logical.ListOperation, path, nil)
	require.NoError(m.t, err)
	keys, _ := resp.Data["keys"].([]string)
	return keys
}

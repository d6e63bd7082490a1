// SPDX-License-Identifier: MPL-2.0

package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

const wrongSecret = "p8e-another-never-to-be-seen"

// refusal is a request that cannot be, and what an operator is told.
type refusal struct {
	name   string
	do     func(*api.Logical) (*api.Secret, error)
	status int
	words  []string
}

func writes(path string, data vaulttest.Data) func(*api.Logical) (*api.Secret, error) {
	return func(l *api.Logical) (*api.Secret, error) { return l.Write(path, data) }
}

func reads(path string) func(*api.Logical) (*api.Secret, error) {
	return func(l *api.Logical) (*api.Secret, error) { return l.Read(path) }
}

func deletes(path string) func(*api.Logical) (*api.Secret, error) {
	return func(l *api.Logical) (*api.Secret, error) { return l.Delete(path) }
}

// twoCredentials is a project of the Developer Console that cannot be imported as it is.
const twoCredentials = `{"project":{"org":{"id":"1","ims_org_id":"A@AdobeOrg"},"workspace":{"details":{"credentials":[
	{"id":"1","name":"Reports","oauth_server_to_server":{"client_id":"reports-id","client_secrets":["` + wrongSecret + `"]}},
	{"id":"2","name":"Images","oauth_server_to_server":{"client_id":"images-id","client_secrets":["` + wrongSecret + `"]}}]}}}}`

// credential is what a config needs, with other fields in addition or in place of its own.
func credential(imsURL string, other vaulttest.Data) vaulttest.Data {
	data := vaulttest.Data{"client_id": clientID, "client_secret": clientSecret, "ims_url": imsURL, "org_id": orgID}
	for name, value := range other {
		data[name] = value
	}
	return data
}

func refusals(url string) []refusal {
	created := func(other vaulttest.Data) func(*api.Logical) (*api.Secret, error) {
		return writes("adobeims/config/new", credential(url, other))
	}
	updated := func(data vaulttest.Data) func(*api.Logical) (*api.Secret, error) { return writes(configPath, data) }
	role := func(data vaulttest.Data) func(*api.Logical) (*api.Secret, error) {
		return writes("adobeims/roles/new", data)
	}
	return []refusal{
		{"wrong secret", created(vaulttest.Data{"client_secret": wrongSecret}), 400, []string{"invalid_client", "client_secret", "x-debug-id", "Nothing was stored"}},
		{"wrong secret in an update", updated(vaulttest.Data{"client_secret": wrongSecret}), 400, []string{"invalid_client", "Nothing was stored"}},
		{"no secret", writes("adobeims/config/new", vaulttest.Data{"client_id": clientID}), 400, []string{"client_secret: required"}},
		{"no client", writes("adobeims/config/new", vaulttest.Data{"client_secret": clientSecret}), 400, []string{"client_id: required"}},
		{"IMS without TLS", created(vaulttest.Data{"ims_url": "http://example.com"}), 400, []string{"ims_url", "https"}},
		{"IMS that is not there", created(vaulttest.Data{"ims_url": "http://127.0.0.1:1"}), 502, []string{"connection refused", "Nothing was stored", "verify=false"}},
		{"another IMS for the stored secret", updated(vaulttest.Data{"ims_url": "https://ims.example.com"}), 400, []string{"ims_url", "give client_secret again"}},
		{"project that is no JSON", writes("adobeims/config/new", vaulttest.Data{"project": "client_secret=" + wrongSecret}), 400, []string{"project", "Developer Console"}},
		{"project with two credentials", writes("adobeims/config/new", vaulttest.Data{"project": twoCredentials}), 400, []string{"project", `"Reports" (client_id reports-id)`, `"Images" (client_id images-id)`}},
		{"time-out that is no duration", created(vaulttest.Data{"request_timeout": "soon"}), 400, []string{"request_timeout"}},
		{"time-out that is too long", created(vaulttest.Data{"request_timeout": "1h"}), 400, []string{"request_timeout", "from 1s to 1m"}},
		{"negative time-out", created(vaulttest.Data{"request_timeout": "-5s"}), 400, []string{"request_timeout"}},
		{"retries that are no number", created(vaulttest.Data{"max_retries": "many"}), 400, []string{"max_retries"}},
		{"retries out of range", created(vaulttest.Data{"max_retries": 11}), 400, []string{"max_retries", "from 0 to 10"}},
		{"organisation of the console", created(vaulttest.Data{"org_id": "1234567"}), 400, []string{"org_id", "@AdobeOrg"}},
		{"unknown credential type", created(vaulttest.Data{"credential_type": "jwt"}), 400, []string{"credential_type", "oauth_server_to_server"}},
		{"certificate that is none", created(vaulttest.Data{"ca_cert": "nothing"}), 400, []string{"ca_cert", "PEM"}},
		{"config in use", deletes(configPath), 400, []string{"in use", "firefly"}},

		{"no scopes", role(nil), 400, []string{"scopes"}},
		{"empty scopes", role(vaulttest.Data{"scopes": " , "}), 400, []string{"scopes"}},
		{"role without config", role(vaulttest.Data{"scopes": "openid", "config": "missing"}), 400, []string{`config: "missing" does not exist`, "config/missing"}},
		{"management scope", role(vaulttest.Data{"scopes": "manage_client_secrets"}), 400, []string{"scopes", "allow_management_scopes=true"}},
		{"exclusive without a lease", role(vaulttest.Data{"scopes": "openid", "exclusive": true, "leased": false}), 400, []string{"leased"}},
		{"min_ttl that is no duration", role(vaulttest.Data{"scopes": "openid", "min_ttl": "soon"}), 400, []string{"min_ttl"}},
		{"max_ttl that is no duration", role(vaulttest.Data{"scopes": "openid", "max_ttl": "1 hour"}), 400, []string{"max_ttl"}},
		{"negative max_ttl", role(vaulttest.Data{"scopes": "openid", "max_ttl": "-1h"}), 400, []string{"max_ttl"}},
		{"bad duration in an update", writes(rolePath, vaulttest.Data{"min_ttl": "soon"}), 400, []string{"min_ttl"}},
		{"leased that is neither true nor false", role(vaulttest.Data{"scopes": "openid", "leased": "maybe"}), 400, []string{"leased"}},

		{"token of no role", reads("adobeims/token/unknown"), 400, []string{`role "unknown" does not exist`}},
		{"status of no role", reads("adobeims/status/unknown"), 400, []string{`role "unknown" does not exist`}},
		{"tokens of no role deleted", deletes("adobeims/token/unknown"), 400, []string{`role "unknown" does not exist`}},
	}
}

// What cannot be is refused with the right status and words that help, and nothing is stored or changed.
func TestRefusals(t *testing.T) {
	t.Parallel()
	ims := startAdobe(t, time.Hour)
	vault := vaulttest.Start(t, vaulttest.Options{Audit: true})
	ims.configure(t, vault)
	token := readToken(t, vault)
	before := stored(t, vault)

	for _, r := range refusals(ims.URL) {
		t.Run(r.name, func(t *testing.T) {
			_, err := r.do(vault.Client(t).Logical())
			requireStatus(t, r.status, err, r.name)
			for _, words := range r.words {
				require.ErrorContains(t, err, words)
			}
			for _, secret := range []string{clientSecret, wrongSecret, token} {
				require.NotContains(t, err.Error(), secret)
			}
			require.Equal(t, before, stored(t, vault))
		})
	}
	require.Equal(t, token, readToken(t, vault), "the old values work as before")
	vault.RequireNotLogged(t, clientSecret, wrongSecret, token)
}

// stored is what can be read of all configs and roles.
func stored(t *testing.T, s *vaulttest.Server) string {
	t.Helper()
	var all strings.Builder
	for _, kind := range []string{"adobeims/config", "adobeims/roles"} {
		for _, name := range s.List(t, kind) {
			fmt.Fprintln(&all, kind, name, s.Read(t, kind+"/"+name).Data)
		}
	}
	return all.String()
}

// nonsense is an answer of IMS that is no token, with one in it that must not show.
type nonsense struct {
	name  string
	begin func(*adobe)
	words string
}

const leaked = "eyJ-a-token-in-a-broken-answer"

var nonsenses = []nonsense{
	{"a life of 0", life(0), "expires_in is 0"},
	{"a negative life", life(-1), "expires_in is -1"},
	{"a life in words", life("soon"), "expires_in"},
	{"no token", alters(func(answer map[string]any) { delete(answer, "access_token") }), "access_token"},
	{"a token that has expired", claims(func(c map[string]any) { c["created_at"] = "1000" }), "expired"},
	{"a page", answers(emulator.Fault{Body: "<html>" + leaked, ContentType: "text/html"}), "instead of Adobe"},
	{"5 MiB", answers(emulator.Fault{Body: `{"access_token":"` + leaked, Size: 5 << 20}), "larger than 1048576 bytes"},
	{"half an answer", answers(emulator.Fault{Body: `{"access_token":"` + leaked, Truncate: true}), "reading the answer: unexpected EOF"},
	{"broken JSON", answers(emulator.Fault{Body: `{"access_token":"` + leaked + `","expires_in":`}), "instead of Adobe"},
	{"a redirect", answers(emulator.Fault{Redirect: "https://example.com/?token=" + leaked}), "a redirect, which is not followed"},
}

func alters(alter func(map[string]any)) func(*adobe) {
	return func(a *adobe) { a.AlterToken(alter) }
}

func life(value any) func(*adobe) {
	return alters(func(answer map[string]any) { answer["expires_in"] = value })
}

func claims(alter func(map[string]any)) func(*adobe) {
	return func(a *adobe) { a.AlterClaims(alter) }
}

func answers(fault emulator.Fault) func(*adobe) {
	fault.Path = emulator.TokenPath
	return func(a *adobe) { a.Inject(fault) }
}

// Whatever IMS answers, a reader gets a token that lives or an error, and never the answer.
func TestNonsenseFromIMS(t *testing.T) {
	t.Parallel()
	ims := startAdobe(t, time.Hour)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)
	vault.Write(t, configPath, vaulttest.Data{"max_retries": 0})

	for i, n := range nonsenses {
		t.Run(n.name, func(t *testing.T) {
			role := fmt.Sprintf("nonsense-%d", i) // one that is not backing off
			vault.Write(t, "adobeims/roles/"+role, vaulttest.Data{"scopes": "openid", "verify": false})
			n.begin(ims)
			defer func() {
				ims.ClearFaults()
				ims.AlterToken(nil)
				ims.AlterClaims(nil)
			}()
			_, err := vault.Client(t).Logical().Read("adobeims/token/" + role)
			requireStatus(t, http.StatusBadGateway, err, n.name)
			require.ErrorContains(t, err, n.words)
			require.Regexp(t, timestamp, err.Error(), "when IMS is asked again")
			require.NotContains(t, err.Error(), leaked)
			require.NotContains(t, err.Error(), clientSecret)
		})
	}
	require.Empty(t, vault.List(t, "sys/leases/lookup/adobeims/token"), "no lease of a token that is none")
	vault.RequireNotLogged(t, clientSecret, leaked)
}

// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

const (
	clientOne = "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"
	clientTwo = "c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2"
	clientWeb = "e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1"
	clientJWT = "d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1"
)

func projectFile(t *testing.T, name string) string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("testdata", "projects", name+".json"))
	require.NoError(t, err)
	return string(file)
}

// serverOne is what the files of this credential hold.
func serverOne(change func(*Imported)) *Imported {
	imported := &Imported{
		Type:                  ServerToServer,
		ClientID:              clientOne,
		Secrets:               []secret.Secret{"p8e-one"},
		OrgID:                 "1A2B3C@AdobeOrg",
		ConsoleOrgID:          "4711",
		CredentialID:          "900001",
		TechnicalAccountID:    "X@techacct.adobe.com",
		TechnicalAccountEmail: "x@techacct.adobe.com",
		Scopes:                []string{"openid", "AdobeID"},
	}
	if change != nil {
		change(imported)
	}
	return imported
}

func webOne() *Imported {
	return &Imported{
		Type: WebApp, ClientID: clientWeb, Secrets: []secret.Secret{"p8e-web"}, OrgID: "1A2B3C@AdobeOrg",
		ConsoleOrgID: "4711", CredentialID: "900003", RedirectURI: "https://app.example.com/cb",
	}
}

func TestImportOfTheConsolesFiles(t *testing.T) {
	bare := func(secrets ...secret.Secret) *Imported {
		return &Imported{Type: ServerToServer, ClientID: clientOne, Secrets: secrets, OrgID: "1A2B3C@AdobeOrg", ConsoleOrgID: "4711", CredentialID: "1"}
	}
	for _, test := range []struct {
		file     string
		want     Type // "": server-to-server
		clientID string
		imported *Imported
		says     []string // refused
	}{
		{file: "s2s-only", imported: serverOne(nil)},
		{file: "s2s-among-others", imported: serverOne(nil)},
		{file: "s2s-among-others", want: WebApp, imported: webOne()},
		{file: "array", imported: serverOne(nil)},
		{file: "bom", imported: serverOne(nil)},
		{file: "crlf", imported: serverOne(nil)},
		{file: "wrapped-twice", imported: serverOne(nil)},
		{file: "unknown-fields", imported: serverOne(nil)},
		{file: "ids-as-numbers", imported: serverOne(nil)},
		{file: "migrating-jwt-to-s2s", imported: serverOne(nil)},
		{file: "migrating-secret-missing", imported: serverOne(func(i *Imported) { i.Secrets = nil })},
		{file: "two-secrets", imported: serverOne(func(i *Imported) { i.Secrets = []secret.Secret{"p8e-old", "p8e-new"} })},
		{file: "no-ims-org", imported: serverOne(func(i *Imported) { i.OrgID = "" })},
		{file: "org-missing", imported: serverOne(func(i *Imported) { i.OrgID, i.ConsoleOrgID = "", "" })},
		{file: "credential-download", imported: serverOne(func(i *Imported) { i.ConsoleOrgID, i.CredentialID = "", "" })},
		{file: "secrets-as-objects", imported: bare("p8e-x")},
		{file: "secrets-as-string", imported: bare("p8e-x")},
		{file: "two-s2s-no-choice", clientID: clientOne, imported: serverOne(nil)},
		{file: "two-s2s-no-choice", clientID: clientTwo, imported: serverOne(func(i *Imported) { i.ClientID, i.CredentialID = clientTwo, "900006" })},
		{file: "two-s2s-no-choice", says: []string{"more than one", `"Server One" (client_id ` + clientOne + `)`, `"Server Two" (client_id ` + clientTwo + `)`, "client_id="}},
		{file: "two-s2s-no-choice", clientID: "another", says: []string{`client_id "another"`, clientOne, clientTwo}},
		{file: "s2s-only", clientID: clientTwo, says: []string{clientTwo, clientOne, "none of the file's"}},
		{file: "s2s-only", want: WebApp, says: []string{"no OAuth Web App", clientOne, "credential_type=oauth_server_to_server"}},
		{file: "web-only", want: WebApp, imported: webOne()},
		{file: "web-only", says: []string{"no OAuth Server-to-Server", clientWeb, "credential_type=oauth_web_app"}},
		{file: "s2s-among-others", clientID: clientWeb, says: []string{clientWeb, "of the type OAuth Web App", clientOne}},
		{file: "jwt-only", says: []string{"Service Account (JWT)", clientJWT, "2026-03-01"}},
		{file: "jwt-only", clientID: clientJWT, says: []string{"2026-03-01"}},
		{file: "no-credentials", says: []string{"has no credential"}},
		{file: "credentials-null", says: []string{"has no credential"}},
		{file: "details-missing", says: []string{"has no credential"}},
		{file: "null", says: []string{"neither a project nor a credential", "Download"}},
		{file: "aem-service-credentials", says: []string{"AEM Developer Console", "Download"}},
	} {
		want := test.want
		if want == "" {
			want = ServerToServer
		}
		t.Run(test.file+"/"+string(want)+"/"+test.clientID, func(t *testing.T) {
			file := projectFile(t, test.file)
			imported, err := Import(file, want, test.clientID)
			if test.imported == nil {
				requireRefusedImport(t, err, test.says...)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.imported, imported)

			// The same file as a request's body, which was decoded and encoded
			// again.
			var decoded any
			require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(file, "\uFEFF")), &decoded))
			again, err := json.Marshal(map[string]any{"project": string(mustJSON(t, decoded)), "verify": true})
			require.NoError(t, err)
			imported, err = Import(string(again), want, test.clientID)
			require.NoError(t, err)
			require.Equal(t, test.imported, imported)
		})
	}
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	encoded, err := json.Marshal(value)
	require.NoError(t, err)
	return encoded
}

func requireRefusedImport(t *testing.T, err error, says ...string) {
	t.Helper()
	var advised *advice.Error
	require.ErrorAs(t, err, &advised)
	require.Contains(t, err.Error(), "project: ")
	require.NotContains(t, err.Error(), "p8e-")
	for _, words := range says {
		require.Contains(t, err.Error(), words)
	}
}

// project is a project's file with the credentials.
func project(credentials string) string {
	return `{"project": {"org": {"id": "4711", "ims_org_id": "1A2B3C@AdobeOrg"}, "workspace": {"details": {"credentials": [` + credentials + `]}}}}`
}

func TestImportOfOtherFiles(t *testing.T) {
	web := func(details string) string {
		return project(`{"id": "900003", "integration_type": "oauthweb", "oauth2": {"client_id": "` + clientWeb + `", "client_secret": "p8e-web"` + details + `}}`)
	}
	withRedirect := func(uri string) *Imported {
		imported := webOne()
		imported.RedirectURI = uri
		return imported
	}
	for name, test := range map[string]struct {
		file     string
		want     Type
		imported *Imported
		says     []string
	}{
		"empty":                      {says: []string{"not a JSON file", "project=@file.json"}},
		"the name of a file":         {file: "project.json", says: []string{"project=@file.json"}},
		"two values":                 {file: projectFile(t, "s2s-only") + projectFile(t, "s2s-only"), says: []string{"not a JSON file"}},
		"a secret by itself":         {file: "p8e-one", says: []string{"not a JSON file"}},
		"too large":                  {file: strings.Repeat(" ", 300<<10), says: []string{"bytes; 262144 is the limit"}},
		"deep":                       {file: strings.Repeat("[", 9000) + strings.Repeat("]", 9000), says: []string{"neither a project nor"}},
		"JSON of something else":     {file: `{"a": 1, "b": "x"}`, says: []string{"neither a project nor"}},
		"a context of Adobe's tools": {file: `{"client_id": "` + clientOne + `", "client_secrets": ["p8e-one"], "ims_org_id": "1A2B3C@AdobeOrg"}`, says: []string{"command-line tools"}},
		"a config of Adobe's tools":  {file: `{"ims": {"contexts": {"x": {"client_id": "` + clientOne + `", "client_secret": "p8e-one"}}}, "console": {"project": {"workspace": {}}}}`, says: []string{"command-line tools"}},
		"the tools' .aio":            {file: project(`{"id": "1", "name": "n", "integration_type": "oauth_server_to_server"}`), says: []string{".aio", "command-line tools"}},
		"an app in the browser": {
			file: project(`{"id": "1", "name": "Spa", "integration_type": "oauthsinglepageapp", "oauth2": {"client_id": "a2", "defaultRedirectUri": "https://a.example"}}`),
			want: WebApp, says: []string{"no client secret", `"Spa"`, "Single Page App"},
		},
		"an app without a type or a secret": {
			file: project(`{"id": "1", "oauth2": {"client_id": "a2"}}`),
			want: WebApp, says: []string{"no client secret"},
		},
		"an API key":        {file: project(`{"id": "9", "name": "Key", "integration_type": "apikey", "api_key": {"client_id": "f1"}}`), says: []string{"API Key", `"Key"`}},
		"something unknown": {file: project(`{"id": "9", "name": "X", "integration_type": "x", "x": {"client_id": "f1", "client_secret": "p8e-x"}}`), says: []string{`other "X"`}},
		"without a client ID": {
			file: project(`{"id": "9", "oauth_server_to_server": {"client_id": null, "client_secrets": ["p8e-x"]}}`),
			says: []string{"has no client_id"},
		},
		"nothing but one credential": {
			file:     `{"id": "1", "integration_type": "oauth_server_to_server", "oauth_server_to_server": {"client_id": "c1", "client_secrets": ["p8e-x"]}}`,
			imported: &Imported{Type: ServerToServer, ClientID: "c1", Secrets: []secret.Secret{"p8e-x"}, CredentialID: "1"},
		},
		"null ids": {
			file:     project(`{"id": null, "oauth_server_to_server": {"client_id": "c1", "client_secrets": null, "technical_account_id": null, "scopes": null}}`),
			imported: &Imported{Type: ServerToServer, ClientID: "c1", OrgID: "1A2B3C@AdobeOrg", ConsoleOrgID: "4711"},
		},
		"white space around the values": {
			file: project(`{"id": " 1\n", "oauth_server_to_server": {"client_id": "\tc1 ", "client_secrets": [" p8e-x\r\n", "p8e-x", " "], "scopes": "openid, AdobeID"}}`),
			imported: &Imported{Type: ServerToServer, ClientID: "c1", Secrets: []secret.Secret{"p8e-x"}, OrgID: "1A2B3C@AdobeOrg",
				ConsoleOrgID: "4711", CredentialID: "1", Scopes: []string{"openid", "AdobeID"}},
		},
		"the same credential twice": {
			file: project(`{"id": "1", "oauth_server_to_server": {"client_id": "c1"}}, {"id": "1", "oauth_server_to_server": {"client_id": "c1"}}`),
			imported: &Imported{Type: ServerToServer, ClientID: "c1", OrgID: "1A2B3C@AdobeOrg",
				ConsoleOrgID: "4711", CredentialID: "1"},
		},
		"what cannot be seen": {
			file: project(`{"id": "1", "oauth_server_to_server": {"client_id": "c1", "client_secrets": ["p8e-\u200bx"]}}`),
			says: []string{"project: client_secrets: has the character U+200B"},
		},
		"what cannot be seen, in a name and in another credential": {
			file: project(`{"id": "2", "oauth2": {"client_id": "c\u200b", "client_secret": "p8e-x"}},
				{"id": "1", "name": "a\u200db", "oauth_server_to_server": {"client_id": "c1"}}`),
			imported: &Imported{Type: ServerToServer, ClientID: "c1", OrgID: "1A2B3C@AdobeOrg", ConsoleOrgID: "4711", CredentialID: "1"},
		},
		"too many secrets": {
			file: project(`{"id": "1", "oauth_server_to_server": {"client_id": "c1", "client_secrets": ["p8e-1", "p8e-2", "p8e-3", "p8e-4", "p8e-5"]}}`),
			says: []string{"lists 5 client secrets"},
		},
		"a client secret that is too long": {
			file: project(`{"id": "1", "oauth_server_to_server": {"client_id": "c1", "client_secrets": "` + strings.Repeat("p8e-", 1000) + `"}}`),
			says: []string{"client_secrets: has 4000 bytes; 1024 is the limit"},
		},
		"the first redirect URI that is no pattern": {
			file: web(`, "redirect_uri": ["https://a\\.example/.*", "https://b.example/cb", "https://c.example/cb"]`),
			want: WebApp, imported: withRedirect("https://b.example/cb"),
		},
		"a redirect URI that is a single text": {
			file: web(`, "redirect_uri": "https://b.example/cb?x=1"`),
			want: WebApp, imported: withRedirect("https://b.example/cb?x=1"),
		},
		"redirect URIs that are patterns": {
			file: web(`, "defaultRedirectUri": "https://*.example", "redirect_uri": ["https://a\\.example"]`),
			want: WebApp, imported: withRedirect(""),
		},
		"a web app's own file": {
			file:     `{"TYPE": "oauthwebapp", "CLIENT_ID": "e1", "CLIENT_SECRET": "p8e-web", "DEFAULT_REDIRECT_URI": "https://b.example/cb"}`,
			want:     WebApp,
			imported: &Imported{Type: WebApp, ClientID: "e1", Secrets: []secret.Secret{"p8e-web"}, RedirectURI: "https://b.example/cb"},
		},
		"a credential's own file of another type": {file: `{"TYPE": "oauthsinglepageapp", "CLIENT_ID": "e1"}`, says: []string{"no client secret"}},
		"a credential's own file without its type": {
			file:     `{"CLIENT_ID": "c1", "CLIENT_SECRETS": ["p8e-x"]}`,
			imported: &Imported{Type: ServerToServer, ClientID: "c1", Secrets: []secret.Secret{"p8e-x"}},
		},
		"the file of a JWT credential": {
			file: `{"API_KEY": "d1", "CLIENT_SECRET": "p8e-jwt", "TECHNICAL_ACCOUNT_ID": "x", "ORG_ID": "1A2B3C@AdobeOrg"}`,
			says: []string{"JWT", "2026-03-01"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := test.want
			if want == "" {
				want = ServerToServer
			}
			imported, err := Import(test.file, want, "")
			if test.imported == nil {
				requireRefusedImport(t, err, test.says...)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.imported, imported)
		})
	}
}

func TestImportNamesUTF16(t *testing.T) {
	raw := []byte{0xFF, 0xFE}
	for _, unit := range utf16.Encode([]rune(projectFile(t, "s2s-only"))) {
		raw = append(raw, byte(unit&0xFF), byte(unit>>8))
	}
	_, err := Import(string(raw), ServerToServer, "")
	requireRefusedImport(t, err, "UTF-16", "UTF-8")
}

// What is listed must not grow with the file.
func TestImportListsNoMoreThanCanBeRead(t *testing.T) {
	var all []string
	for i := range 300 {
		all = append(all, `{"name": "`+strings.Repeat("n", 500)+`", "oauth_server_to_server": {"client_id": "c`+strings.Repeat("x", i%9)+string(rune('a'+i%26))+`"}}`)
	}
	_, err := Import(project(strings.Join(all, ",")), ServerToServer, "")
	requireRefusedImport(t, err, "more than one")
	require.Less(t, len(err.Error()), 8<<10)
}

func TestImportTakesTheClientIDAsPeoplePasteIt(t *testing.T) {
	imported, err := Import(projectFile(t, "two-s2s-no-choice"), ServerToServer, "\uFEFF"+clientTwo+"\r\n")
	require.NoError(t, err)
	require.Equal(t, clientTwo, imported.ClientID)
	_, err = Import(projectFile(t, "two-s2s-no-choice"), ServerToServer, clientTwo+"\u200B")
	require.ErrorContains(t, err, "client_id: has the character U+200B")
}

func TestImportOfAnUnknownType(t *testing.T) {
	_, err := Import(projectFile(t, "s2s-only"), "p8e-oops", "")
	require.ErrorContains(t, err, "credential_type: ")
	require.NotContains(t, err.Error(), "p8e-")
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func projectJSON(credentials ...string) string {
	return fmt.Sprintf(`{"project":{"id":"4566206088344","name":"demo","org":{"id":"23294","name":"Org","ims_org_id":%q},
		"workspace":{"id":"1","name":"Production","details":{"credentials":[%s]}}}}`, testOrgID, strings.Join(credentials, ","))
}

func projectS2S(id, name, clientID, secret string) string {
	return fmt.Sprintf(`{"id":%s,"name":%q,"integration_type":"oauth_server_to_server","oauth_server_to_server":{
		"client_id":%q,"client_secrets":[%q],"technical_account_email":"x@techacct.adobe.com","scopes":["openid"]}}`, id, name, clientID, secret)
}

const projectAPIKey = `{"id":"9","name":"key","integration_type":"apikey","api_key":{"client_id":"key"}}`

func TestConfigFromProject(t *testing.T) {
	ours := projectS2S(`"436084"`, "ours", testClientID, testClientSecret)
	other := projectS2S(`436085`, "other", "other", "p8e-other")
	for name, test := range map[string]struct {
		project  string
		given    map[string]any
		clientID string // "": refused
		credID   string
		says     string
	}{
		"one credential":        {project: projectJSON(ours), clientID: testClientID, credID: "436084"},
		"an API key beside it":  {project: projectJSON(projectAPIKey, ours), clientID: testClientID, credID: "436084"},
		"number as id":          {project: projectJSON(other), clientID: "other", credID: "436085"},
		"explicit fields win":   {project: projectJSON(other), given: map[string]any{"client_id": testClientID, "credential_id": "7"}, clientID: testClientID, credID: "7"},
		"more than one":         {project: projectJSON(ours, other), says: `"ours" (client_id ` + testClientID + `), "other" (client_id other)`},
		"more than one, picked": {project: projectJSON(other, ours), given: map[string]any{"client_id": testClientID}, clientID: testClientID, credID: "436084"},
		"none":                  {project: projectJSON(projectAPIKey), says: "no OAuth Server-to-Server credential"},
		"not a project":         {project: `{"a":1}`, says: "no OAuth Server-to-Server credential"},
		"not JSON":              {project: `client_secret=` + testClientSecret, says: "not the JSON file"},
		"an empty file":         {project: "", says: "not the JSON file"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			data := map[string]any{"project": test.project, "ims_url": m.imsURL, "verify": false}
			for k, v := range test.given {
				data[k] = v
			}
			if test.clientID == "" {
				message := m.refused(400, logical.CreateOperation, "config/default", data)
				require.Contains(t, message, "project: ")
				require.Contains(t, message, test.says)
				require.NotContains(t, message, "p8e-")
				require.Empty(t, m.storage.keys(t))
				return
			}
			m.write("config/default", data)
			read := m.read("config/default").Data
			require.Equal(t, test.clientID, read["client_id"])
			require.Equal(t, test.credID, read["credential_id"])
			require.Equal(t, testOrgID, read["org_id"])
			require.Equal(t, "23294", read["console_org_id"])
		})
	}
}

// A project file carries a secret, so it may change the address of IMS, too.
func TestConfigFromProjectIsVerified(t *testing.T) {
	m := newMount(t)
	m.write("config/default", map[string]any{"project": projectJSON(projectS2S("1", "ours", testClientID, testClientSecret)), "ims_url": m.imsURL})
	m.write("roles/r", map[string]any{"scopes": "openid"})
	require.NotEmpty(t, m.token("r"))
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// newFullMount mounts a backend whose configs and roles have no field at its
// default that can have another value.
func newFullMount(t *testing.T) *mount {
	t.Helper()
	m := newWebAppMount(t)
	m.write("config/default", map[string]any{
		"org_id": testOrgID, "request_timeout": "3s", "max_retries": 1, "allow_management_scopes": true,
		"rotation_schedule": "0 3 1 * *", "rotation_window": "2h", "previous_secret_ttl": "2h",
		"technical_account_id": "A@techacct.adobe.com", "technical_account_email": "a@techacct.adobe.com",
		"client_secret_uuid": m.uuids()[0],
	})
	m.write("roles/firefly", map[string]any{"min_ttl": 60, "max_ttl": 120, "leased": false})
	m.write("roles/single", map[string]any{"scopes": "openid", "exclusive": true, "verify": false})
	m.quiet()
	return m
}

// quiet forgets what was asked and stored so far.
func (m *mount) quiet() {
	m.ims.ResetCounters()
	m.storage.reset()
}

// requireNothingDone wants IMS not to have been asked and nothing to be stored.
func (m *mount) requireNothingDone(what string) {
	m.t.Helper()
	require.Zero(m.t, m.ims.Count(""), "%s: IMS was asked", what)
	require.Zero(m.t, m.storage.count("put", "delete"), "%s: something was stored", what)
}

func (m *mount) path(name string) *framework.Path {
	m.t.Helper()
	path := m.backend.Route(name)
	require.NotNil(m.t, path, name)
	return path
}

// As Terraform's jsonencode sends an optional variable that is not set.
func TestNullIsLeftOut(t *testing.T) {
	m := newFullMount(t)
	fields := 0
	for _, path := range []string{"config/default", "config/person", "roles/firefly", "roles/single", "roles/designer"} {
		before := m.read(path).Data
		all := map[string]any{}
		for name := range m.path(path).Fields {
			if name == "name" {
				continue
			}
			all[name], fields = nil, fields+1
			require.Nil(t, m.write(path, map[string]any{name: nil}), "%s %s: 204", path, name)
			require.Equal(t, before, m.read(path).Data, "%s %s", path, name)
		}
		require.Nil(t, m.write(path, all), path)
		require.Equal(t, before, m.read(path).Data, "%s, all at once", path)
	}
	require.Greater(t, fields, 2*20+3*7, "every field of every path")
	m.requireNothingDone("null")

	t.Run("verify", func(t *testing.T) {
		message := m.refused(400, logical.UpdateOperation, "config/default", map[string]any{"client_secret": "p8e-wrong", "verify": nil})
		require.Contains(t, message, "Nothing was stored")
		m.ims.AddClient(emulator.Client{ID: testClientID, Secrets: []string{testClientSecret}, Scopes: []string{"openid"}})
		message = m.refused(400, logical.UpdateOperation, "roles/firefly", map[string]any{"scopes": "openid,unheard_of", "verify": nil})
		require.Contains(t, message, "unheard_of")
	})
	t.Run("what is required", func(t *testing.T) {
		for path, says := range map[string]string{"config/new": "client_id: required", "roles/new": "scopes: at least one"} {
			all := map[string]any{}
			for name := range m.path(path).Fields {
				all[name] = nil
			}
			delete(all, "name")
			require.Contains(t, m.refused(400, logical.CreateOperation, path, all), says)
		}
	})
	t.Run("authorize", func(t *testing.T) {
		all := map[string]any{"code": nil, "state": nil, "refresh_token": nil, "replace": nil}
		resp, err := m.handle(logical.UpdateOperation, "authorize/designer", all)
		require.NoError(t, err)
		require.NotEmpty(t, resp.Data["authorize_url"], "it begins a sign-in")
		code, state := m.consent(testPerson)
		all["code"], all["state"] = code, state
		resp, err = m.handle(logical.UpdateOperation, "authorize/designer", all)
		require.NoError(t, err)
		require.NoError(t, resp.Error())
		require.NotEmpty(t, m.token("designer"))
	})
	t.Run("lookup", func(t *testing.T) {
		require.Contains(t, m.refused(400, logical.UpdateOperation, "lookup", map[string]any{"token": nil}), "token: required")
	})
	t.Run("rotate", func(t *testing.T) {
		require.Contains(t, m.refused(400, logical.UpdateOperation, "config/person/rotate", map[string]any{"force": nil}), "no rotation")
	})
}

// textFields are the fields of each path that are a text of one line.
func (m *mount) textFields(path string) (names []string) {
	for name, schema := range m.path(path).Fields {
		if schema.Type == framework.TypeString && !slices.Contains([]string{"name", "role", "project", "ca_cert"}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// What cannot be seen is refused by its number, in every text, and never quoted.
func TestInvisibleCharacters(t *testing.T) {
	m := newFullMount(t)
	tried := 0
	for _, path := range []string{"config/default", "roles/firefly", "authorize/designer", "lookup"} {
		for _, name := range m.textFields(path) {
			for _, character := range []rune{0x200B, 0x202E, 0x00AD, 0x0007} {
				tried++
				message := m.refused(400, logical.UpdateOperation, path, map[string]any{name: "p8e-in" + string(character) + "side"})
				require.True(t, strings.HasPrefix(message, fmt.Sprintf("%s: has the character U+%04X", name, character)), "%s: %s", path, message)
				require.NotContains(t, message, "p8e-in")
				require.NotContains(t, message, "side:")
			}
		}
	}
	require.Equal(t, 4*(13+1+3+1), tried)
	m.requireNothingDone("invisible characters")
}

// Some editors put a mark at the beginning of a file, which @ reads along.
func TestByteOrderMark(t *testing.T) {
	const mark = "\uFEFF"
	m := newMount(t)
	config := m.validConfig()
	for _, name := range []string{"client_id", "client_secret", "ims_url"} {
		config[name] = mark + config[name].(string) + "\r\n"
	}
	config["org_id"] = mark + testOrgID
	m.write("config/default", config)
	require.Equal(t, testClientID, m.read("config/default").Data["client_id"])
	require.Equal(t, testOrgID, m.read("config/default").Data["org_id"])
	require.Equal(t, testClientSecret, string(m.stored().Current))
	m.write("roles/firefly", map[string]any{"scopes": "openid", "config": mark + "default"})
	token := m.token("firefly")
	resp, err := m.handle(logical.UpdateOperation, "lookup", map[string]any{"token": mark + token + "\n"})
	require.NoError(t, err)
	require.Equal(t, "firefly", resp.Data["role"])

	m.quiet()
	for name, value := range config {
		require.Nil(t, m.write("config/default", map[string]any{name: value}), "the same again changes nothing")
	}
	m.requireNothingDone("a mark before what is stored")
	m.write("config/file", map[string]any{"project": mark + downloadedFile(testClientSecret), "ims_url": m.imsURL})
	require.Equal(t, testClientID, m.read("config/file").Data["client_id"])
}

func TestUTF16File(t *testing.T) {
	m := newServingMount(t)
	encode := func(text string) string {
		var b strings.Builder
		for _, unit := range utf16.Encode([]rune("\uFEFF" + text)) {
			b.WriteByte(byte(unit))
			b.WriteByte(byte(unit >> 8))
		}
		return b.String()
	}
	for name, value := range map[string]string{
		"project": downloadedFile(testClientSecret), "ca_cert": "-----BEGIN CERTIFICATE-----", "client_secret": testClientSecret,
	} {
		message := m.refused(400, logical.UpdateOperation, "config/default", map[string]any{name: encode(value)})
		require.Contains(t, message, name+": is text in UTF-16")
		require.Contains(t, message, "UTF-8")
	}
	m.requireNothingDone("UTF-16")
}

// The table of docs/api.md.
func TestLimits(t *testing.T) {
	m := newFullMount(t)
	limits := map[string]map[string]int{
		"config/default": {
			"client_id": 256, "client_secret": 1 << 10, "client_secret_uuid": 64, "credential_type": 64, "org_id": 128,
			"redirect_uri": 2 << 10, "ims_url": 512, "console_url": 512, "console_org_id": 64, "credential_id": 64,
			"technical_account_id": 256, "technical_account_email": 256, "rotation_schedule": 256,
			"project": 256 << 10, "ca_cert": 64 << 10,
			"request_timeout": 64, "max_retries": 64, "verify": 64, "allow_management_scopes": 64,
			"rotation_period": 64, "rotation_window": 64, "previous_secret_ttl": 64,
		},
		"roles/firefly":      {"config": 128, "scopes": 16 << 10, "exclusive": 64, "leased": 64, "verify": 64, "min_ttl": 64, "max_ttl": 64},
		"authorize/designer": {"code": 8 << 10, "state": 512, "refresh_token": 16 << 10, "replace": 64},
		"lookup":             {"token": 32 << 10},
	}
	for path, of := range limits {
		fields := slices.Collect(maps.Keys(m.path(path).Fields))
		fields = slices.DeleteFunc(fields, func(name string) bool { return name == "name" || name == "role" })
		require.ElementsMatch(t, fields, slices.Collect(maps.Keys(of)), "%s: every field has a limit", path)
		for name, limit := range of {
			for _, length := range []int{limit + 1, limit + 100, 2 << 20} {
				message := m.refused(400, logical.UpdateOperation, path, map[string]any{name: strings.Repeat("x", length)})
				require.Contains(t, message, fmt.Sprintf("%d is the limit", limit), "%s %s", path, name)
				require.Contains(t, message, name)
				require.Less(t, len(message), 200, "the value is not quoted")
			}
			longest := strings.Repeat("x", limit)
			if name == "scopes" {
				longest = strings.Repeat(strings.Repeat("x", 255)+",", limit/256)
			}
			resp, err := m.handle(logical.UpdateOperation, path, map[string]any{name: longest})
			require.NotContains(t, fmt.Sprint(resp, err), "is the limit", "%s %s: as long as may be", path, name)
		}
	}
	for says, scopes := range map[string]any{
		"257 are too many":     numbered(257),
		"256 is the limit":     strings.Repeat("x", 257),
		"300 are too many":     strings.Join(numbered(300), ","),
		"240000 are too many":  slices.Repeat([]any{"openid"}, 240_000),
		"has a character that": []any{"open\u200Bid"},
	} {
		require.Contains(t, m.refused(400, logical.UpdateOperation, "roles/firefly", map[string]any{"scopes": scopes, "verify": false}), says)
	}
	m.write("roles/firefly", map[string]any{"scopes": numbered(256), "verify": false})
	require.Len(t, m.read("roles/firefly").Data["scopes"], 256)
}

func numbered(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint("s", i))
	}
	return names
}

// The SDK's pattern lets names through that storage does not take.
func TestNamesThatCannotBe(t *testing.T) {
	m := newFullMount(t)
	paths := []string{"config/%s", "config/%s/rotate", "roles/%s", "token/%s", "status/%s", "authorize/%s"}
	operations := []logical.Operation{logical.CreateOperation, logical.UpdateOperation, logical.ReadOperation, logical.DeleteOperation}
	for _, path := range paths {
		for name, says := range map[string]string{
			"a..b":                   `name: "a..b" must not have two dots in a row`,
			"a...b":                  `"a...b"`,
			strings.Repeat("n", 129): "name: has 129 bytes; 128 is the limit",
			strings.Repeat("n", 9e5): "900000 bytes",
		} {
			for _, op := range operations {
				message := m.refused(400, op, fmt.Sprintf(path, name), map[string]any{"scopes": "openid"})
				require.Contains(t, message, says, "%s %s", op, path)
				require.Less(t, len(message), 200)
			}
		}
	}
	m.requireNothingDone("names that cannot be")
	longest := strings.Repeat("n", 126) + ".x"
	m.write("config/"+longest, map[string]any{"client_id": testClientID, "client_secret": testClientSecret, "ims_url": m.imsURL})
	m.write("roles/"+longest, map[string]any{"scopes": "openid", "config": longest})
	require.NotEmpty(t, m.token(longest))
}

// downloadedFile is the file that the page of the credential offers.
func downloadedFile(secrets ...string) string {
	encoded, _ := json.Marshal(map[string]any{
		"TYPE": "oauthservertoserver", "CLIENT_ID": testClientID, "CLIENT_SECRETS": secrets, "ORG_ID": testOrgID,
		"SCOPES": []string{"openid", "AdobeID"}, "TECHNICAL_ACCOUNT_ID": "X@techacct.adobe.com", "TECHNICAL_ACCOUNT_EMAIL": "x@techacct.adobe.com",
	})
	return string(encoded)
}

// projectFile is the file that the console offers of a project.
func projectFile(secrets ...string) string {
	encoded, _ := json.Marshal(map[string]any{"project": map[string]any{
		"id": "1", "name": "P", "title": "P",
		"org": map[string]any{"id": testConsoleOrg, "name": "O", "ims_org_id": testOrgID},
		"workspace": map[string]any{"id": "2", "name": "Production", "details": map[string]any{"credentials": []any{map[string]any{
			"id": testCredentialID, "name": "S2S", "integration_type": "oauth_server_to_server",
			"oauth_server_to_server": map[string]any{
				"client_id": testClientID, "client_secrets": secrets, "technical_account_email": "x@techacct.adobe.com",
				"technical_account_id": "X@techacct.adobe.com", "scopes": []string{"openid", "AdobeID"},
			},
		}}}},
	}})
	return string(encoded)
}

// vault write adobeims/config/a @project.json
func TestFileAsTheBodyOfTheRequest(t *testing.T) {
	for name, file := range map[string]string{"of a credential": downloadedFile(testClientSecret), "of a project": projectFile(testClientSecret)} {
		t.Run(name, func(t *testing.T) {
			m := newRotatingMount(t)
			var asField, asBody map[string]any
			require.NoError(t, json.Unmarshal([]byte(file), &asBody))
			asField = map[string]any{"project": file}
			for path, data := range map[string]map[string]any{"config/field": asField, "config/body": asBody} {
				data["ims_url"], data["console_url"] = m.imsURL, m.imsURL
				m.write(path, data)
			}
			written := m.read("config/body").Data
			require.Equal(t, m.read("config/field").Data, written)
			require.Equal(t, testClientID, written["client_id"])
			require.Equal(t, testOrgID, written["org_id"])
			require.Equal(t, "X@techacct.adobe.com", written["technical_account_id"])
			require.Equal(t, []string{"openid", "AdobeID"}, written["scopes"])

			asBody["project"] = file
			if _, isObject := asBody["CLIENT_ID"]; isObject {
				require.Contains(t, m.refused(400, logical.UpdateOperation, "config/body", asBody), "project: given twice")
			}
			m.quiet()
			require.Contains(t, m.write("config/body", map[string]any{"project": file, "ims_url": m.imsURL, "console_url": m.imsURL}).Warnings[0], "client_id: config/")
			m.requireNothingDone("the same file again")
		})
	}
}

func TestWriteThatChangesNothing(t *testing.T) {
	m := newFullMount(t)
	config, role := m.read("config/default").Data, m.read("roles/firefly").Data
	for _, name := range []string{"client_secret_set_time", "next_rotation_time"} {
		delete(config, name)
	}
	for path, data := range map[string]map[string]any{
		"config/default": config,
		"config/person":  {"client_secret": testClientSecret, "client_id": " " + webClientID, "redirect_uri": testRedirect},
		"roles/firefly":  role,
		"roles/single":   {"scopes": []any{"openid", " openid"}, "exclusive": true, "verify": true, "config": "default"},
		"roles/designer": {},
	} {
		before := m.read(path).Data
		require.Nil(t, m.write(path, data), "%s: 204", path)
		require.Equal(t, before, m.read(path).Data)
		require.Nil(t, m.write(path, nil), "%s, with no field at all", path)
	}
	config["client_secret"], config["verify"] = testClientSecret, false
	require.Nil(t, m.write("config/default", config))
	m.requireNothingDone("the same again")
}

// The callback takes what browsers send: strangers get a page, whatever it is.
func TestCallbackWithWhatNobodySends(t *testing.T) {
	m := newWebAppMount(t)
	m.quiet()
	for name, query := range map[string]map[string]any{
		"twice":      {"code": []string{"a", "b"}, "state": []string{"c", "d"}},
		"null":       {"code": nil, "state": nil},
		"unseen":     {"code": "a\u200Bb", "state": "c\u200Bd"},
		"no UTF-8":   {"code": "\xFF\xFE", "state": "\xFF"},
		"a big one":  {"code": strings.Repeat("x", 1<<20), "state": "x"},
		"big errors": {"error": strings.Repeat("x", 1<<20), "error_description": strings.Repeat("x", 1<<20), "state": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			status, page := m.callback(query)
			require.Equal(t, 400, status)
			require.Contains(t, page, pageStale.Title)
		})
	}
	m.requireNothingDone("strangers")
}

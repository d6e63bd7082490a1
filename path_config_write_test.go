// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// asked is what Adobe was asked since the counters were reset: for tokens, to end
// tokens, and for the list of client secrets.
func (m *mount) asked() map[string]int {
	asked := map[string]int{}
	for name, path := range map[string]string{"tokens": emulator.TokenPath, "ends": emulator.InvalidatePath, "lists": secretsPath} {
		if n := m.ims.Count(path); n > 0 {
			asked[name] = n
		}
	}
	return asked
}

func TestConfigWriteAsksForWhatMatters(t *testing.T) {
	proof := map[string]int{"tokens": 1, "ends": 1}
	console := map[string]int{"tokens": 1, "ends": 1, "lists": 1}
	for field, test := range map[string]struct {
		value any
		asked map[string]int
	}{
		"org_id":                  {testOrgID, proof},
		"request_timeout":         {"5s", proof},
		"max_retries":             {1, proof},
		"rotation_period":         {"720h", nil},
		"rotation_schedule":       {"0 3 1 * *", nil},
		"previous_secret_ttl":     {"2h", nil},
		"allow_management_scopes": {true, nil},
		"technical_account_id":    {"B@techacct.adobe.com", nil},
		"technical_account_email": {"b@techacct.adobe.com", nil},
		"client_secret_uuid":      {"0a", nil},
		"console_org_id":          {"", nil},
		"credential_id":           {testCredentialID + "\n", nil},
	} {
		t.Run(field, func(t *testing.T) {
			m := newRotatingMount(t)
			if test.asked == nil {
				test.asked = map[string]int{}
			}
			require.Nil(t, m.write("config/default", map[string]any{field: test.value}))
			require.Equal(t, test.asked, m.asked())
		})
	}
	t.Run("the ids of the console", func(t *testing.T) {
		m := newRotatingMount(t)
		m.write("config/default", map[string]any{"credential_id": ""})
		m.ims.ResetCounters()
		m.write("config/default", map[string]any{"credential_id": testCredentialID})
		require.Equal(t, console, m.asked())
		m.write("config/default", map[string]any{"credential_id": testCredentialID, "max_retries": 0, "verify": true})
		require.Equal(t, console, m.asked(), "not again")
	})
	t.Run("all of it in a new config", func(t *testing.T) {
		m := newRotatingMount(t)
		config := m.validConfig()
		config["console_org_id"], config["credential_id"], config["console_url"] = testConsoleOrg, testCredentialID, m.imsURL
		m.write("config/new", config)
		require.Equal(t, map[string]int{"tokens": 2, "ends": 2, "lists": 1}, m.asked())
		require.NotEmpty(t, m.read("config/new").Data["technical_account_id"], "from the token")
	})
}

// answer makes a server answer instead of Adobe.
func answerInstead(status int, contentType, body string) emulator.Fault {
	return emulator.Fault{Status: status, ContentType: contentType, Body: body}
}

// What answers in Adobe's place refuses nothing and proves nothing.
func TestConfigWriteWhenAnotherAnswers(t *testing.T) {
	pages := map[string]emulator.Fault{
		"a proxy's page":       answerInstead(403, "text/html", "<html>blocked by policy</html>"),
		"a sign-in page":       answerInstead(200, "text/html", "<html>Sign in to the Wi-Fi</html>"),
		"a file server":        answerInstead(404, "text/plain", "404 page not found"),
		"a redirect":           {Redirect: "https://portal.example/"},
		"nothing in a refusal": {Status: 400},
		"a list":               answerInstead(400, "application/json", `["invalid_client"]`),
		"other JSON":           answerInstead(401, "application/json", `{"ok":false}`),
		"a success of nothing": answerInstead(200, "application/json", `{}`),
		"half an answer":       {Body: `{"access_token":"x`, Truncate: true},
		"5 MiB":                {Body: `{"access_token":"x"}`, Size: 5 << 20},
	}
	web := func(m *mount) map[string]any {
		return map[string]any{
			"credential_type": "oauth_web_app", "redirect_uri": testRedirect, "client_id": webClientID,
			"client_secret": "p8e-nonsense", "ims_url": m.imsURL, "max_retries": 0,
		}
	}
	for kind, config := range map[string]func(*mount) map[string]any{"server-to-server": (*mount).validConfig, "web app": web} {
		for name, fault := range pages {
			t.Run(kind+", "+name, func(t *testing.T) {
				m := newMount(t)
				fault.Path = emulator.TokenPath
				m.ims.Inject(fault)
				message := m.refused(http.StatusBadGateway, logical.CreateOperation, "config/default", config(m))
				for _, words := range []string{"Nothing was stored", "verify=false"} {
					require.Contains(t, message, words)
				}
				if !fault.Truncate && fault.Size == 0 && fault.Body != `{}` {
					require.Contains(t, message, "HTTPS_PROXY")
				}
				require.NotContains(t, message, "does not accept")
				require.NotContains(t, message, "blocked by policy")
				require.Empty(t, m.storage.keys(t))
			})
		}
	}
}

func TestConfigWriteAsksTheConsole(t *testing.T) {
	for name, test := range map[string]struct {
		data   map[string]any
		fault  emulator.Fault // none without a path
		scopes bool           // IMS refuses the scopes for managing secrets
		status int
		says   []string
	}{
		"a typo in credential_id":      {data: map[string]any{"credential_id": "436085"}, status: 400, says: []string{"credential_id=436085", "404"}},
		"a typo in console_org_id":     {data: map[string]any{"console_org_id": "23295"}, status: 400, says: []string{"console_org_id=23295", "403"}},
		"no API in the project":        {scopes: true, status: 400, says: []string{"console_org_id, credential_id", "I/O Management API"}},
		"a console out of service":     {fault: emulator.Fault{Path: secretsPath, Status: 503}, status: 503, says: []string{"Developer Console", "verify=false"}},
		"a console that throttles":     {fault: emulator.Fault{Path: secretsPath, Status: 429}, status: 429, says: []string{"Developer Console", "verify=false"}},
		"a page in the console's name": {fault: emulator.Fault{Path: secretsPath, Status: 404, Body: "<html>", ContentType: "text/html"}, status: 502, says: []string{"HTTPS_PROXY", "verify=false"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRotatingMount(t)
			m.write("config/default", map[string]any{"console_org_id": "", "credential_id": ""})
			before := m.read("config/default").Data
			if test.fault.Path != "" {
				m.ims.Inject(test.fault)
			}
			if test.scopes {
				m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Code: "invalid_scope", Match: func(r *http.Request) bool {
					return strings.Contains(r.PostForm.Get("scope"), "manage_client_secrets")
				}})
			}
			m.quiet()
			data := map[string]any{"console_org_id": testConsoleOrg, "credential_id": testCredentialID}
			maps.Copy(data, test.data)
			message := m.refused(test.status, logical.CreateOperation, "config/default", data)
			for _, words := range append(test.says, "Nothing was stored") {
				require.Contains(t, message, words)
			}
			require.Equal(t, before, m.read("config/default").Data)
			require.Zero(t, m.storage.count("put"))
			require.Equal(t, len(test.says) > 0 && !test.scopes, m.ims.Count(emulator.InvalidatePath) > 0, "a management token is ended")

			data["verify"] = false
			require.Contains(t, m.write("config/default", data).Warnings[0], "verify=false: nothing was proven")
		})
	}
}

func TestConfigWriteWarnings(t *testing.T) {
	for name, test := range map[string]struct {
		data map[string]any
		says string
	}{
		"patience beyond the reader's": {map[string]any{"max_retries": 10, "request_timeout": "60s"}, "max_retries=10 and request_timeout=1m"},
		"nothing proven":               {map[string]any{"client_secret": "p8e-wrong", "verify": false}, "verify=false: nothing was proven"},
		"due at once":                  {map[string]any{"rotation_period": "1h", "previous_secret_ttl": "1h"}, "due now"},
		"a schedule that is too close": {map[string]any{"rotation_schedule": "*/30 * * * *"}, "less than previous_secret_ttl (1h)"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRotatingMount(t)
			m.clock.Advance(2 * time.Hour)
			require.Contains(t, m.write("config/default", test.data).Warnings[0], test.says)
		})
	}
	m := newRotatingMount(t)
	require.Nil(t, m.write("config/default", map[string]any{"max_retries": 4, "request_timeout": "10s"}), "as long as a reader waits")
	require.Nil(t, m.write("config/default", map[string]any{"rotation_period": "720h"}), "not due yet")
}

func TestRotationTimeRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		data map[string]any
		says []string
	}{
		"days without a unit":     {map[string]any{"rotation_period": 30}, []string{"rotation_period: 30s is too short", "1m", "previous_secret_ttl (1h)", "30d"}},
		"less than the grace":     {map[string]any{"rotation_period": "24h", "previous_secret_ttl": "800h"}, []string{"rotation_period: 24h is less than previous_secret_ttl, 800h"}},
		"grace raised beyond it":  {map[string]any{"rotation_period": "24h", "previous_secret_ttl": "25h"}, []string{"24h", "25h"}},
		"both":                    {map[string]any{"rotation_period": "720h", "rotation_schedule": "0 3 * * *"}, []string{"rotation_schedule: cannot be used beside rotation_period (720h)"}},
		"six fields":              {map[string]any{"rotation_schedule": "0 0 3 * * *"}, []string{"rotation_schedule: is not a cron schedule of five fields in UTC"}},
		"a name for it":           {map[string]any{"rotation_schedule": "@daily"}, []string{"rotation_schedule: is not a cron schedule"}},
		"a time zone":             {map[string]any{"rotation_schedule": "TZ=Europe/Zurich 0 3 * * *"}, []string{"rotation_schedule: is not a cron schedule"}},
		"a day that never comes":  {map[string]any{"rotation_schedule": "0 3 31 2 *"}, []string{"rotation_schedule: names a day that never comes"}},
		"a window without one":    {map[string]any{"rotation_window": "2h"}, []string{"rotation_window: is for a rotation_schedule only"}},
		"a window that is short":  {map[string]any{"rotation_schedule": "0 3 * * *", "rotation_window": "30s"}, []string{"rotation_window: 30s is too short", "1m"}},
		"a century":               {map[string]any{"rotation_period": "876000h"}, []string{"rotation_period: 876000h is out of range"}},
		"no id of the credential": {map[string]any{"rotation_period": "720h", "credential_id": ""}, []string{"rotation_period: needs console_org_id and credential_id"}},
		"no id, by schedule":      {map[string]any{"rotation_schedule": "0 3 * * *", "console_org_id": ""}, []string{"rotation_schedule: needs console_org_id and credential_id"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newRotatingMount(t)
			before := m.read("config/default").Data
			m.quiet()
			message := m.refused(400, logical.CreateOperation, "config/default", test.data)
			for _, words := range test.says {
				require.Contains(t, message, words)
			}
			require.Equal(t, before, m.read("config/default").Data)
			m.requireNothingDone(name)
		})
	}
	m := newRotatingMount(t)
	m.write("config/default", map[string]any{"rotation_schedule": "0 3 1 * *"})
	data := m.read("config/default").Data
	require.EqualValues(t, 3600, data["rotation_window"], "an hour if it is not given")
	require.Equal(t, "2026-12-01T03:00:00Z", data["next_rotation_time"])
	m.write("config/default", map[string]any{"rotation_schedule": "", "rotation_period": "720h"})
	data = m.read("config/default").Data
	require.EqualValues(t, 0, data["rotation_window"], "it went with its schedule")
	require.Equal(t, "2026-12-22T09:00:00Z", data["next_rotation_time"])
}

// Of two secrets in a file, that one is taken that IMS accepts.
func TestTwoSecretsOfAFile(t *testing.T) {
	const dead = "p8e-removed-last-week"
	for name, test := range map[string]struct {
		secrets []string
		beside  map[string]any
		current string
		says    string // a refusal
	}{
		"the first is dead":     {secrets: []string{dead, testClientSecret}, current: testClientSecret},
		"the second is dead":    {secrets: []string{testClientSecret, dead}, current: testClientSecret},
		"both are dead":         {secrets: []string{dead, dead + "2"}, says: "client_secret: IMS does not accept"},
		"one beside the file":   {secrets: []string{dead}, beside: map[string]any{"client_secret": testClientSecret}, current: testClientSecret},
		"none in the file":      {beside: map[string]any{"client_secret": testClientSecret}, current: testClientSecret},
		"none at all":           {says: "project: the file has no client secret"},
		"nobody is asked":       {secrets: []string{dead, testClientSecret}, beside: map[string]any{"verify": false}, current: dead},
		"of another client":     {secrets: []string{testClientSecret}, beside: map[string]any{"client_id": "another"}, says: testClientID},
		"of the client, beside": {secrets: []string{testClientSecret}, beside: map[string]any{"client_id": testClientID}, current: testClientSecret},
		"another type":          {secrets: []string{testClientSecret}, beside: map[string]any{"credential_type": "oauth_web_app"}, says: "project: "},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			data := map[string]any{"project": downloadedFile(test.secrets...), "ims_url": m.imsURL, "max_retries": 0}
			maps.Copy(data, test.beside)
			if test.says != "" {
				message := m.refused(400, logical.CreateOperation, "config/default", data)
				require.Contains(t, message, test.says)
				require.NotContains(t, message, testClientSecret)
				require.NotContains(t, message, dead)
				require.Empty(t, m.storage.keys(t))
				return
			}
			m.write("config/default", data)
			require.Equal(t, test.current, string(m.stored().Current))
		})
	}
}

func TestFileOverAStoredConfig(t *testing.T) {
	m := newServingMount(t)
	m.write("config/default", map[string]any{"org_id": testOrgID})
	file := strings.Replace(downloadedFile("p8e-dead", testClientSecret), `"ORG_ID":"`+testOrgID+`",`, "", 1)
	require.NotContains(t, file, "ORG_ID")
	set := m.read("config/default").Data["client_secret_set_time"]
	m.clock.Advance(time.Hour)
	m.quiet()
	m.write("config/default", map[string]any{"project": file})
	data := m.read("config/default").Data
	require.Equal(t, testOrgID, data["org_id"], "what the file lacks keeps its value")
	require.Equal(t, testClientSecret, string(m.stored().Current), "the stored one is one of the file's")
	require.Equal(t, set, data["client_secret_set_time"])
	require.Equal(t, "x@techacct.adobe.com", data["technical_account_email"])
	require.Zero(t, m.ims.Count(""), "IMS would be asked as before")
}

func TestSameClientInTwoConfigs(t *testing.T) {
	m := newRotatingMount(t)
	second := m.validConfig()
	warning := m.write("config/second", second).Warnings[0]
	require.Contains(t, warning, "client_id: config/default has the same")
	require.Contains(t, m.write("config/default", map[string]any{"max_retries": 1}).Warnings[0], "config/second")
	resp, err := m.handle(logical.UpdateOperation, "config/default/rotate", nil)
	require.NoError(t, err)
	require.Contains(t, resp.Warnings[0], "config/second", "it has the secret that ends")

	_, err = m.delete("config/second")
	require.NoError(t, err)
	require.Nil(t, m.write("config/default", map[string]any{"max_retries": 0}))
	elsewhere := map[string]any{"client_id": testClientID, "client_secret": testClientSecret, "ims_url": "https://ims.example", "verify": false}
	require.Len(t, m.write("config/elsewhere", elsewhere).Warnings, 1, "of another IMS: only that nothing was proven")
}

// A snapshot from before a rotation is restored: the operator writes the secret that
// the console has. What was written first, as Terraform does again, is taken back
// where IMS accepts it and not the stored one.
func TestRotatedAwaySecretIsTakenBack(t *testing.T) {
	m := newRotatingMount(t)
	rotated := m.rotate()["client_secret_uuid"].(string)
	current := m.stored().Current
	require.NoError(t, m.ims.RemoveSecret(testClientID, rotated))
	require.Nil(t, m.write("config/default", map[string]any{"client_secret": testClientSecret}))
	require.Equal(t, testClientSecret, string(m.stored().Current))
	require.NotEqual(t, current, m.stored().Current)
	m.clock.Advance(tokenLife)
	require.NotEmpty(t, m.token("firefly"))
}

func TestProvenSecretEndsTheRotationError(t *testing.T) {
	m := newRotatingMount(t)
	remove := m.ims.Inject(emulator.Fault{Path: secretsPath, Status: 500})
	m.refused(http.StatusBadGateway, logical.UpdateOperation, "config/default/rotate", nil)
	remove()
	require.NotEmpty(t, m.read("config/default").Data["rotation_error"])
	m.write("config/default", map[string]any{"technical_account_email": "b@techacct.adobe.com"})
	require.NotEmpty(t, m.read("config/default").Data["rotation_error"], "nothing was proven")
	added, err := m.ims.AddSecret(testClientID)
	require.NoError(t, err)
	m.write("config/default", map[string]any{"client_secret": added.Value})
	require.NotContains(t, m.read("config/default").Data, "rotation_error")
}

// Two operators write different fields while IMS takes its time: both are stored.
func TestConfigsAreWrittenAtOnce(t *testing.T) {
	m := newRotatingMount(t)
	m.latency(20 * time.Millisecond)
	var group sync.WaitGroup
	for i, data := range []map[string]any{
		{"org_id": testOrgID}, {"max_retries": 1}, {"technical_account_email": "b@techacct.adobe.com"}, {"rotation_period": "720h"},
	} {
		group.Go(func() {
			_, err := m.handle(logical.UpdateOperation, "config/default", data)
			if err != nil {
				t.Error(i, err)
			}
		})
	}
	group.Wait()
	data := m.read("config/default").Data
	require.Equal(t, []any{testOrgID, 1, "b@techacct.adobe.com", int64(720 * 3600)},
		[]any{data["org_id"], data["max_retries"], data["technical_account_email"], data["rotation_period"]})
}

// A config is deleted while IMS proves a change of it: nothing brings it back.
func TestConfigIsDeletedWhileItIsProven(t *testing.T) {
	m := newServingMount(t)
	m.write("config/spare", m.validConfig())
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Times: 1, Match: func(*http.Request) bool {
		_, err := m.delete("config/spare")
		require.NoError(t, err)
		return false
	}})
	message := m.refused(400, logical.UpdateOperation, "config/spare", map[string]any{"max_retries": 3})
	require.Contains(t, message, "client_id: required", "as for a new one")
	require.Equal(t, []string{"default"}, m.list("config/"))
}

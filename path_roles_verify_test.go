// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/roles"
)

// grant limits what IMS grants to the credential of the config default.
func (m *mount) grant(scopes ...string) {
	m.ims.AddClient(emulator.Client{ID: testClientID, Secrets: []string{testClientSecret}, Scopes: scopes})
}

// requireEnded waits until every token that IMS gave out since the counters were
// reset has been ended.
func (m *mount) requireEnded(tokens int) {
	m.t.Helper()
	m.eventually(func() bool { return m.ims.Count(emulator.InvalidatePath) == tokens }, fmt.Sprintf("%d tokens to be ended", tokens))
}

func TestRefusedScopeIsNamed(t *testing.T) {
	granted := []string{"openid", "AdobeID", "firefly_api", "ff_apis"}
	for name, test := range map[string]struct {
		scopes string
		names  string
	}{
		"one of two":     {"openid,firefly_enterprise", "does not grant firefly_enterprise to"},
		"one alone":      {"firefly_enterprise", "does not grant firefly_enterprise to"},
		"two of five":    {"openid,a_typo,AdobeID,firefly_api,another", "does not grant a_typo, another to"},
		"case counts":    {"openid,adobeid", "does not grant adobeid to"},
		"first and last": {"first,openid,ff_apis,last", "does not grant first, last to"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newServingMount(t)
			m.grant(granted...)
			before := m.read("roles/firefly").Data
			message := m.refused(400, logical.CreateOperation, "roles/firefly", map[string]any{"scopes": test.scopes})
			for _, words := range []string{"scopes: IMS " + test.names, "config/default", "Scopes tab", "Nothing was stored", "invalid_scope"} {
				require.Contains(t, message, words)
			}
			m.refused(400, logical.CreateOperation, "roles/new", map[string]any{"scopes": test.scopes})
			require.Equal(t, before, m.read("roles/firefly").Data)
			require.Equal(t, []string{"firefly"}, m.list("roles/"))
			require.Zero(t, m.storage.count("put"))
			require.Equal(t, before["scopes"], m.read("token/firefly").Data["scopes"], "its readers notice nothing")

			m.write("roles/firefly", map[string]any{"scopes": test.scopes, "verify": false})
			require.Contains(t, m.refused(400, logical.ReadOperation, "token/firefly", nil), "vault write adobeims/roles/firefly scopes=")
		})
	}
	t.Run("not every one of 256 is asked for", func(t *testing.T) {
		m := newServingMount(t)
		m.grant(granted...)
		m.refused(400, logical.CreateOperation, "roles/new", map[string]any{"scopes": strings.Join(numbered(256), ",")})
		require.LessOrEqual(t, m.mints(), 20)
	})
	t.Run("what the others were asked for with is ended", func(t *testing.T) {
		m := newServingMount(t)
		m.grant(granted...)
		m.refused(400, logical.CreateOperation, "roles/new", map[string]any{"scopes": "openid,AdobeID,firefly_api,a_typo"})
		require.Equal(t, 5, m.mints(), "all four, two and two, one and one")
		m.requireEnded(2)
	})
}

func TestScopesAreNotProvenWhileIMSIsDown(t *testing.T) {
	for name, test := range map[string]struct {
		fault *emulator.Fault // nil: nobody listens
		says  string
	}{
		"nobody listens": {nil, "connection refused"},
		"out of service": {&emulator.Fault{Status: 503}, "503"},
		"an error":       {&emulator.Fault{Status: 500, Code: "internal_error"}, "500"},
		"a throttle":     {&emulator.Fault{Status: 429, RetryAfter: "30"}, "429"},
		"a page":         {&emulator.Fault{Status: 403, Body: "<html>blocked", ContentType: "text/html"}, "HTTPS_PROXY"},
		"silence":        {&emulator.Fault{Hang: true}, "within 1s"},
		"no life":        {&emulator.Fault{Body: `{"access_token":"x","expires_in":0}`}, "expires_in"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newServingMount(t)
			m.write("config/default", map[string]any{"request_timeout": "1s"})
			if test.fault == nil {
				m.ims.Stop()
			} else {
				fault := *test.fault
				fault.Path = emulator.TokenPath
				m.ims.Inject(fault)
			}
			resp := m.write("roles/new", map[string]any{"scopes": "openid,unheard_of"})
			require.Len(t, resp.Warnings, 1)
			require.Contains(t, resp.Warnings[0], "IMS could not be asked whether it grants these scopes")
			require.Contains(t, resp.Warnings[0], "not proven")
			require.Contains(t, resp.Warnings[0], test.says)
			require.NotContains(t, resp.Warnings[0], "blocked")
			require.Equal(t, []string{"openid", "unheard_of"}, m.read("roles/new").Data["scopes"])
			require.Nil(t, m.write("roles/new", map[string]any{"max_ttl": 60}), "the scopes stay as they are")
		})
	}
}

func TestRoleOnAConfigThatIMSRefuses(t *testing.T) {
	m := newServingMount(t)
	m.write("config/default", map[string]any{"client_secret": "p8e-wrong", "verify": false})
	message := m.refused(400, logical.CreateOperation, "roles/new", map[string]any{"scopes": "openid"})
	for _, words := range []string{"invalid_client", "config/default", "Nothing was stored", "verify=false", "vault write adobeims/config/default client_secret=@secret.txt"} {
		require.Contains(t, message, words)
	}
	require.Equal(t, []string{"firefly"}, m.list("roles/"))
	m.write("roles/new", map[string]any{"scopes": "openid", "verify": false})
}

// IMS grants what the credential may have, and leaves out the rest.
func TestFewerScopesThanAskedFor(t *testing.T) {
	m := newServingMount(t)
	m.grant("openid", "AdobeID")
	m.ims.Configure(func(o *emulator.Options) { o.NarrowScopes = true })
	warnings := m.write("roles/new", map[string]any{"scopes": "openid,AdobeID,firefly_api"}).Warnings
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "firefly_api")
	require.NotContains(t, warnings[0], "AdobeID")
	require.Equal(t, []string{"openid", "AdobeID", "firefly_api"}, m.read("roles/new").Data["scopes"], "what is asked for")
	resp := m.read("token/new")
	require.Equal(t, []string{"openid", "AdobeID"}, resp.Data["scopes"], "what is granted")
	require.Equal(t, warnings, resp.Warnings)
	require.Equal(t, []string{"openid", "AdobeID"}, m.read("status/new").Data["granted_scopes"])
}

func TestProofOfASharedRoleIsHandedOut(t *testing.T) {
	m := newServingMount(t)
	former := m.token("firefly")
	m.quiet()
	for i, scopes := range []string{"openid,AdobeID", "openid"} {
		m.write("roles/firefly", map[string]any{"scopes": scopes})
		require.Equal(t, i+1, m.mints())
		status := m.read("status/firefly").Data
		require.Equal(t, "ready", status["state"])
		require.Equal(t, false, status["in_use"])
		m.restart()
		resp := m.read("token/firefly")
		require.Equal(t, strings.Split(scopes, ","), resp.Data["scopes"])
		require.True(t, m.ims.Valid(resp.Data["access_token"].(string)))
		require.Equal(t, i+1, m.mints(), "the first reader does not wait")
	}
	m.write("roles/second", map[string]any{"scopes": "openid", "leased": false})
	require.EqualValues(t, 12*3600, m.read("token/second").Data["ttl"])
	require.Equal(t, 3, m.mints())
	_, err := m.delete("token/firefly")
	require.NoError(t, err)
	require.False(t, m.ims.Valid(former), "all of them are on record")
	require.Equal(t, 3, m.ims.Count(emulator.InvalidatePath))
}

func TestProofOfAnExclusiveRoleIsEnded(t *testing.T) {
	m := newServingMount(t)
	m.write("roles/single", map[string]any{"scopes": "openid", "exclusive": true})
	require.Equal(t, 1, m.mints())
	m.requireEnded(1)
	m.eventually(func() bool { return len(tokenKeys(m)) == 0 }, "nothing stays on record")
	require.NotEmpty(t, m.token("single"))
	require.Equal(t, 2, m.mints())
}

func TestProofThatIsNotNeeded(t *testing.T) {
	m := newWebAppMount(t)
	m.token("firefly")
	m.ims.ResetCounters()
	for path, data := range map[string]map[string]any{
		"roles/firefly":  {"max_ttl": 60, "min_ttl": 5, "leased": false, "scopes": "openid AdobeID firefly_api"},
		"roles/designer": {"scopes": "openid,AdobeID,offline_access,creative_sdk"},
		"roles/person":   {"config": "person", "scopes": "openid,offline_access"},
		"roles/unasked":  {"scopes": "unheard_of", "verify": false},
	} {
		require.Nil(t, m.write(path, data), path)
	}
	require.Zero(t, m.ims.Count(""), "neither for a person's role nor where scopes and config stay")

	other := m.validConfig()
	other["verify"] = false
	m.write("config/other", other)
	m.write("roles/firefly", map[string]any{"config": "other"})
	require.Equal(t, 1, m.mints(), "another config")
}

// The role is written again, or its config, while IMS proves its scopes: the proof
// begins again, and no token is left behind.
func TestScopesProvenForWhatIsStored(t *testing.T) {
	for name, change := range map[string]func(m *mount){
		"the role": func(m *mount) { m.write("roles/firefly", map[string]any{"max_ttl": 60}) },
		"the config": func(m *mount) {
			m.write("config/default", map[string]any{"technical_account_email": "b@techacct.adobe.com", "verify": false})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newServingMount(t)
			changed := false
			m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Match: func(*http.Request) bool {
				if !changed {
					changed = true
					change(m)
				}
				return false
			}})
			m.write("roles/firefly", map[string]any{"scopes": "openid"})
			require.Equal(t, 2, m.mints())
			m.requireEnded(1)
			require.Equal(t, []string{"openid"}, m.read("token/firefly").Data["scopes"])
			require.Equal(t, 2, m.mints())
			m.eventually(func() bool { return m.read("status/firefly").Data["outstanding_tokens"] == 1 }, "one outstanding token")
		})
	}
}

func TestProofOfARoleThatCannotBeStored(t *testing.T) {
	m := newServingMount(t)
	broken := errors.New("storage is broken")
	m.storage.failOn("put", roles.Prefix, broken)
	_, err := m.handle(logical.UpdateOperation, "roles/firefly", map[string]any{"scopes": "openid"})
	require.Equal(t, broken, err)
	require.Equal(t, 1, m.mints())
	m.requireEnded(1)
	m.storage.heal()
	require.Equal(t, []string{"openid", "AdobeID", "firefly_api"}, m.read("token/firefly").Data["scopes"])
}

// A role is narrowed: what was proven for it is not handed out for more.
func TestNarrowedRole(t *testing.T) {
	m := newServingMount(t)
	wide := m.token("firefly")
	m.write("roles/firefly", map[string]any{"scopes": "openid"})
	narrow := m.read("token/firefly")
	require.NotEqual(t, wide, narrow.Data["access_token"])
	require.Equal(t, []string{"openid"}, narrow.Data["scopes"])
	require.True(t, m.ims.Valid(wide), "others may hold it until it expires; the kill switch ends it")
	m.clock.Advance(time.Hour)
	_, err := m.delete("token/firefly")
	require.NoError(t, err)
	require.False(t, m.ims.Valid(wide))
}

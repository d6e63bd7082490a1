// SPDX-License-Identifier: MPL-2.0

package test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// Agent writes tokens to files: at any time one that works, and with each rendering a newer one. Under a
// lease it reads again shortly before the lease's end, without one when ttl is over.
func TestAgentRendersTokens(t *testing.T) {
	t.Parallel()
	ims := startAdobe(t, 16*time.Second)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)
	vault.Write(t, "adobeims/roles/leaseless", vaulttest.Data{"scopes": "openid", "leased": false})
	ims.ResetCounters() // the config was verified with a token
	// What differs from answer to answer makes Agent write the file for each one.
	agent := vault.StartAgent(t, vaulttest.AgentOptions{
		Token: vault.TokenWithPolicy(t, `path "adobeims/token/*" { capabilities = ["read"] }`),
		Templates: map[string]string{
			"leased":    `{{ with secret "adobeims/token/firefly" }}{{ .Data.access_token }} {{ .LeaseID }}{{ end }}`,
			"leaseless": `{{ with secret "adobeims/token/leaseless" }}{{ .Data.access_token }} {{ .Data.expires_in }}{{ end }}`,
		},
	})

	began := time.Now()
	leased, leaseless := &rendered{name: "leased"}, &rendered{name: "leaseless"}
	for len(leased.tokens) < 4 || len(leaseless.tokens) < 4 {
		require.Less(t, time.Since(began), 90*time.Second, "%d and %d tokens", len(leased.tokens), len(leaseless.tokens))
		leased.look(t, ims, agent)
		leaseless.look(t, ims, agent)
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("4 renderings and more in %s; %d and %d mints",
		time.Since(began).Round(time.Second), ims.mintsOf("openid,AdobeID,firefly_api"), ims.mintsOf("openid"))
}

// rendered is what was seen in a file.
type rendered struct {
	name   string
	last   string
	tokens []string
}

func (r *rendered) look(t *testing.T, ims *adobe, agent *vaulttest.Agent) {
	t.Helper()
	contents := agent.File(r.name)
	if contents == "" && len(r.tokens) == 0 {
		return // Agent has just been started
	}
	token, _, _ := strings.Cut(contents, " ")
	require.True(t, ims.Valid(token), "the file %s has a token that does not work, after %d renderings", r.name, len(r.tokens))
	if contents == r.last {
		return
	}
	created, _ := lifeOf(t, token)
	if n := len(r.tokens); n > 0 {
		before, _ := lifeOf(t, r.tokens[n-1])
		require.Greater(t, created, before, "rendering %d of %s is no newer than the one before", n+1, r.name)
	}
	r.last, r.tokens = contents, append(r.tokens, token)
}

// SPDX-License-Identifier: MPL-2.0

// Package test tests the plugin inside real Vault servers, against the emulator of Adobe.
package test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

const (
	clientID     = "cm-p1234-integration-0"
	clientSecret = "p8e-vTg7Y3nQ-never-to-be-seen"
	orgID        = "0123456789ABCDEF01234567@AdobeOrg"

	configPath = "adobeims/config/default"
	rolePath   = "adobeims/roles/firefly"
	tokenPath  = "adobeims/token/firefly"
)

func TestMain(m *testing.M) { os.Exit(vaulttest.Main(m)) }

// adobe is an emulator that the test's Vault servers talk to.
type adobe struct {
	*emulator.Server
	URL string
}

func startAdobe(t *testing.T, tokenLife time.Duration) *adobe {
	t.Helper()
	server := emulator.New(emulator.Options{TokenLife: tokenLife})
	server.AddClient(emulator.Client{ID: clientID, Secrets: []string{clientSecret}, OrgID: orgID})
	url, err := server.Start("")
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	return &adobe{Server: server, URL: url}
}

// configure writes the config default and the role firefly.
func (a *adobe) configure(t *testing.T, s *vaulttest.Server) {
	t.Helper()
	s.Write(t, configPath, vaulttest.Data{"client_id": clientID, "client_secret": clientSecret, "org_id": orgID, "ims_url": a.URL})
	s.Write(t, rolePath, vaulttest.Data{"scopes": "openid,AdobeID,firefly_api", "verify": false})
}

// mints is how often IMS was asked for a token.
func (a *adobe) mints() int { return a.Count(emulator.TokenPath) }

// readToken reads the token of the role firefly.
func readToken(t *testing.T, s *vaulttest.Server) string {
	t.Helper()
	token, ok := s.Read(t, tokenPath).Data["access_token"].(string)
	require.True(t, ok, "no access_token")
	require.NotEmpty(t, token)
	return token
}

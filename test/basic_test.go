// SPDX-License-Identifier: MPL-2.0

package test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	adobeims "github.com/adobeims/vault-plugin-secrets-adobeims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

func TestReadToken(t *testing.T) {
	ims := startAdobe(t, 24*time.Hour)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)

	answer := vault.Read(t, tokenPath)

	requests := ims.Requests(emulator.TokenPath)
	require.Equal(t, "openid,AdobeID,firefly_api", requests[len(requests)-1].Form.Get("scope"))
	require.Equal(t, orgID, requests[len(requests)-1].Form.Get("org_id"))

	require.NotEmpty(t, answer.LeaseID)
	require.False(t, answer.Renewable)
	require.Empty(t, answer.Warnings)
	expiresIn := integer(t, answer.Data["expires_in"])
	require.LessOrEqual(t, expiresIn, 86400)
	require.Greater(t, expiresIn, 86400-60)
	require.InDelta(t, expiresIn, answer.LeaseDuration, 1)

	require.True(t, ims.Valid(answer.Data["access_token"].(string)))
	require.Equal(t, "Bearer", answer.Data["token_type"])
	require.Equal(t, []any{"openid", "AdobeID", "firefly_api"}, answer.Data["scopes"])
	require.Equal(t, clientID, answer.Data["client_id"])
	require.Equal(t, orgID, answer.Data["org_id"])
	expires, err := time.Parse(time.RFC3339, answer.Data["expire_time"].(string))
	require.NoError(t, err)
	require.Equal(t, time.UTC, expires.Location())
	require.WithinDuration(t, time.Now().Add(24*time.Hour), expires, time.Minute)

	mints := ims.mints()
	require.Equal(t, answer.Data["access_token"], readToken(t, vault), "the next reader gets the same token")
	require.Equal(t, mints, ims.mints())
}

// No lease outlives its token, short tokens included.
func TestLeaseEndsWithToken(t *testing.T) {
	ims := startAdobe(t, 30*time.Second)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)

	before := time.Now()
	answer := vault.Read(t, tokenPath)
	require.Positive(t, answer.LeaseDuration)
	require.LessOrEqual(t, answer.LeaseDuration, 30)
	expires, err := time.Parse(time.RFC3339, answer.Data["expire_time"].(string))
	require.NoError(t, err)
	require.LessOrEqual(t, before.Add(time.Duration(answer.LeaseDuration)*time.Second), expires.Add(time.Second))
}

func TestPolicyGrantsOneToken(t *testing.T) {
	ims := startAdobe(t, time.Hour)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)
	vault.Write(t, "adobeims/roles/other", vaulttest.Data{"scopes": "openid"})
	app := vault.ClientWithPolicy(t, `path "adobeims/token/firefly" { capabilities = ["read"] }`).Logical()

	answer, err := app.Read(tokenPath)
	require.NoError(t, err)
	require.True(t, ims.Valid(answer.Data["access_token"].(string)))

	for _, path := range []string{
		"adobeims/token/other", configPath, rolePath, "adobeims/status/firefly", "adobeims/authorize/firefly", "adobeims/info",
	} {
		_, err := app.Read(path)
		requireForbidden(t, err, "read "+path)
	}
	for _, path := range []string{"adobeims/config", "adobeims/roles"} {
		_, err := app.List(path)
		requireForbidden(t, err, "list "+path)
	}
	for _, path := range []string{configPath, rolePath, tokenPath, "adobeims/authorize/firefly", configPath + "/rotate"} {
		_, err := app.Write(path, vaulttest.Data{"client_id": "mine"})
		requireForbidden(t, err, "write "+path)
	}
	for _, path := range []string{configPath, rolePath, tokenPath, "adobeims/authorize/firefly"} {
		_, err := app.Delete(path)
		requireForbidden(t, err, "delete "+path)
	}
	require.True(t, ims.Valid(answer.Data["access_token"].(string)), "nothing of that was carried out")
}

// What the server and the plugin log at the lowest level, and what the audit device writes, has neither
// the client secret nor a token, whatever goes wrong.
func TestNoSecretIsLogged(t *testing.T) {
	ims := startAdobe(t, time.Hour)
	vault := vaulttest.Start(t, vaulttest.Options{Audit: true})
	ims.configure(t, vault)
	secrets := []string{clientSecret, wrongSecret, readToken(t, vault)}

	_, err := vault.Client(t).Logical().Write(configPath, vaulttest.Data{"client_secret": wrongSecret})
	requireStatus(t, http.StatusBadRequest, err, "a wrong secret")
	require.NotContains(t, err.Error(), wrongSecret)

	vault.Write(t, "adobeims/roles/single", vaulttest.Data{"scopes": "openid", "exclusive": true})
	exclusive := vault.Read(t, "adobeims/token/single")
	secrets = append(secrets, exclusive.Data["access_token"].(string))
	remove := ims.Inject(emulator.Fault{Path: emulator.InvalidatePath, Status: http.StatusInternalServerError})
	options := &api.RevokeOptions{LeaseID: exclusive.LeaseID, Sync: true}
	require.Error(t, vault.Client(t).Sys().RevokeWithOptions(options), "IMS fails to invalidate")
	remove()
	require.NoError(t, vault.Client(t).Sys().RevokeWithOptions(options))
	require.False(t, ims.Valid(exclusive.Data["access_token"].(string)))

	remove = ims.Inject(emulator.Fault{Path: emulator.TokenPath, Body: `{"access_token":"` + secrets[2] + `","expires_in":`})
	vault.Write(t, "adobeims/roles/third", vaulttest.Data{"scopes": "openid"})
	_, err = vault.Client(t).Logical().Read("adobeims/token/third")
	require.Error(t, err, "IMS answers garbage with a token in it")
	require.NotContains(t, err.Error(), secrets[2])
	remove()

	vault.Delete(t, tokenPath)
	require.False(t, ims.Valid(secrets[2]))

	require.NotEmpty(t, vault.AuditLog())
	vault.RequireNotLogged(t, secrets...)
}

func TestInfo(t *testing.T) {
	vault := vaulttest.Start(t)
	info := vault.Read(t, "adobeims/info").Data
	require.Equal(t, adobeims.Version, info["version"])
	require.Regexp(t, `^v\d`, info["sdk_version"])
	require.NotEmpty(t, info["commit"])
	require.NotEmpty(t, info["build_date"])
}

func integer(t *testing.T, value any) int {
	t.Helper()
	number, ok := value.(json.Number)
	require.True(t, ok, "%v is a %T, not a number", value, value)
	n, err := number.Int64()
	require.NoError(t, err)
	return int(n)
}

func requireStatus(t *testing.T, status int, err error, what string) {
	t.Helper()
	var answer *api.ResponseError
	require.ErrorAs(t, err, &answer, what)
	require.Equal(t, status, answer.StatusCode, "%s: %v", what, err)
}

func requireForbidden(t *testing.T, err error, what string) {
	t.Helper()
	requireStatus(t, http.StatusForbidden, err, what)
}

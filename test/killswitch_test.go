// SPDX-License-Identifier: MPL-2.0

package test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// threeOutstanding makes the role firefly have three outstanding tokens: other scopes, another token. It
// returns them, and when they expire in the words of their answers.
func (r *revoking) threeOutstanding(t *testing.T) (tokens, expiries []string) {
	t.Helper()
	for i, scopes := range []string{"openid", "openid,AdobeID", "openid,AdobeID,firefly_api"} {
		if i > 0 {
			time.Sleep(time.Second) // messages tell tokens apart by their times
		}
		r.vault.Write(t, rolePath, vaulttest.Data{"scopes": scopes})
		answer := r.vault.Read(t, tokenPath).Data
		tokens = append(tokens, answer["access_token"].(string))
		expiries = append(expiries, answer["expire_time"].(string))
	}
	return tokens, expiries
}

func (r *revoking) status(t *testing.T, field string) int {
	t.Helper()
	return integer(t, r.vault.Read(t, "adobeims/status/firefly").Data[field])
}

// Of three outstanding tokens IMS fails to invalidate the second: two are gone, one is named and stays on
// record, and the next delete finishes, though the plugin was killed in between.
func TestKillSwitch(t *testing.T) {
	t.Parallel()
	r := startRevoking(t)
	tokens, expiries := r.threeOutstanding(t)
	require.Equal(t, 3, r.status(t, "outstanding_tokens"))
	remove := r.failToInvalidate(tokens[1], emulator.Fault{Status: http.StatusInternalServerError, Code: "internal_error"})

	_, err := r.vault.Client(t).Logical().Delete(tokenPath)
	requireStatus(t, http.StatusBadGateway, err, "one is left")
	require.ErrorContains(t, err, "of 3 outstanding tokens")
	require.ErrorContains(t, err, expiries[1], "the token that is left")
	require.NotContains(t, err.Error(), expiries[0])
	require.ErrorContains(t, err, "500 internal_error")
	require.ErrorContains(t, err, "x-debug-id")
	require.Equal(t, []bool{false, true, false}, []bool{r.ims.Valid(tokens[0]), r.ims.Valid(tokens[1]), r.ims.Valid(tokens[2])})
	require.NotContains(t, tokens, readToken(t, r.vault), "the next read mints")
	require.Equal(t, 2, r.status(t, "outstanding_tokens"))

	r.vault.KillPlugin(t)
	require.Equal(t, 1, r.status(t, "uninvalidated_tokens"))
	remove()
	r.vault.Delete(t, tokenPath)
	require.False(t, r.ims.Valid(tokens[1]))
	require.Equal(t, 0, r.status(t, "outstanding_tokens"))
	require.NotContains(t, tokens, readToken(t, r.vault))
	r.vault.RequireNotLogged(t, append(tokens, clientSecret)...)
}

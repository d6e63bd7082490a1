// SPDX-License-Identifier: MPL-2.0

package test

import (
	"errors"
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

const (
	singleRole = "adobeims/roles/single"
	singlePath = "adobeims/token/single" // of exclusive tokens
)

// revoking is a server whose leases are revoked.
type revoking struct {
	ims   *adobe
	vault *vaulttest.Server
}

func startRevoking(t *testing.T) *revoking {
	t.Helper()
	r := &revoking{startAdobe(t, time.Hour), vaulttest.Start(t)}
	r.ims.configure(t, r.vault)
	r.vault.Write(t, singleRole, vaulttest.Data{"scopes": "openid", "exclusive": true, "verify": false})
	return r
}

// lease reads a token and returns it with the ID of its lease.
func (r *revoking) lease(t *testing.T, path string) (token, lease string) {
	t.Helper()
	answer := r.vault.Read(t, path)
	require.NotEmpty(t, answer.LeaseID)
	return answer.Data["access_token"].(string), answer.LeaseID
}

// revoke revokes a lease and waits for what becomes of it.
func (r *revoking) revoke(t *testing.T, lease string) error {
	t.Helper()
	return r.vault.Client(t).Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: lease, Sync: true})
}

// asked is how often IMS was asked to invalidate a token.
func (r *revoking) asked(token string) int {
	times := 0
	for _, request := range r.ims.Requests(emulator.InvalidatePath) {
		if request.Form.Get("token") == token {
			times++
		}
	}
	return times
}

// requireDead waits until tokens are dead, and wants IMS to have been asked for that once.
func (r *revoking) requireDead(t *testing.T, patience time.Duration, tokens ...string) {
	t.Helper()
	for i, token := range tokens {
		vaulttest.WaitFor(t, patience, "the token to die", func() error {
			if r.ims.Valid(token) {
				return fmt.Errorf("token %d of %d lives", i+1, len(tokens))
			}
			return nil
		})
		require.Equal(t, 1, r.asked(token), "requests to invalidate token %d of %d", i+1, len(tokens))
	}
}

// failToInvalidate makes IMS fail when it is to invalidate this token.
func (r *revoking) failToInvalidate(token string, fault emulator.Fault) (remove func()) {
	fault.Path = emulator.InvalidatePath
	fault.Match = func(request *http.Request) bool { return request.PostForm.Get("token") == token }
	return r.ims.Inject(fault)
}

// requireNoLeases waits until none of the plugin's leases is left, irrevocable ones included.
func (r *revoking) requireNoLeases(t *testing.T, roles ...string) {
	t.Helper()
	for _, role := range roles {
		vaulttest.WaitFor(t, 30*time.Second, "the leases of "+role+" to be revoked", func() error {
			if left := r.vault.List(t, "sys/leases/lookup/adobeims/token/"+role); len(left) > 0 {
				return fmt.Errorf("%d are left", len(left))
			}
			return nil
		})
	}
	irrevocable, err := r.vault.Client(t).Logical().ReadWithData("sys/leases", map[string][]string{"type": {"irrevocable"}})
	require.NoError(t, err)
	require.Equal(t, 0, integer(t, irrevocable.Data["lease_count"]), "irrevocable leases: %v", irrevocable.Data)
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	r := startRevoking(t)
	// Vault tries again by itself, after 5 to 15 s: begun first, looked at last.
	retried := r.beginFailingRevocation(t)

	t.Run("of a shared token", r.testShared)
	t.Run("of an exclusive token", r.testExclusive)
	t.Run("by expiry", r.testExpiry)
	t.Run("by prefix", r.testPrefix)
	t.Run("of the Vault token", r.testVaultToken)
	t.Run("of a token that IMS does not know", r.testUnknownToken)
	t.Run("after the config is gone", r.testConfigGone)
	t.Run("of a token that is too large", r.testTooLarge)
	t.Run("by the kill switch, which is not for exclusive tokens", r.testKillSwitch)

	t.Run("that fails at first", func(t *testing.T) {
		vaulttest.WaitFor(t, 30*time.Second, "Vault to try again", func() error {
			if r.ims.Valid(retried) {
				return errors.New("the token lives")
			}
			return nil
		})
		require.Equal(t, 4, r.asked(retried), "three times in vain")
	})
	t.Run("of a token that expired while Vault was down", r.testExpiredMeanwhile)
	r.requireNoLeases(t, "firefly", "single", "brief", "gone", "huge", "stubborn")
}

// beginFailingRevocation has a lease revoked that IMS fails to end the token of, as often as the plugin
// asks the first time. It returns the token.
func (r *revoking) beginFailingRevocation(t *testing.T) string {
	t.Helper()
	r.vault.Write(t, "adobeims/roles/stubborn", vaulttest.Data{"scopes": "openid", "exclusive": true, "verify": false})
	token, lease := r.lease(t, "adobeims/token/stubborn")
	r.failToInvalidate(token, emulator.Fault{Status: http.StatusServiceUnavailable, Times: 3})
	require.NoError(t, r.vault.Client(t).Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: lease}), "Vault does it later")
	return token
}

func (r *revoking) testShared(t *testing.T) {
	token, mine := r.lease(t, tokenPath)
	same, _ := r.lease(t, tokenPath)
	require.Equal(t, token, same)
	require.NoError(t, r.revoke(t, mine))
	require.True(t, r.ims.Valid(token), "others hold it")
	require.Zero(t, r.asked(token))
	same, other := r.lease(t, tokenPath)
	require.Equal(t, token, same)
	require.NoError(t, r.revoke(t, other))
	require.NoError(t, r.vault.Client(t).Sys().RevokePrefix("adobeims/token/firefly"))
	r.requireNoLeases(t, "firefly")
	require.Zero(t, r.asked(token))
	require.True(t, r.ims.Valid(token), "not the last lease either: delete token/<role> ends it")
}

func (r *revoking) testExclusive(t *testing.T) {
	token, lease := r.lease(t, singlePath)
	other, otherLease := r.lease(t, singlePath)
	require.NotEqual(t, token, other)
	require.NoError(t, r.revoke(t, lease))
	r.requireDead(t, 0, token)
	require.True(t, r.ims.Valid(other))
	for _, request := range r.ims.Requests(emulator.InvalidatePath) {
		require.Empty(t, request.Form.Get("cascading")+request.Query.Get("cascading"))
	}
	require.NoError(t, r.revoke(t, otherLease))
	r.requireDead(t, 0, other)
}

// A lease shorter than its token's life ends the token with it.
func (r *revoking) testExpiry(t *testing.T) {
	r.vault.Write(t, "adobeims/roles/brief", vaulttest.Data{"scopes": "openid", "exclusive": true, "max_ttl": "2s", "verify": false})
	answer := r.vault.Read(t, "adobeims/token/brief")
	require.LessOrEqual(t, answer.LeaseDuration, 2)
	r.requireDead(t, 20*time.Second, answer.Data["access_token"].(string))
}

func (r *revoking) testPrefix(t *testing.T) {
	var tokens []string
	for range 5 {
		token, _ := r.lease(t, singlePath)
		tokens = append(tokens, token)
	}
	require.NoError(t, r.vault.Client(t).Sys().RevokePrefix(singlePath))
	r.requireDead(t, 20*time.Second, tokens...)
}

// Vault revokes the leases of a Vault token with it: of the application that ended, and no other's.
func (r *revoking) testVaultToken(t *testing.T) {
	child := r.vault.TokenWithPolicy(t, `path "adobeims/token/*" { capabilities = ["read"] }`)
	app := r.vault.ClientWithToken(t, child).Logical()
	exclusive, err := app.Read(singlePath)
	require.NoError(t, err)
	shared, err := app.Read(tokenPath)
	require.NoError(t, err)
	require.NoError(t, r.vault.Client(t).Auth().Token().RevokeTree(child))
	r.requireDead(t, 20*time.Second, exclusive.Data["access_token"].(string))
	r.requireNoLeases(t, "firefly")
	require.True(t, r.ims.Valid(shared.Data["access_token"].(string)))
}

// What IMS says of a token that has died by itself or by somebody else's hand is not documented.
func (r *revoking) testUnknownToken(t *testing.T) {
	for _, fault := range []emulator.Fault{{Status: 400, Code: "invalid_token"}, {Status: 401, Code: "invalid_token"}} {
		token, lease := r.lease(t, singlePath)
		defer r.failToInvalidate(token, fault)()
		require.NoError(t, r.revoke(t, lease), "%d", fault.Status)
		require.Equal(t, 1, r.asked(token))
	}
}

func (r *revoking) testConfigGone(t *testing.T) {
	r.vault.Write(t, "adobeims/config/gone", vaulttest.Data{"client_id": clientID, "client_secret": clientSecret, "ims_url": r.ims.URL})
	r.vault.Write(t, "adobeims/roles/gone", vaulttest.Data{"config": "gone", "scopes": "openid", "exclusive": true, "verify": false})
	token, lease := r.lease(t, "adobeims/token/gone")
	r.vault.Delete(t, "adobeims/roles/gone")
	r.vault.Delete(t, "adobeims/config/gone")
	require.NoError(t, r.revoke(t, lease))
	require.Equal(t, 1, r.asked(token), "without a secret, as there is none any more")
}

// A token that is larger than any that could be kept is handed to nobody, so it must not live.
func (r *revoking) testTooLarge(t *testing.T) {
	token := strings.Repeat("<", 60_000)
	r.vault.Write(t, "adobeims/roles/huge", vaulttest.Data{"scopes": "huge", "exclusive": true, "verify": false})
	defer r.ims.Inject(emulator.Fault{
		Path:  emulator.TokenPath,
		Match: func(request *http.Request) bool { return request.PostForm.Get("scope") == "huge" },
		Body:  `{"access_token":"` + token + `","token_type":"bearer","expires_in":3600}`,
	})()
	_, err := r.vault.Client(t).Logical().Read("adobeims/token/huge")
	requireStatus(t, http.StatusBadGateway, err, "larger than any token that could be kept")
	require.NotContains(t, err.Error(), "<<<")
	vaulttest.WaitFor(t, 10*time.Second, "the token to be ended", func() error {
		if r.asked(token) == 0 {
			return errors.New("IMS was not asked")
		}
		return nil
	})
}

func (r *revoking) testKillSwitch(t *testing.T) {
	token, lease := r.lease(t, singlePath)
	_, err := r.vault.Client(t).Logical().Delete(singlePath)
	requireStatus(t, http.StatusBadRequest, err, "each token has a lease of its own")
	require.ErrorContains(t, err, "vault lease revoke -prefix "+singlePath)
	require.True(t, r.ims.Valid(token))
	require.NoError(t, r.revoke(t, lease))
}

func (r *revoking) testExpiredMeanwhile(t *testing.T) {
	r.ims.Configure(func(o *emulator.Options) { o.TokenLife = 3 * time.Second })
	token, _ := r.lease(t, singlePath)
	r.vault.Kill()
	_, expires := lifeOf(t, token)
	time.Sleep(time.Until(expires))
	r.vault.Restart(t)
	r.requireNoLeases(t, "single")
	require.Zero(t, r.asked(token), "it is dead already")
}

// A mount can be removed while IMS is gone: the tokens live until they expire, their leases do not.
func TestRemovalOfTheMount(t *testing.T) {
	for _, o := range []*outage{&outages[0], &outages[1]} {
		t.Run("with IMS "+o.name, func(t *testing.T) {
			r := startRevoking(t)
			var tokens []string
			for range 8 {
				token, _ := r.lease(t, singlePath)
				tokens = append(tokens, token)
			}
			_, _ = r.lease(t, tokenPath)
			r.vault.Write(t, configPath, vaulttest.Data{"request_timeout": "2s"})
			if o.fault == nil {
				r.ims.Stop()
			} else {
				r.ims.Inject(emulator.Fault{Path: emulator.InvalidatePath, Hang: true})
			}

			r.ims.ResetCounters()
			removal := during(func() { require.NoError(t, r.vault.Client(t).Sys().Unmount("adobeims")) })
			took := removal.to.Sub(removal.from)
			t.Logf("%d leases: %s; IMS was asked %d times", len(tokens)+1, took, r.ims.Count(emulator.InvalidatePath))
			require.Less(t, took, 8*time.Second, "as long as one time-out of IMS, not one for each lease")
			require.LessOrEqual(t, r.ims.Count(emulator.InvalidatePath), 1)
			for _, token := range tokens {
				require.True(t, r.ims.Valid(token))
			}
			r.requireNoLeases(t, "single", "firefly")
			mounts, err := r.vault.Client(t).Sys().ListMounts()
			require.NoError(t, err)
			require.NotContains(t, mounts, vaulttest.Mount)
		})
	}
}

// SPDX-License-Identifier: MPL-2.0

package test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

const (
	refreshedLife    = 20 * time.Second
	refreshedLatency = 800 * time.Millisecond
)

// Readers who read all the time wait for IMS once, at their first read, and see IMS asked for one token
// in about half a token's life, however many of them there are. A role that nobody reads costs nothing.
func TestNobodyWaits(t *testing.T) {
	t.Parallel()
	ims := startAdobe(t, refreshedLife)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)
	vault.Write(t, "adobeims/roles/leaseless", vaulttest.Data{"scopes": "openid", "leased": false, "verify": false})
	vault.Write(t, "adobeims/roles/seldom", vaulttest.Data{"scopes": "firefly_api", "verify": false})
	vault.Write(t, "adobeims/roles/idle", vaulttest.Data{"scopes": "AdobeID", "verify": false})
	ims.Configure(func(o *emulator.Options) { o.Latency = refreshedLatency })
	ims.ResetCounters() // the config was verified with a token

	leased := []*reader{
		ims.startReader(t, tokenPath, 150*time.Millisecond, vault),
		ims.startReader(t, tokenPath, 200*time.Millisecond, vault),
		ims.startReader(t, tokenPath, 250*time.Millisecond, vault),
	}
	leaseless := ims.startReader(t, "adobeims/token/leaseless", 200*time.Millisecond, vault)
	// Each time its token is past its half-life: none of its reads can have had it replaced.
	seldom := ims.startReader(t, "adobeims/token/seldom", refreshedLife*11/20, vault)
	vault.Read(t, "adobeims/token/idle")
	time.Sleep(2 * refreshedLife)

	requireRefreshedAhead(t, seldom.end(), ims.mintsOf("firefly_api"))
	for _, r := range leased {
		reads := r.end()
		requireRefreshedAhead(t, reads, ims.mintsOf("openid,AdobeID,firefly_api"))
		requireLeasesWithinLife(t, reads)
	}
	reads := leaseless.end()
	requireRefreshedAhead(t, reads, ims.mintsOf("openid"))
	requireStaticRole(t, reads)
	// Its token was read, so it was replaced once; the next one nobody has read.
	require.LessOrEqual(t, ims.mintsOf("AdobeID"), 2, "the role that was read once")
}

// requireRefreshedAhead wants only the first read to have waited, and each token to be handed out in the
// first half of its life.
func requireRefreshedAhead(t *testing.T, reads []read, mints int) {
	t.Helper()
	requireGood(t, reads)
	require.GreaterOrEqual(t, reads[0].took(), refreshedLatency, "the first read waits for IMS")
	slowest, leastLeft := time.Duration(0), refreshedLife
	for i, r := range reads {
		require.Empty(t, r.answer.Warnings)
		if i > 0 {
			slowest = max(slowest, r.took())
		}
		_, expires := lifeOf(t, r.token())
		leastLeft = min(leastLeft, expires.Sub(r.sent))
	}
	// Who waits for IMS waits for most of its latency: so many readers have not all come at the end of it.
	require.Less(t, slowest, refreshedLatency*3/4, "a read after the first has waited for IMS")
	// A busy machine may be a little late with a new token: that is no reason to let anybody wait.
	require.Greater(t, leastLeft, refreshedLife/2-time.Second, "a token was handed out with less than half its life")

	// A token is replaced when 8 to 9 s of its 20 are over: in 40 s there are 5 tokens, or 6.
	require.GreaterOrEqual(t, mints, 5)
	require.LessOrEqual(t, mints, 6)
	tokens := tokensOf(t, reads)
	require.InDelta(t, mints, len(tokens), 1, "all but the newest, perhaps, were handed out")
	t.Logf("%d reads, %d mints; slowest read after the first: %s; least life left: %s", len(reads), mints, slowest, leastLeft)
}

func requireLeasesWithinLife(t *testing.T, reads []read) {
	t.Helper()
	for _, r := range reads {
		_, expires := lifeOf(t, r.token())
		lease := time.Duration(r.answer.LeaseDuration) * time.Second
		require.Positive(t, lease)
		require.LessOrEqual(t, lease, expires.Sub(r.sent), "the lease outlives the token")
		require.LessOrEqual(t, integer(t, r.answer.Data["expires_in"]), int(expires.Sub(r.sent)/time.Second))
	}
}

// requireStaticRole wants what a consumer of a static role relies on: when ttl is over there is a newer
// secret.
func requireStaticRole(t *testing.T, reads []read) {
	t.Helper()
	for i, r := range reads {
		require.Empty(t, r.answer.LeaseID)
		require.Zero(t, r.answer.LeaseDuration)
		ttl, period := integer(t, r.answer.Data["ttl"]), integer(t, r.answer.Data["rotation_period"])
		require.Positive(t, ttl)
		require.LessOrEqual(t, ttl, period+1, "but for rounding")
		require.InDelta(t, refreshedLife.Seconds()/2, period, 1, "half of the token's life")
		minted, err := time.Parse(time.RFC3339Nano, r.answer.Data["last_vault_rotation"].(string))
		require.NoError(t, err)
		created, _ := lifeOf(t, r.token())
		require.WithinDuration(t, created, minted, refreshedLatency)

		over := r.received.Add(time.Duration(ttl) * time.Second)
		for _, later := range reads[i:] {
			if later.sent.After(over) {
				require.NotEqual(t, r.token(), later.token(), "ttl was %d s; the read %s after it has the same token", ttl, later.sent.Sub(over))
				break
			}
		}
	}
}

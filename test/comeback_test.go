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

// A leaseless token past its turn, while IMS fails, says when it is worth coming
// back. The Vault Secrets Operator takes a ttl of two seconds or less for a rotation
// under way, and Vault Agent reads again once it is over.
func TestWhenToComeBackInAnOutage(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Start(t)
	var fleets []*fleet
	for _, o := range []*outage{
		{name: "unavailable", fault: &emulator.Fault{Status: http.StatusServiceUnavailable}},
		{name: "throttling", fault: &emulator.Fault{Status: http.StatusTooManyRequests, RetryAfter: "5"}},
		{name: "refusing"},
	} {
		ims := startAdobe(t, 16*time.Second)
		o.configure(t, vault, ims, vaulttest.Data{"max_retries": 0})
		vault.Write(t, "adobeims/roles/"+o.name, vaulttest.Data{"leased": false})
		f := &fleet{outage: o, first: vault.Read(t, o.path()).Data["access_token"].(string)}
		created, expires := lifeOf(t, f.first)
		f.life, f.expires = expires.Sub(created), expires
		o.begin(ims)
		fleets = append(fleets, f)
	}
	for last := fleets[0].expires.Add(-1500 * time.Millisecond); time.Now().Before(last); time.Sleep(200 * time.Millisecond) {
		for _, f := range fleets {
			f.look(t, vault)
		}
	}
	for _, f := range fleets {
		require.Greater(t, f.past, 10, "%s: reads while it fails", f.name)
	}
}

// fleet reads one leaseless token.
type fleet struct {
	*outage
	first   string
	life    time.Duration
	expires time.Time
	past    int // how many reads were of a token that IMS gives no newer one for
}

// look reads the token and holds its ttl against what those who read it make of it.
func (f *fleet) look(t *testing.T, vault *vaulttest.Server) {
	t.Helper()
	status := vault.Read(t, "adobeims/status/"+f.name).Data
	answer := vault.Read(t, f.path())
	require.Equal(t, f.first, answer.Data["access_token"])
	ttl, left := time.Duration(integer(t, answer.Data["ttl"]))*time.Second, time.Until(f.expires)
	if left > 3*time.Second {
		require.Greater(t, ttl, 2*time.Second, "with %s left", left)
	}
	if len(answer.Warnings) == 0 || status["state"] != "degraded" {
		return
	}
	f.past++
	// The ttl is rounded up, and of a moment before.
	require.LessOrEqual(t, ttl, max(left/2+1200*time.Millisecond, 3*time.Second), "with %s left", left)
	next, err := time.Parse(time.RFC3339, status["next_attempt_time"].(string))
	require.NoError(t, err)
	if wait := time.Until(next); left < f.life/2-time.Second && wait < left/2-time.Second {
		require.GreaterOrEqual(t, ttl, wait-time.Second, "the next attempt comes first: %s", answer.Warnings)
	}
}

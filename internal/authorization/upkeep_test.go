// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// An authorization that nobody reads for a month is still alive.
func TestKeepAlive(t *testing.T) {
	f := authorized(t)
	renewals := 0
	for range 31 * 24 {
		f.clock.Advance(time.Hour)
		require.NoError(t, f.Tick(t.Context()))
		if renewed := f.store.renewals(); renewed > renewals {
			renewals = renewed
			f.mustMint() // as the store does it
		}
		require.True(t, f.valid(f.refreshToken()))
	}
	require.Less(t, renewals, 6, "at half of the refresh token's life")
	require.Greater(t, renewals, 3)
}

// An authorization that cannot be kept alive is not tried every minute, and not at
// all once it has lapsed.
func TestKeepAliveThatFails(t *testing.T) {
	f := authorized(t)
	f.clock.Advance(refreshLife/2 - time.Minute)
	require.NoError(t, f.Tick(t.Context()))
	require.Zero(t, f.store.renewals())
	for range 10 * 60 {
		f.clock.Advance(time.Minute)
		require.NoError(t, f.Tick(t.Context()))
	}
	require.Equal(t, 10, f.store.renewals(), "once an hour")
	require.Zero(t, f.ims.Count(""), "the store is asked, not IMS")
	f.clock.Advance(refreshLife)
	require.NoError(t, f.Tick(t.Context()))
	require.Len(t, f.store.renewed, 10)
}

func TestWhatIsNotKeptAlive(t *testing.T) {
	for name, change := range map[string]func(*fixture){
		"role gone":    func(f *fixture) { f.roles.remove("designer") },
		"other scopes": func(f *fixture) { f.role("designer", "person", "openid") },
		"condemned": func(f *fixture) {
			f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
			require.NoError(f.t, f.Condemn(f.t.Context(), "designer"))
		},
		"on a standby": func(f *fixture) { f.node.standby = true },
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			change(f)
			f.clock.Advance(refreshLife * 3 / 4)
			require.NoError(t, f.Tick(t.Context()))
			require.Empty(t, f.store.renewed)
		})
	}
}

// A revocation that fails is tried again less and less often.
func TestRevocationIsTriedAgain(t *testing.T) {
	f := authorized(t)
	refresh := f.refreshToken()
	f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
	require.NoError(t, f.Condemn(t.Context(), "designer"))
	for range 5 * 60 {
		require.NoError(t, f.Tick(t.Context()))
		f.clock.Advance(time.Minute)
	}
	require.InDelta(t, 10, f.ims.Count(emulator.RevokePath), 2)
	f.ims.ClearFaults()
	f.clock.Advance(time.Hour)
	require.NoError(t, f.Tick(t.Context()))
	require.False(t, f.valid(refresh))
	require.Nil(t, f.onRecord())
	require.Empty(t, f.upkeep.revoking)
}

func TestSweep(t *testing.T) {
	f := newFixture(t)
	f.role("other", "person", "openid", "offline_access")
	for range 3 {
		f.begin(false)
	}
	_, err := f.Begin(t.Context(), f.spec("other"), false)
	require.NoError(t, err)
	for key, value := range map[string]any{
		StatePrefix + "of-an-earlier-version": map[string]any{"role": "designer", "verifier": "v", "expires": f.clock.Now()},
		StatePrefix + "unreadable":            "nonsense",
		StatePrefix + "probe":                 signIn{},
	} {
		require.NoError(t, f.storage.Storage.Put(t.Context(), mustEntry(t, key, value)))
	}
	require.NoError(t, f.Tick(t.Context()))
	hashes, lists := f.states()
	require.Equal(t, 4, hashes, "those under way")
	require.Equal(t, 2, lists)
	in := f.begin(false)
	f.clock.Advance(signInLife - time.Second)
	require.NoError(t, f.Tick(t.Context()))
	code, state := f.consent(in, alice)
	_, _, err = f.Redeem(t.Context(), state, code, "", false)
	require.NoError(t, err)
	f.clock.Advance(time.Second)
	require.NoError(t, f.Tick(t.Context()))
	hashes, lists = f.states()
	require.Zero(t, hashes)
	require.Zero(t, lists)
}

// One Tick looks at a limited number of sign-ins, and the next goes on from there.
func TestSweepIsBounded(t *testing.T) {
	f := newFixture(t)
	const many = 3*maxSwept + 10
	for i := range many {
		in := signIn{Role: "designer", Expires: f.clock.Now().Add(signInLife)}
		if i >= many-5 {
			in.Expires = f.clock.Now()
		}
		require.NoError(t, f.storage.Storage.Put(t.Context(), mustEntry(t, StatePrefix+hashOf(numbered("state", i)), in)))
	}
	for range 4 {
		f.storage.reset()
		require.NoError(t, f.sweep(t.Context()))
		require.LessOrEqual(t, f.storage.count("get"), maxSwept)
	}
	hashes, _ := f.states()
	require.Equal(t, many-5, hashes, "all were looked at in the end")
}

func TestTickStorageFailures(t *testing.T) {
	for name, broken := range map[string]fault{
		"authorizations listed": {op: "list", prefix: Prefix},
		"authorization read":    {op: "get", prefix: Prefix},
		"sign-ins listed":       {op: "list", prefix: StatePrefix},
		"sign-in read":          {op: "get", prefix: StatePrefix},
		"sign-in deleted":       {op: "delete", prefix: StatePrefix},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			f.begin(false)
			f.clock.Advance(signInLife)
			f.restart()
			f.storage.fail(broken)
			require.Equal(t, errBroken, f.Tick(t.Context()))
			f.storage.heal()
			require.NoError(t, f.Tick(t.Context()))
			f.mustMint()
		})
	}
}

func TestForget(t *testing.T) {
	f := authorized(t)
	first := f.refreshToken()
	a := *f.onRecord()
	a.RefreshToken = "another node's"
	require.NoError(t, put(t.Context(), f.storage.Storage, Prefix+"designer", &a))
	require.Equal(t, first, f.refreshToken(), "from memory")
	f.Forget("designer")
	require.Equal(t, a.RefreshToken, f.refreshToken())
}

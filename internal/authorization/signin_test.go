// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func requireStale(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, ErrStale)
	var told *advice.Error
	require.ErrorAs(t, err, &told)
	require.Contains(t, told.Command, "vault write -f <mount>/authorize/")
}

func TestBegin(t *testing.T) {
	f := newFixture(t)
	in := f.begin(false)
	require.Equal(t, f.clock.Now().Add(10*time.Minute), in.Expires)
	u, err := url.Parse(in.URL)
	require.NoError(t, err)
	query := u.Query()
	require.Equal(t, "openid,AdobeID,offline_access", query.Get("scope"))
	require.Equal(t, "S256", query.Get("code_challenge_method"))
	require.NotEmpty(t, query.Get("code_challenge"))
	require.Equal(t, redirectURI, query.Get("redirect_uri"))
	require.Equal(t, in.State, query.Get("state"))
	require.Greater(t, len(in.State), 40)
	require.Zero(t, f.ims.Count(""))
	for _, key := range f.storage.keys(t) {
		require.NotContains(t, key, in.State, "storage does not tell what a state is")
	}
}

func TestRolesThatNoPersonAuthorizes(t *testing.T) {
	f := newFixture(t)
	f.configure("own", func(c *credential.Credential) { c.Type, c.RedirectURI = credential.ServerToServer, "" })
	f.role("firefly", "own", "openid")
	spec := f.spec("firefly")
	_, err := f.Begin(t.Context(), spec, false)
	require.ErrorContains(t, err, "needs no authorization")
	_, err = f.Import(t.Context(), spec, "token", false)
	require.ErrorContains(t, err, "needs no authorization")
	spec.Config = "gone"
	_, err = f.Begin(t.Context(), spec, false)
	require.True(t, advice.IsMissing(err))
	require.Zero(t, f.ims.Count(""))
	require.Zero(t, f.storage.count("delete"))
}

func TestStates(t *testing.T) {
	f := newFixture(t)
	f.role("other", "person", "openid", "AdobeID", "offline_access")
	redeem := func(state, code, role string) error {
		_, _, err := f.Redeem(t.Context(), state, code, role, false)
		return err
	}
	code, state := f.consent(f.begin(false), alice)
	requireStale(t, redeem(state, code, "other"))
	require.ErrorContains(t, redeem(state, strings.Repeat("x", maxCode+1), "designer"), "code: longer than 8192")
	require.ErrorContains(t, redeem(state, "", "designer"), "code: empty")
	require.NoError(t, redeem(state, code, "designer"), "none of these used it up")

	for name, state := range map[string]string{
		"used": state, "unknown": "made-up", "none": "", "long": strings.Repeat("x", 3<<20), "a role's list": "roles/designer",
	} {
		t.Run(name, func(t *testing.T) { requireStale(t, redeem(state, code, "")) })
	}

	code, state = f.consent(f.begin(false), alice)
	f.clock.Advance(signInLife)
	requireStale(t, redeem(state, code, "designer"))
	require.Equal(t, 1, f.ims.Count(emulator.TokenPath), "codes of stale states are sent nowhere")
	hashes, lists := f.states()
	require.Zero(t, hashes)
	require.Zero(t, lists)
	f.requireIdle()
}

func TestStateIsUsedOnceAtTheSameMoment(t *testing.T) {
	f := newFixture(t)
	code, state := f.consent(f.begin(false), alice)
	var group sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		group.Go(func() { _, _, errs[i] = f.Redeem(t.Context(), state, code, "", false) })
	}
	group.Wait()
	granted := 0
	for _, err := range errs {
		if err == nil {
			granted++
			continue
		}
		requireStale(t, err)
	}
	require.Equal(t, 1, granted)
	require.Equal(t, 1, f.ims.Count(emulator.TokenPath))
}

func TestStrangersLeaveNothingBehind(t *testing.T) {
	f := authorized(t)
	before := f.storage.keys(t)
	for i := range 1000 {
		_, _, err := f.Redeem(t.Context(), fmt.Sprint("state", i), "code", "", false)
		requireStale(t, err)
		_, err = f.Deny(t.Context(), fmt.Sprint("state", i))
		requireStale(t, err)
	}
	require.Equal(t, before, f.storage.keys(t))
	require.Zero(t, f.storage.count("put", "delete", "list"))
	require.Equal(t, 2000, f.storage.count("get"), "one read each")
	require.Zero(t, f.ims.Count(""))
	f.requireIdle()
}

func TestOldestSignInGivesWay(t *testing.T) {
	f := newFixture(t)
	f.role("other", "person", "openid", "AdobeID", "offline_access")
	_, err := f.Begin(t.Context(), f.spec("other"), false)
	require.NoError(t, err)
	var ins []*SignIn
	for range maxSignIns + 2 {
		ins = append(ins, f.begin(false))
		f.clock.Advance(time.Second)
	}
	hashes, lists := f.states()
	require.Equal(t, maxSignIns+1, hashes)
	require.Equal(t, 2, lists)
	for i, in := range ins {
		code, state := f.consent(in, alice)
		_, _, err := f.Redeem(t.Context(), state, code, "", false)
		if i < 2 {
			requireStale(t, err)
			continue
		}
		require.NoError(t, err, i)
	}
}

func TestBeginningListsNothing(t *testing.T) {
	f := newFixture(t)
	f.begin(false)
	require.Zero(t, f.storage.count("list"))
}

func TestDeny(t *testing.T) {
	f := newFixture(t)
	_, state := f.consent(f.begin(false), alice)
	role, err := f.Deny(t.Context(), state)
	require.NoError(t, err)
	require.Equal(t, "designer", role)
	_, err = f.Deny(t.Context(), state)
	requireStale(t, err)
	_, _, err = f.Redeem(t.Context(), state, "code", "", false)
	requireStale(t, err)
	require.Nil(t, f.onRecord())
}

func TestSignInStorageFailures(t *testing.T) {
	for name, test := range map[string]struct {
		fault fault
		begin bool
	}{
		"list read":        {fault{op: "get", prefix: openPrefix}, true},
		"list written":     {fault{op: "put", prefix: openPrefix}, true},
		"state written":    {fault{op: "put", prefix: StatePrefix, skip: 1}, true},
		"state read":       {fault{op: "get", prefix: StatePrefix}, false},
		"state read again": {fault{op: "get", prefix: StatePrefix, skip: 1}, false},
		"state deleted":    {fault{op: "delete", prefix: StatePrefix}, false},
		"list read back":   {fault{op: "get", prefix: openPrefix}, false},
		"list shortened":   {fault{op: "delete", prefix: openPrefix}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			code, state := "", ""
			if !test.begin {
				code, state = f.consent(f.begin(false), alice)
			}
			f.ims.ResetCounters()
			f.storage.fail(test.fault)
			var err error
			if test.begin {
				_, err = f.Begin(t.Context(), f.spec("designer"), false)
			} else {
				_, _, err = f.Redeem(t.Context(), state, code, "", false)
			}
			require.Equal(t, errBroken, err, "as it came")
			f.storage.heal()
			require.Zero(t, f.ims.Count(emulator.TokenPath))
			require.Nil(t, f.onRecord())
			f.signIn(alice)
		})
	}
}

func TestOldestIsDroppedThoughStorageFails(t *testing.T) {
	f := newFixture(t)
	oldest := f.begin(false)
	for range maxSignIns - 1 {
		f.begin(false)
	}
	f.storage.fail(fault{op: "delete", prefix: StatePrefix})
	_, err := f.Begin(t.Context(), f.spec("designer"), false)
	require.Equal(t, errBroken, err)
	f.storage.heal()
	code, state := f.consent(oldest, alice)
	_, _, err = f.Redeem(t.Context(), state, code, "", false)
	requireStale(t, err)
}

// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

var _ tokens.Minter = (*Service)(nil)

func TestMint(t *testing.T) {
	f := authorized(t)
	before := f.onRecord()
	f.clock.Advance(tokenLife)
	f.storage.reset()
	token := f.mustMint()
	require.Equal(t, 2, f.storage.count("put"), "one to prove storage, one for the successor")
	require.True(t, token.Fits(f.spec("designer")))
	require.Equal(t, tokenLife, token.Life())
	require.Equal(t, []string{"openid", "AdobeID", "offline_access"}, token.Granted)
	require.Equal(t, before.Subject, token.AccountID)

	after := f.onRecord()
	require.NotEqual(t, before.RefreshToken, after.RefreshToken)
	require.True(t, f.valid(after.RefreshToken))
	require.Equal(t, before.Granted, after.Granted, "when the person consented")
	require.Equal(t, f.clock.Now(), after.Refreshed)
	require.Equal(t, f.clock.Now().Add(refreshLife), after.Expires)
	require.Equal(t, before.Subject, after.Subject)
	require.Zero(t, after.Spending)
	f.restart()
	f.mustMint()
	f.requireIdle()
}

func TestWhoseItIsIsLearnt(t *testing.T) {
	f := authorized(t)
	whose := f.onRecord().Subject
	f.forgetSubject()
	f.mustMint()
	require.Equal(t, whose, f.onRecord().Subject)
}

// A refresh token is not spent for what the role is not, and a person is told.
func TestMintWithoutAuthorization(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*fixture)
		says   string
	}{
		"nobody":       {func(f *fixture) { f.revoke() }, "is not authorized"},
		"condemned":    {func(f *fixture) { require.NoError(f.t, f.Condemn(context.Background(), "designer")) }, "is not authorized"},
		"other scopes": {func(f *fixture) { f.role("designer", "person", "openid", "offline_access") }, "scopes are not those"},
		"another client": {func(f *fixture) {
			f.configure("person", func(c *credential.Credential) { c.ClientID = "another-client" })
		}, "config is not the one"},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			test.change(f)
			f.ims.ResetCounters()
			f.storage.reset()
			token, err := f.mint()
			require.Nil(t, token)
			f.requireUnauthorized(err)
			require.ErrorContains(t, err, test.says)
			require.Zero(t, f.ims.Count(""))
			require.Zero(t, f.storage.count("put"))
			f.requireIdle()
		})
	}
}

// A spec from before its config was written gets the refresh token to no other
// server.
func TestMintForAnOldSpec(t *testing.T) {
	f := authorized(t)
	spec := f.spec("designer")
	f.configure("person", func(c *credential.Credential) { c.ClientID = "another-client" })
	_, err := f.Mint(t.Context(), spec, mintOrder(false))
	require.ErrorIs(t, err, errChanged)
	require.Zero(t, f.ims.Count(""))
}

func TestRefusedRefresh(t *testing.T) {
	for _, test := range []struct {
		code         string
		unauthorized bool
	}{{"access_denied", true}, {"invalid_grant", true}, {"invalid_client", false}, {"unauthorized_client", false}} {
		t.Run(test.code, func(t *testing.T) {
			f := authorized(t)
			before := f.refreshToken()
			remove := f.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: test.code})
			_, err := f.mint()
			require.ErrorContains(t, err, test.code)
			var refused *ims.Error
			require.ErrorAs(t, err, &refused, "the root tells its kind and code")
			require.Equal(t, ims.Refused, refused.Kind)
			var unauthorized *Unauthorized
			require.Equal(t, test.unauthorized, errors.As(err, &unauthorized))
			if test.unauthorized {
				f.requireUnauthorized(err)
				require.ErrorContains(t, err, "needs to be authorized again")
			}
			require.Equal(t, before, f.refreshToken())
			remove()
			f.mustMint() // should IMS think better of it
		})
	}
}

// A wrong client secret is not the refresh token's fault, and a secret that a
// rotation left is tried.
func TestRefreshWithAnotherSecret(t *testing.T) {
	f := authorized(t)
	f.configure("person", func(c *credential.Credential) {
		c.Current = "wrong"
		c.Retired = []credential.Secret{{Value: clientSecret}}
	})
	f.mustMint()
	f.configure("person", func(c *credential.Credential) { c.Current = "wrong" })
	_, err := f.mint()
	require.ErrorContains(t, err, "invalid_client")
	var told *advice.Error
	require.NotErrorAs(t, err, &told)
}

// The successor is stored first, whatever else the answer holds.
func TestSuccessorBesideAnUnusableAccessToken(t *testing.T) {
	for name, alter := range map[string]func(map[string]any){
		"no access token": func(answer map[string]any) { delete(answer, "access_token") },
		"no life":         func(answer map[string]any) { answer["expires_in"] = -1 },
		"nonsense":        func(answer map[string]any) { answer["expires_in"] = "soon" },
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			before := f.onRecord()
			f.ims.AlterToken(alter)
			token, err := f.mint()
			require.Error(t, err)
			if name == "no access token" {
				require.Nil(t, token)
			} else {
				require.True(t, f.valid(token.AccessToken), "for the store to end")
				require.True(t, token.Expires.After(f.clock.Now()))
			}
			after := f.onRecord()
			require.NotEqual(t, before.RefreshToken, after.RefreshToken)
			require.True(t, f.valid(after.RefreshToken))
			require.Equal(t, before.Subject, after.Subject)
			f.ims.AlterToken(nil)
			f.restart()
			f.mustMint()
		})
	}
}

// An IMS that gives no new refresh token leaves the one there is in force.
func TestRefreshWithoutASuccessor(t *testing.T) {
	f := authorized(t, func(o *emulator.Options) { o.ReusableRefreshTokens = true })
	before := f.refreshToken()
	f.ims.AlterToken(func(answer map[string]any) { delete(answer, "refresh_token") })
	f.mustMint()
	f.mustMint()
	require.Equal(t, before, f.onRecord().RefreshToken)
	require.Empty(t, f.onRecord().Unrevoked)
}

// Storage that takes no write is found out before the refresh token is spent.
func TestStorageIsProvenFirst(t *testing.T) {
	for name, broken := range map[string]fault{
		"put":              {op: "put", prefix: Prefix},
		"put, with effect": {op: "put", prefix: Prefix, after: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			before := f.refreshToken()
			f.storage.fail(broken)
			token, err := f.mint()
			require.Nil(t, token)
			require.Equal(t, errBroken, err, "as it came")
			require.Zero(t, f.ims.Count(""), "IMS is not asked")
			f.storage.heal()
			f.restart() // the process dies
			require.Equal(t, before, f.refreshToken())
			f.mustMint()
		})
	}
}

// A successor that cannot be stored is kept in memory, and its access token is
// handed to nobody.
func TestSuccessorThatCannotBeStored(t *testing.T) {
	for name, faults := range map[string][]fault{
		"put":              {{op: "put", prefix: Prefix, skip: 1}},
		"put, with effect": {{op: "put", prefix: Prefix, skip: 1, after: true}},
		"all of storage":   {{op: "put", prefix: Prefix, skip: 1}, {op: "get", prefix: Prefix}},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			issued := f.recordIssued()
			for _, broken := range faults {
				f.storage.fail(broken)
			}
			token, err := f.mint()
			require.Equal(t, errBroken, err)
			require.NotNil(t, token, "for the store to end")
			successor := issued.refresh()[0]
			require.True(t, f.valid(successor))

			_, err = f.mint()
			require.Equal(t, errBroken, err)
			require.Len(t, issued.refresh(), 1, "stored before the next use")
			f.storage.heal()
			if name == "put" {
				require.NoError(t, f.Tick(t.Context()), "or when time has come")
				require.Equal(t, successor, f.onRecord().RefreshToken)
				f.restart()
			}
			f.mustMint()
			f.restart()
			f.mustMint()
			f.requireIdle()
		})
	}
}

// The same, though the cache lost the record while IMS was asked.
func TestSuccessorWhileStorageCannotBeRead(t *testing.T) {
	f := authorized(t)
	answer := f.minting()
	f.Forget("designer")
	f.storage.fail(fault{op: "get", prefix: Prefix})
	token, err := answer()
	require.Equal(t, errBroken, err)
	require.NotNil(t, token)
	f.storage.heal()
	f.mustMint()
	require.NotEqual(t, 0, f.ims.Count(emulator.TokenPath))
}

func TestRefreshTokenIsNeverUsedTwiceAtTheSameMoment(t *testing.T) {
	f := authorized(t)
	answer := f.minting()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := f.mint()
			require.NoError(t, err)
		})
	}
	_, err := answer()
	require.NoError(t, err)
	group.Wait()
	require.Equal(t, 21, f.ims.Count(emulator.TokenPath))
	require.Equal(t, 1, f.ims.Peak(emulator.TokenPath))
	used := map[string]bool{}
	for _, r := range f.ims.Requests(emulator.TokenPath) {
		require.False(t, used[r.Form.Get("refresh_token")])
		used[r.Form.Get("refresh_token")] = true
	}
}

func TestWaitingToMintEndsWithTheContext(t *testing.T) {
	f := authorized(t)
	answer := f.minting()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Mint(ctx, f.spec("designer"), mintOrder(false))
	require.ErrorIs(t, err, context.Canceled)
	_, err = answer()
	require.NoError(t, err)
}

// Once it is sent, a refresh is not lost to whoever goes away.
func TestCallerGoesAwayWhileIMSIsAsked(t *testing.T) {
	f := authorized(t)
	before := f.refreshToken()
	ctx, cancel := context.WithCancel(t.Context())
	arrived, open := f.gates.hold()
	done := make(chan error, 1)
	go func() {
		_, err := f.Mint(ctx, f.spec("designer"), mintOrder(false))
		done <- err
	}()
	<-arrived
	cancel()
	open()
	require.NoError(t, <-done)
	require.NotEqual(t, before, f.onRecord().RefreshToken)
	require.True(t, f.valid(f.onRecord().RefreshToken))
	f.mustMint()
}

// Whoever wants the token is asked when its turn has come, and nothing is sent
// for what is no longer so by then.
func TestProceed(t *testing.T) {
	stop := errors.New("stop")
	for name, test := range map[string]struct {
		proceed func(*fixture) error
		check   func(*fixture, error)
	}{
		"the store": {func(*fixture) error { return stop }, func(f *fixture, err error) { require.ErrorIs(f.t, err, stop) }},
		"condemned": {func(f *fixture) error { return f.Condemn(context.Background(), "designer") }, (*fixture).requireUnauthorized},
		"revoked": {func(f *fixture) error {
			_, err := f.Revoke(context.Background(), "designer")
			return err
		}, (*fixture).requireUnauthorized},
		"replaced": {func(f *fixture) error {
			f.signIn(bob)
			return nil
		}, func(f *fixture, err error) { require.ErrorIs(f.t, err, errChanged) }},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			before := f.refreshToken()
			token, err := f.Mint(t.Context(), f.spec("designer"), tokens.Order{Proceed: func() error { return test.proceed(f) }})
			require.Nil(t, token)
			test.check(f, err)
			for _, r := range f.ims.Requests(emulator.TokenPath) {
				require.NotEqual(t, string(before), r.Form.Get("refresh_token"), "never sent")
			}
			f.requireIdle()
		})
	}
}

func TestBackgroundMintsAreNotRepeated(t *testing.T) {
	f := authorized(t)
	f.configure("person", func(c *credential.Credential) { c.MaxRetries = 2 })
	f.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: http.StatusBadGateway})
	_, err := f.Mint(t.Context(), f.spec("designer"), mintOrder(true))
	require.Error(t, err)
	require.Equal(t, 1, f.ims.Count(emulator.TokenPath))
}

// A write to the config does not lose a refresh that is under way.
func TestConfigWrittenWhileIMSIsAsked(t *testing.T) {
	f := authorized(t)
	answer := f.minting()
	f.configure("person", func(c *credential.Credential) { c.ClientID = "another-client" })
	_, err := answer()
	require.NoError(t, err, "it is the store's to see that this is not what the role wants now")
	require.True(t, f.valid(f.onRecord().RefreshToken))
	require.Equal(t, clientID, f.onRecord().ClientID)
	f.configure("person", func(*credential.Credential) {})
	f.mustMint()
}

// After a crash that nothing could be done about, the person is asked again.
func TestDiedBetweenRefreshAndStoring(t *testing.T) {
	for _, reusable := range []bool{true, false} {
		f := authorized(t, func(o *emulator.Options) { o.ReusableRefreshTokens = reusable })
		f.storage.fail(fault{op: "put", prefix: Prefix, skip: 1})
		_, err := f.mint()
		require.Error(t, err)
		f.storage.heal()
		f.restart()
		require.NotZero(t, f.onRecord().Spending, "it may have been used")
		if reusable {
			f.mustMint()
			continue
		}
		_, err = f.mint()
		f.requireUnauthorized(err)
		f.signIn(alice)
		f.mustMint()
	}
}

// An earlier version's entry is served.
func TestEarlierEntries(t *testing.T) {
	f := authorized(t)
	a := f.onRecord()
	require.NoError(t, f.storage.Storage.Put(t.Context(), mustEntry(t, Prefix+"designer", map[string]any{
		"refresh_token": string(a.RefreshToken), "granted": a.Granted, "refreshed": a.Refreshed, "expires": a.Expires,
		"config": a.Config, "client_id": a.ClientID, "ims_url": a.IMSURL, "scopes": a.Scopes,
	})))
	require.NoError(t, f.storage.Storage.Put(t.Context(), mustEntry(t, Prefix+"other", map[string]any{
		"refresh_token": "gone", "expires": a.Expires, "config": a.Config, "client_id": a.ClientID, "ims_url": a.IMSURL, "condemned": true,
	})))
	f.restart()
	f.mustMint()
	require.NoError(t, f.Tick(t.Context()))
	other, err := f.Get(t.Context(), "other")
	require.NoError(t, err)
	require.Nil(t, other, "revoked")
}

func TestUnreadableEntry(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.storage.Storage.Put(t.Context(), mustEntry(t, Prefix+"designer", "nonsense")))
	_, err := f.mint()
	require.ErrorContains(t, err, "cannot be read")
}

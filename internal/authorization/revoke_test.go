// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func mustEntry(t *testing.T, key string, value any) *logical.StorageEntry {
	t.Helper()
	e, err := logical.StorageEntryJSON(key, value)
	require.NoError(t, err)
	return e
}

func TestRevoke(t *testing.T) {
	f := authorized(t)
	refresh, access := f.refreshToken(), f.store.adopted[0].AccessToken
	in := f.begin(false)
	f.events.sent = nil
	require.Empty(t, f.revoke())
	require.False(t, f.valid(refresh))
	require.False(t, f.valid(access), "IMS ends them with it")
	require.Empty(t, f.storageUnder(Prefix))
	require.Equal(t, []string{"authorization-delete authorize/designer"}, f.events.sent)
	_, err := f.mint()
	f.requireUnauthorized(err)

	code, state := f.consent(in, alice)
	_, _, err = f.Redeem(t.Context(), state, code, "", false)
	requireStale(t, err)

	f.ims.ResetCounters()
	require.Empty(t, f.revoke(), "again")
	require.Zero(t, f.ims.Count(""))
	f.requireIdle()
}

// Only an answer that says so of the refresh token makes an end of it.
func TestRevokeWithoutEvidence(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"a page":          {Status: 200, Body: "<html>please sign in", ContentType: "text/html"},
		"a page, 404":     {Status: 404, Body: "<html>not found", ContentType: "text/html"},
		"invalid_request": {Status: 400, Code: "invalid_request"},
		"access_denied":   {Status: 400, Code: "access_denied"},
		"invalid_client":  {Status: 400, Code: "invalid_client", Description: "invalid client_secret parameter"},
		"unavailable":     {Status: 503},
		"throttled":       {Status: 429, Code: "too_many_requests"},
		"dropped":         {Drop: true},
		"hanging":         {Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			refresh := f.refreshToken()
			fault.Path = emulator.RevokePath
			f.ims.Inject(fault)
			if fault.Hang {
				f.revokeTimeout = 50 * time.Millisecond
			}
			_, err := f.Revoke(t.Context(), "designer")
			var failed *RevokeError
			require.ErrorAs(t, err, &failed)
			require.ErrorContains(t, err, "vault delete <mount>/authorize/designer")
			var byIMS *ims.Error
			require.Equal(t, !fault.Hang, errors.As(err, &byIMS), "the root tells its kind")
			require.Equal(t, fault.Hang, errors.Is(err, context.DeadlineExceeded))
			require.True(t, f.valid(refresh))
			require.Empty(t, f.events.sent[1:])

			f.restart()
			_, err = f.mint()
			f.requireUnauthorized(err)
			now, err := f.Get(t.Context(), "designer")
			require.NoError(t, err)
			require.True(t, now.Condemned)

			f.ims.ClearFaults()
			f.revoke()
			require.False(t, f.valid(refresh))
			require.Nil(t, f.onRecord())
		})
	}
}

// What is dead already is no failure.
func TestRevokeOfWhatIsDead(t *testing.T) {
	for name, prepare := range map[string]func(*fixture){
		"invalid_token": func(f *fixture) {
			f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 400, Code: "invalid_token"})
		},
		"lapsed": func(f *fixture) {
			f.clock.Advance(refreshLife)
			f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
		},
		"client deleted at Adobe": func(f *fixture) {
			f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 400, Code: "invalid_client", Description: "invalid client_id parameter"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			prepare(f)
			require.Empty(t, f.revoke())
			require.Nil(t, f.onRecord())
		})
	}
}

// Without the credential nobody can ask IMS: that is said, and what cannot be
// ended is forgotten.
func TestRevokeWithoutTheCredential(t *testing.T) {
	for name, change := range map[string]func(*fixture){
		"config gone": func(f *fixture) { require.NoError(f.t, f.creds.Delete(context.Background(), "person")) },
		"another client": func(f *fixture) {
			f.configure("person", func(c *credential.Credential) { c.ClientID = "another-client" })
		},
		"another IMS": func(f *fixture) {
			f.configure("person", func(c *credential.Credential) { c.IMSURL = "http://localhost:1" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			a := f.onRecord()
			change(f)
			require.Equal(t, []Left{{ClientID: clientID, Subject: a.Subject, Expires: a.Expires}}, f.revoke())
			require.Zero(t, f.ims.Count(""), "the refresh token gets nowhere else")
			require.Contains(t, f.log.String(), "its credential is gone")
			require.Nil(t, f.onRecord())
		})
	}
}

// Former ones that are still to be revoked are revoked along with it.
func TestRevokeEndsFormerOnesToo(t *testing.T) {
	f := authorized(t)
	first := f.refreshToken()
	remove := f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
	f.signIn(bob)
	second := f.refreshToken()
	remove()
	// IMS ends the one and not the other.
	f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503, Skip: 1})
	_, err := f.Revoke(t.Context(), "designer")
	require.Error(t, err)
	require.False(t, f.valid(first))
	require.True(t, f.valid(second))
	require.Empty(t, f.onRecord().Unrevoked)
	f.ims.ClearFaults()
	f.revoke()
	require.False(t, f.valid(second))
}

// A condemnation waits for nobody who asks IMS, and what comes back is ended.
func TestCondemnedWhileIMSIsAsked(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(*fixture)
		serves    bool // another consent was given
	}{
		"condemned": {func(f *fixture) { require.NoError(f.t, f.Condemn(context.Background(), "designer")) }, false},
		"revoked":   {func(f *fixture) { f.revoke() }, false},
		"deleted and written again": {func(f *fixture) {
			f.revoke()
			f.role("designer", "person", "openid", "AdobeID", "offline_access")
		}, false},
		"revoked and authorized again": {func(f *fixture) {
			f.revoke()
			f.signIn(alice)
		}, true},
		"condemned and authorized again": {func(f *fixture) {
			require.NoError(f.t, f.Condemn(context.Background(), "designer"))
			f.signIn(bob)
		}, true},
		"replaced by the same person": {func(f *fixture) { f.signIn(alice) }, true},
		"replaced by another":         {func(f *fixture) { f.signIn(bob) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			issued := f.recordIssued()
			answer := f.minting()
			test.meanwhile(f)
			if !test.serves {
				_, err := f.mint()
				f.requireUnauthorized(err)
			} else {
				f.mustMint() // and does not wait for the one that hangs
			}
			token, err := answer()
			require.Error(t, err)
			require.NotNil(t, token, "for the store to end")
			require.False(t, f.valid(issued.refresh()[0]), "its refresh token is revoked")
			require.False(t, f.valid(token.AccessToken), "and what came with it")
			if test.serves {
				require.Empty(t, f.onRecord().Unrevoked)
				f.mustMint()
			} else {
				require.Nil(t, f.onRecord())
				_, err := f.mint()
				f.requireUnauthorized(err)
				f.restart()
				_, err = f.mint()
				f.requireUnauthorized(err)
			}
			f.requireIdle()
		})
	}
}

// What comes back to a condemned role and cannot be revoked stays on record.
func TestStraySuccessorThatCannotBeRevoked(t *testing.T) {
	f := authorized(t)
	issued := f.recordIssued()
	answer := f.minting()
	f.revoke()
	f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
	_, err := answer()
	f.requireUnauthorized(err)
	require.True(t, f.onRecord().Condemned)
	require.Equal(t, issued.refresh()[0], f.onRecord().RefreshToken)
	f.restart()
	f.ims.ClearFaults()
	require.NoError(t, f.Tick(t.Context()))
	require.False(t, f.valid(issued.refresh()[0]))
	require.Nil(t, f.onRecord())
}

// Nothing is lost though storage takes nothing while the answer comes.
func TestStraySuccessorThatCannotBeStored(t *testing.T) {
	f := authorized(t)
	issued := f.recordIssued()
	answer := f.minting()
	f.revoke()
	f.storage.fail(fault{op: "put", prefix: Prefix})
	f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
	_, err := answer()
	f.requireUnauthorized(err)
	f.storage.heal()
	f.ims.ClearFaults()
	require.NoError(t, f.Tick(t.Context()))
	require.False(t, f.valid(issued.refresh()[0]))
	require.Nil(t, f.onRecord())
	f.requireIdle()
}

func TestRevokeAnswersWhileARefreshHangs(t *testing.T) {
	f := authorized(t)
	f.ims.ResetCounters()
	f.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Hang: true})
	done := make(chan error, 1)
	go func() {
		_, err := f.mint()
		done <- err
	}()
	require.Eventually(t, func() bool { return f.ims.Count(emulator.TokenPath) == 1 }, 10*time.Second, time.Millisecond)
	refresh := f.refreshToken()
	f.revoke()
	require.False(t, f.valid(refresh))
	select {
	case err := <-done:
		t.Fatal("the refresh was to hang", err)
	default:
	}
	f.ims.ClearFaults()
	require.Error(t, <-done)
}

// A condemnation that storage does not take holds in memory, and is stored as
// soon as storage takes it.
func TestCondemnationThatCannotBeStored(t *testing.T) {
	for name, broken := range map[string]fault{
		"put": {op: "put", prefix: Prefix}, "get": {op: "get", prefix: Prefix}, "put, with effect": {op: "put", prefix: Prefix, after: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			f.Forget("designer")
			f.storage.fail(broken)
			require.Equal(t, errBroken, f.Condemn(t.Context(), "designer"))
			f.storage.heal()
			_, err := f.mint()
			f.requireUnauthorized(err)
			now, err := f.Get(t.Context(), "designer")
			require.NoError(t, err)
			require.False(t, now.Living())
			f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
			require.NoError(t, f.Tick(t.Context()))
			require.True(t, f.onRecord().Condemned)
			f.requireIdle()
			f.restart()
			_, err = f.mint()
			f.requireUnauthorized(err)
		})
	}
}

// A refresh that comes back before the condemnation is stored does not undo it.
func TestSuccessorBeforeTheCondemnationIsStored(t *testing.T) {
	f := authorized(t)
	issued := f.recordIssued()
	answer := f.minting()
	f.storage.fail(fault{op: "put", prefix: Prefix})
	require.Equal(t, errBroken, f.Condemn(t.Context(), "designer"))
	f.storage.heal()
	_, err := answer()
	f.requireUnauthorized(err)
	require.False(t, f.valid(issued.refresh()[0]))
	require.Nil(t, f.onRecord())
}

// A consent given after a condemnation that is not stored yet is not condemned by
// it.
func TestConsentAfterACondemnationThatWasNotStored(t *testing.T) {
	f := authorized(t)
	former := f.refreshToken()
	f.storage.fail(fault{op: "put", prefix: Prefix})
	require.Error(t, f.Condemn(t.Context(), "designer"))
	f.storage.heal()
	f.signIn(bob)
	require.False(t, f.valid(former))
	require.NoError(t, f.Tick(t.Context()))
	f.mustMint()
	f.requireIdle()
}

func TestCondemnStorageFailures(t *testing.T) {
	for name, broken := range map[string]fault{
		"sign-ins read":    {op: "get", prefix: openPrefix},
		"sign-ins deleted": {op: "delete", prefix: StatePrefix},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			f.begin(false)
			f.storage.fail(broken)
			require.Equal(t, errBroken, f.Condemn(t.Context(), "designer"))
			_, err := f.Revoke(t.Context(), "designer")
			require.Equal(t, errBroken, err)
			require.True(t, f.onRecord().Condemned)
			f.storage.heal()
			f.revoke()
			require.Nil(t, f.onRecord())
		})
	}
}

// A condemnation takes effect in memory before storage is asked: one whose
// storage hangs is waited for by nobody else.
func TestCondemnationWhileStorageHangs(t *testing.T) {
	f := authorized(t)
	answer := f.minting()
	hang := make(chan struct{})
	f.storage.hangOn("put", Prefix, hang)
	condemned := make(chan error, 1)
	go func() { condemned <- f.Condemn(t.Context(), "designer") }()
	require.Eventually(t, func() bool { return f.look("designer").condemned != 0 }, 5*time.Second, time.Millisecond)
	now, err := f.Get(t.Context(), "designer")
	require.NoError(t, err)
	require.False(t, now.Living())
	close(hang)
	require.NoError(t, <-condemned)
	_, err = answer()
	f.requireUnauthorized(err)
}

// A condemnation that comes while an answer is being stored counts: what was
// stored is condemned, and nobody gets the access token.
func TestCondemnedWhileTheAnswerIsStored(t *testing.T) {
	for name, ask := range map[string]func(*fixture) error{
		"refresh": func(f *fixture) error {
			token, err := f.mint()
			require.NotNil(f.t, token)
			return err
		},
		"sign-in": func(f *fixture) error {
			in, err := f.Begin(context.Background(), f.spec("designer"), true)
			if err != nil {
				return err
			}
			code, state := f.consent(in, bob)
			_, _, err = f.Redeem(context.Background(), state, code, "", false)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			issued := f.recordIssued()
			first := f.refreshToken()
			skip := 1 // the write that proves storage
			if name == "sign-in" {
				skip = 0
			}
			hang := make(chan struct{})
			f.storage.fail(fault{op: "put", prefix: Prefix, skip: skip, hang: hang})
			done := make(chan error, 1)
			go func() { done <- ask(f) }()
			require.Eventually(t, func() bool { return f.storage.waiting.Load() == 1 }, 5*time.Second, time.Millisecond)
			condemned := make(chan error, 1)
			go func() { condemned <- f.Condemn(t.Context(), "designer") }()
			require.Eventually(t, func() bool { return f.look("designer").condemned != 0 }, 5*time.Second, time.Millisecond)
			close(hang)
			require.Error(t, <-done)
			require.NoError(t, <-condemned)
			require.Len(t, f.store.adopted, 1, "of the time before")
			_, err := f.mint()
			f.requireUnauthorized(err)
			require.NoError(t, f.Tick(t.Context()))
			require.False(t, f.valid(issued.refresh()[0]))
			require.False(t, f.valid(first))
			require.Nil(t, f.onRecord())
			f.requireIdle()
		})
	}
}

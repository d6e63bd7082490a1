// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

func TestRedeem(t *testing.T) {
	f := newFixture(t)
	code, state := f.consent(f.begin(false), alice)
	role, a, err := f.Redeem(t.Context(), state, code, "designer", false)
	require.NoError(t, err)
	require.Equal(t, "designer", role)

	exchange := f.ims.Requests(emulator.TokenPath)[0]
	require.True(t, strings.HasPrefix(exchange.Header.Get("Authorization"), "Basic "))
	require.NotEmpty(t, exchange.Form.Get("code_verifier"))

	stored := f.onRecord()
	require.Equal(t, a, stored)
	require.True(t, f.valid(stored.RefreshToken))
	require.Equal(t, f.clock.Now(), stored.Granted)
	require.Equal(t, f.clock.Now().Add(refreshLife), stored.Expires)
	require.Equal(t, f.clock.Now().Add(refreshLife/2), stored.KeepAliveAt())
	require.Equal(t, []string{"openid", "AdobeID", "offline_access"}, stored.Scopes)
	require.Equal(t, clientID, stored.ClientID)
	require.Equal(t, "person", stored.Config)
	require.NotEmpty(t, stored.Subject)

	require.Len(t, f.store.adopted, 1, "the code brought a token")
	token := f.store.adopted[0]
	require.True(t, f.valid(token.AccessToken))
	require.True(t, token.Fits(f.spec("designer")))
	require.Equal(t, tokenLife, token.Life())
	require.Equal(t, stored.Subject, token.AccountID)
	require.Empty(t, f.store.strays)
	require.Equal(t, 1, f.ims.Count(emulator.TokenPath))
	require.Equal(t, []string{"authorization-write authorize/designer"}, f.events.sent)
	f.requireIdle()

	names, err := f.List(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"designer"}, names)
}

// If anything that the consent rests on is another by the time the state comes
// back, the code and the verifier are sent nowhere.
func TestStaleLinks(t *testing.T) {
	for name, change := range map[string]func(*fixture){
		"scopes":       func(f *fixture) { f.role("designer", "person", "openid", "offline_access") },
		"order":        func(f *fixture) { f.role("designer", "person", "AdobeID", "openid", "offline_access") },
		"redirect URI": func(f *fixture) { f.configure("person", func(c *credential.Credential) { c.RedirectURI += "2" }) },
		"client": func(f *fixture) {
			f.configure("person", func(c *credential.Credential) { c.ClientID = "another-client" })
		},
		"IMS": func(f *fixture) {
			f.configure("person", func(c *credential.Credential) {
				c.IMSURL = strings.Replace(c.IMSURL, "127.0.0.1", "localhost", 1)
			})
		},
		"config's name": func(f *fixture) {
			f.configure("twin", func(*credential.Credential) {})
			f.role("designer", "twin", "openid", "AdobeID", "offline_access")
		},
		"type": func(f *fixture) {
			f.configure("person", func(c *credential.Credential) { c.Type = credential.ServerToServer })
		},
		"role gone":   func(f *fixture) { f.roles.remove("designer") },
		"config gone": func(f *fixture) { require.NoError(f.t, f.creds.Delete(context.Background(), "person")) },
		"role deleted and written again": func(f *fixture) {
			_, err := f.Revoke(context.Background(), "designer")
			require.NoError(f.t, err)
			f.role("designer", "person", "openid", "AdobeID", "offline_access")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			code, state := f.consent(f.begin(false), alice)
			f.ims.ResetCounters()
			change(f)
			_, _, err := f.Redeem(t.Context(), state, code, "", false)
			requireStale(t, err)
			require.Zero(t, f.ims.Count(""))
			require.Nil(t, f.onRecord())
		})
	}
}

// What does not touch the consent leaves the link good.
func TestLinksThatStayGood(t *testing.T) {
	f := newFixture(t)
	code, state := f.consent(f.begin(false), alice)
	f.configure("person", func(c *credential.Credential) { c.RequestTimeout = 3 * time.Second })
	f.restart()
	_, _, err := f.Redeem(t.Context(), state, code, "", false)
	require.NoError(t, err)
}

// What changes while IMS is asked makes an end of what it granted.
func TestChangesWhileTheCodeIsExchanged(t *testing.T) {
	for name, change := range map[string]func(*fixture){
		"scopes":    func(f *fixture) { f.role("designer", "person", "openid", "offline_access") },
		"condemned": func(f *fixture) { require.NoError(f.t, f.Condemn(context.Background(), "designer")) },
		"deleted and written again": func(f *fixture) {
			_, err := f.Revoke(context.Background(), "designer")
			require.NoError(f.t, err)
			f.role("designer", "person", "openid", "AdobeID", "offline_access")
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			issued := f.recordIssued()
			code, state := f.consent(f.begin(false), alice)
			arrived, answer := f.gates.hold()
			done := make(chan error, 1)
			go func() {
				_, _, err := f.Redeem(t.Context(), state, code, "", false)
				done <- err
			}()
			<-arrived
			change(f)
			answer()
			requireStale(t, <-done)
			require.Len(t, issued.refresh(), 1)
			require.False(t, f.valid(issued.refresh()[0]), "revoked")
			require.Nil(t, f.onRecord())
			require.Empty(t, f.store.adopted)
			require.Len(t, f.store.strays, 1)
			_, err := f.mint()
			f.requireUnauthorized(err)
			f.requireIdle()
		})
	}
}

func TestWhoReplacesWhom(t *testing.T) {
	for name, test := range map[string]struct {
		prepare         func(*fixture)
		person          string
		begin, complete bool // replace=true there
		refused         bool
		keeps           bool // the former refresh token is not alive any more in any case
	}{
		"nobody there":               {prepare: func(f *fixture) { f.revoke() }, person: bob, keeps: true},
		"the same person":            {person: alice},
		"another":                    {person: bob, refused: true},
		"another, said at the start": {person: bob, begin: true},
		"another, said at the end":   {person: bob, complete: true},
		"whose it was is unknown":    {prepare: func(f *fixture) { f.forgetSubject() }, person: alice, refused: true},
		"whose it is is unknown":     {prepare: func(f *fixture) { f.hideSubject() }, person: alice, refused: true},
		"unknown, said":              {prepare: func(f *fixture) { f.forgetSubject() }, person: alice, begin: true},
		"lapsed":                     {prepare: func(f *fixture) { f.clock.Advance(refreshLife) }, person: bob, keeps: true},
		"condemned":                  {prepare: func(f *fixture) { require.NoError(f.t, f.Condemn(context.Background(), "designer")) }, person: bob},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			former := f.refreshToken()
			if test.prepare != nil {
				test.prepare(f)
			}
			issued := f.recordIssued()
			adopted := len(f.store.adopted)
			code, state := f.consent(f.begin(test.begin), test.person)
			_, a, err := f.Redeem(t.Context(), state, code, "", test.complete)
			if !test.refused {
				require.NoError(t, err)
				require.True(t, f.valid(a.RefreshToken))
				require.False(t, f.valid(former), "what is replaced is revoked")
				require.Empty(t, f.onRecord().Unrevoked)
				require.Len(t, f.store.adopted, adopted+1)
				f.mustMint()
				return
			}
			require.ErrorIs(t, err, ErrAnotherPerson)
			var told *advice.Error
			require.ErrorAs(t, err, &told)
			require.Equal(t, "vault write <mount>/authorize/designer replace=true", told.Command)
			require.Equal(t, former, f.refreshToken(), "it is as it was")
			require.True(t, f.valid(former))
			require.False(t, f.valid(issued.refresh()[0]), "what was granted now was revoked")
			require.Empty(t, f.onRecord().Unrevoked)
			require.Len(t, f.store.adopted, adopted)
			require.Len(t, f.store.strays, 1)
			f.mustMint()
		})
	}
}

// What IMS does not revoke stays on record until it does.
func TestReplacedOneThatCannotBeRevoked(t *testing.T) {
	f := authorized(t)
	former := f.refreshToken()
	remove := f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
	f.signIn(bob)
	require.True(t, f.valid(former))
	require.Len(t, f.onRecord().Unrevoked, 1)
	f.restart()
	f.mustMint()
	require.Len(t, f.onRecord().Unrevoked, 1, "a refresh keeps it")
	require.NoError(t, f.Tick(t.Context()))
	require.Len(t, f.onRecord().Unrevoked, 1)
	remove()
	require.NoError(t, f.Tick(t.Context()))
	require.True(t, f.valid(former), "not before a minute is over")
	f.clock.Advance(time.Minute)
	require.NoError(t, f.Tick(t.Context()))
	require.False(t, f.valid(former))
	require.Empty(t, f.onRecord().Unrevoked)
	f.mustMint()
}

func TestUnrevokedOnesAreBounded(t *testing.T) {
	f := authorized(t)
	f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
	for range maxUnrevoked {
		f.signIn(alice)
	}
	code, state := f.consent(f.begin(true), alice)
	f.ims.ResetCounters()
	_, _, err := f.Redeem(t.Context(), state, code, "", false)
	require.ErrorContains(t, err, "vault delete <mount>/authorize/designer")
	_, err = f.Import(t.Context(), f.spec("designer"), "elsewhere", true)
	require.ErrorContains(t, err, "vault delete <mount>/authorize/designer")
	require.Zero(t, f.ims.Count(emulator.TokenPath), "nothing is used up for this")
	f.mustMint()
	f.ims.ClearFaults()
	f.revoke()
	require.Nil(t, f.onRecord())
	f.signIn(alice)
}

func TestNoRefreshToken(t *testing.T) {
	f := newFixture(t)
	f.role("designer", "person", "openid")
	code, state := f.consent(f.begin(false), alice)
	_, _, err := f.Redeem(t.Context(), state, code, "", false)
	require.ErrorContains(t, err, "vault write <mount>/roles/designer scopes=openid,offline_access")
	require.Nil(t, f.onRecord())
	require.Len(t, f.store.strays, 1, "the access token is ended")
	require.Empty(t, f.store.adopted)
}

// The refresh token is not lost though the access token beside it is of no use.
func TestRedeemWithAnUnusableAccessToken(t *testing.T) {
	f := newFixture(t)
	f.ims.AlterToken(func(answer map[string]any) { answer["expires_in"] = "soon" })
	code, state := f.consent(f.begin(false), alice)
	_, a, err := f.Redeem(t.Context(), state, code, "", false)
	require.NoError(t, err)
	require.True(t, f.valid(a.RefreshToken))
	require.Empty(t, f.store.adopted)
	require.Len(t, f.store.strays, 1)
	require.Contains(t, f.log.String(), "expires_in")
	f.ims.AlterToken(nil)
	f.mustMint()
}

func TestRedeemFailures(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		says  string
		told  bool
	}{
		"refused":      {emulator.Fault{Status: 400, Code: "access_denied"}, "does not accept the code", true},
		"wrong secret": {emulator.Fault{Status: 400, Code: "invalid_client"}, "invalid_client", false},
		"outage":       {emulator.Fault{Status: 500}, "500", false},
		"a page":       {emulator.Fault{Status: 200, Body: "<html>sign in", ContentType: "text/html"}, "IMS", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := authorized(t)
			before := f.onRecord()
			code, state := f.consent(f.begin(false), alice)
			test.fault.Path = emulator.TokenPath
			f.ims.Inject(test.fault)
			role, _, err := f.Redeem(t.Context(), state, code, "", false)
			require.Equal(t, "designer", role)
			require.ErrorContains(t, err, test.says)
			var told *advice.Error
			if test.told {
				require.ErrorAs(t, err, &told)
				require.Equal(t, "vault write -f <mount>/authorize/designer", told.Command)
				require.Contains(t, told.Problem, "Nothing was changed")
			} else {
				require.NotErrorAs(t, err, &told)
			}
			require.Equal(t, before, f.onRecord())
			f.ims.ClearFaults()
			f.mustMint()
		})
	}
}

// A write that fails changes nothing, whether or not it took effect: the person
// was told that it did not work.
func TestRedeemThatCannotBeStored(t *testing.T) {
	for name, broken := range map[string]fault{
		"put, without effect": {op: "put", prefix: Prefix},
		"put, with effect":    {op: "put", prefix: Prefix, after: true},
	} {
		for _, first := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				f := newFixture(t)
				if !first {
					f.signIn(alice)
				}
				issued := f.recordIssued()
				code, state := f.consent(f.begin(false), alice)
				f.storage.fail(broken)
				_, _, err := f.Redeem(t.Context(), state, code, "", false)
				require.Equal(t, errBroken, err)
				require.False(t, f.valid(issued.refresh()[0]), "it is ended")
				require.Len(t, f.store.strays, 1)
				f.storage.heal()
				require.NoError(t, f.Tick(t.Context()))
				f.requireIdle()
				if first {
					require.Nil(t, f.onRecord())
					_, err := f.mint()
					f.requireUnauthorized(err)
					return
				}
				require.Empty(t, f.onRecord().Unrevoked)
				f.mustMint()
				f.restart()
				f.mustMint()
			})
		}
	}
}

// What was granted and cannot be ended now is known until it is.
func TestRejectedGrantThatCannotBeEnded(t *testing.T) {
	f := newFixture(t)
	issued := f.recordIssued()
	code, state := f.consent(f.begin(false), alice)
	f.storage.fail(fault{op: "put", prefix: Prefix})
	f.storage.fail(fault{op: "get", prefix: Prefix, skip: 1})
	f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
	_, _, err := f.Redeem(t.Context(), state, code, "", false)
	require.Equal(t, errBroken, err)
	f.storage.heal()
	require.NoError(t, f.Tick(t.Context()))
	require.True(t, f.onRecord().Condemned)
	require.True(t, f.valid(issued.refresh()[0]))
	f.restart()
	f.ims.ClearFaults()
	require.NoError(t, f.Tick(t.Context()))
	require.False(t, f.valid(issued.refresh()[0]))
	require.Nil(t, f.onRecord())
}

func TestTokenThatTheStoreDoesNotTake(t *testing.T) {
	f := newFixture(t)
	f.store.adoptErr = errBroken
	f.signIn(alice)
	require.Empty(t, f.store.strays, "the store has ended it")
	f.mustMint()
}

func TestCallerGoesAwayWhileTheCodeIsExchanged(t *testing.T) {
	f := newFixture(t)
	code, state := f.consent(f.begin(false), alice)
	ctx, cancel := context.WithCancel(t.Context())
	arrived, answer := f.gates.hold()
	done := make(chan error, 1)
	go func() {
		_, _, err := f.Redeem(ctx, state, code, "", false)
		done <- err
	}()
	<-arrived
	cancel()
	answer()
	require.NoError(t, <-done)
	require.True(t, f.valid(f.onRecord().RefreshToken))
}

func TestImport(t *testing.T) {
	f := authorized(t)
	elsewhere := f.refreshToken()
	f.role("other", "person", "openid", "AdobeID", "offline_access")
	f.storage.reset()
	a, err := f.Import(t.Context(), f.spec("other"), elsewhere, false)
	require.NoError(t, err)
	require.NotEqual(t, elsewhere, a.RefreshToken, "proven by using it")
	require.True(t, f.valid(a.RefreshToken))
	require.Len(t, f.store.adopted, 2)
	hashes, lists := f.states()
	require.Zero(t, hashes+lists)

	before, err := f.Get(t.Context(), "other")
	require.NoError(t, err)
	for name, test := range map[string]struct {
		token secret.Secret
		says  string
	}{
		"made up": {"made up", "does not accept the refresh token"},
		"empty":   {"", "refresh_token: empty"},
		"long":    {secret.Secret(strings.Repeat("x", maxRefreshToken+1)), "refresh_token: longer than 16384"},
	} {
		_, err = f.Import(t.Context(), f.spec("other"), test.token, false)
		require.ErrorContains(t, err, test.says, name)
	}
	now, err := f.Get(t.Context(), "other")
	require.NoError(t, err)
	require.Equal(t, before, now)
}

// The refresh token that is on record already can be imported: it is not revoked
// as a former one, and nobody is replaced.
func TestImportOfWhatIsOnRecord(t *testing.T) {
	f := authorized(t)
	f.forgetSubject()
	a, err := f.Import(t.Context(), f.spec("designer"), f.refreshToken(), false)
	require.NoError(t, err)
	require.Empty(t, a.Unrevoked)
	require.Zero(t, f.ims.Count(emulator.RevokePath))
	f.mustMint()
}

// A refresh token that says whose it is is not used up to be refused.
func TestImportOfAnotherPersons(t *testing.T) {
	f := authorized(t)
	first := f.refreshToken()
	f.role("other", "person", "openid", "AdobeID", "offline_access")
	in, err := f.Begin(t.Context(), f.spec("other"), false)
	require.NoError(t, err)
	code, state := f.consent(in, bob)
	_, a, err := f.Redeem(t.Context(), state, code, "", false)
	require.NoError(t, err)
	f.ims.ResetCounters()
	_, err = f.Import(t.Context(), f.spec("designer"), a.RefreshToken, false)
	require.ErrorIs(t, err, ErrAnotherPerson)
	require.True(t, f.valid(a.RefreshToken))
	require.Zero(t, f.ims.Count(""))
	_, err = f.Import(t.Context(), f.spec("designer"), a.RefreshToken, true)
	require.NoError(t, err)
	require.False(t, f.valid(first))
}

func TestImportProvesStorageFirst(t *testing.T) {
	f := authorized(t)
	elsewhere := f.refreshToken()
	f.role("other", "person", "openid", "AdobeID", "offline_access")
	f.storage.fail(fault{op: "put"})
	_, err := f.Import(t.Context(), f.spec("other"), elsewhere, false)
	require.Equal(t, errBroken, err)
	require.Zero(t, f.ims.Count(""))
	require.True(t, f.valid(elsewhere))
}

func TestImportWhileTheRoleIsWritten(t *testing.T) {
	f := authorized(t)
	elsewhere := f.refreshToken()
	issued := f.recordIssued()
	f.role("other", "person", "openid", "AdobeID", "offline_access")
	spec := f.spec("other")
	arrived, answer := f.gates.hold()
	done := make(chan error, 1)
	go func() {
		_, err := f.Import(t.Context(), spec, elsewhere, false)
		done <- err
	}()
	<-arrived
	f.role("other", "person", "openid")
	answer()
	requireStale(t, <-done)
	require.False(t, f.valid(issued.refresh()[0]))
}

// Nothing secret gets into the log, an error or an event.
func TestSecretsAreNotShown(t *testing.T) {
	f := authorized(t)
	refresh, access := f.refreshToken(), f.store.adopted[0].AccessToken
	code, state := f.consent(f.begin(false), alice)
	var texts []string
	_, _, err := f.Redeem(t.Context(), state, code+"x", "", false)
	texts = append(texts, err.Error())
	remove := f.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "access_denied", Description: string(refresh)})
	_, err = f.mint()
	texts = append(texts, err.Error())
	remove()
	f.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 400, Code: "invalid_request", Description: string(refresh)})
	_, err = f.Revoke(t.Context(), "designer")
	texts = append(texts, err.Error())
	texts = append(texts, f.log.String())
	texts = append(texts, f.events.sent...)
	for _, text := range texts {
		for _, hidden := range []string{string(refresh), string(access), code, state, clientSecret} {
			require.NotContains(t, text, hidden)
		}
	}
}

func mintOrder(background bool) tokens.Order {
	return tokens.Order{Background: background, Proceed: func() error { return nil }}
}

// A code is not sent again after what the consent rests on has changed.
func TestChangesBeforeTheCodeIsSentAgain(t *testing.T) {
	f := newFixture(t)
	f.configure("person", func(c *credential.Credential) { c.MaxRetries = 1 })
	code, state := f.consent(f.begin(false), alice)
	f.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 503, Times: 1})
	arrived, answer := f.gates.hold()
	done := make(chan error, 1)
	go func() {
		_, _, err := f.Redeem(t.Context(), state, code, "", false)
		done <- err
	}()
	<-arrived
	f.role("designer", "person", "openid", "offline_access")
	answer()
	requireStale(t, <-done)
	require.Equal(t, 1, f.ims.Count(emulator.TokenPath))
	require.Nil(t, f.onRecord())
}

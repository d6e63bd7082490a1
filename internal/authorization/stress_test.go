// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// Whatever happens at the same time, what IMS has granted and not ended is on
// record, and every access token was handed to somebody who knows of it.
func TestNothingIsLostWhateverHappensAtOnce(t *testing.T) {
	f := authorized(t)
	first := f.refreshToken()
	issued := f.recordIssued()
	spec := f.spec("designer")
	ctx := context.Background()

	var mu sync.Mutex
	var served []secret.Secret
	keep := func(token *tokens.Token) {
		mu.Lock()
		defer mu.Unlock()
		if token != nil {
			served = append(served, token.AccessToken)
		}
	}
	signIn := func(person string) {
		in, err := f.Begin(ctx, spec, true)
		if err != nil {
			return
		}
		redirect, err := f.ims.AllowAs(in.URL, person)
		if err != nil {
			return
		}
		to, err := url.Parse(redirect)
		if err != nil {
			return
		}
		_, _, _ = f.Redeem(ctx, in.State, to.Query().Get("code"), "", true)
	}
	acts := []func(){
		func() { signIn(alice) },
		func() { signIn(alice) },
		func() { signIn(bob) },
		func() { signIn(bob) },
		func() { _ = f.Condemn(ctx, "designer") },
		func() { _, _ = f.Revoke(ctx, "designer") },
		func() { _ = f.Tick(ctx) },
		func() { f.Forget("designer") },
		func() { _, _ = f.Get(ctx, "designer") },
	}
	mint := func() {
		token, _ := f.Mint(ctx, spec, mintOrder(false))
		keep(token)
	}
	var group sync.WaitGroup
	for worker := range 8 {
		random := rand.New(rand.NewPCG(1, uint64(worker)))
		group.Go(func() {
			for range 60 {
				if random.IntN(2) == 0 {
					mint()
				} else {
					acts[random.IntN(len(acts))]()
				}
				if random.IntN(10) == 0 {
					f.storage.fail(fault{op: "put", prefix: Prefix, after: random.IntN(2) == 0})
					mint()
					f.storage.heal()
				}
			}
		})
	}
	group.Wait()
	require.NoError(t, f.Tick(ctx))
	f.requireIdle()

	var known []secret.Secret
	if a := f.onRecord(); a != nil {
		known = append(known, a.RefreshToken)
		for _, g := range a.Unrevoked {
			known = append(known, g.RefreshToken)
		}
	}
	for _, token := range append(issued.refresh(), first) {
		if f.valid(token) {
			require.Contains(t, known, token, "a refresh token that lives is on record")
		}
	}
	require.Greater(t, len(issued.refresh()), 5, "the stress issued too few tokens to mean anything")
	for _, token := range slices.Concat(f.store.adopted, f.store.strays) {
		keep(token)
	}
	for _, token := range issued.access() {
		if f.valid(token) {
			require.Contains(t, served, token, "an access token that lives is known to somebody")
		}
	}
	f.revoke()
	for _, token := range issued.refresh() {
		require.False(t, f.valid(token))
	}
}

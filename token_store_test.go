// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/roles"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

func TestTokenIsReplacedBeforeHalfOfItsLife(t *testing.T) {
	m := newServingMount(t)
	first := m.token("firefly")
	m.clock.Advance(tokenLife/2 - 16*time.Minute)
	require.Equal(t, first, m.token("firefly"))
	require.Equal(t, 1, m.mints())

	m.clock.Advance(16 * time.Minute) // some time in between, the token was replaced
	m.eventually(func() bool { return m.token("firefly") != first }, "a newer token")
	require.Equal(t, 2, m.mints())
	require.Empty(t, m.read("token/firefly").Warnings)
}

func TestNobodyWaitsForTheReplacement(t *testing.T) {
	m := newServingMount(t)
	first := m.token("firefly")
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Hang: true})
	defer remove()
	m.clock.Advance(tokenLife/2 + time.Second)
	m.eventually(func() bool { return m.mints() == 2 }, "a mint in the background")
	// The mint hangs, and the clock stands still: a reader who waited would
	// never return.
	require.Equal(t, first, m.token("firefly"))
	m.clock.Advance(3 * time.Second)
	resp := m.read("token/firefly")
	require.Equal(t, first, resp.Data["access_token"])
	require.Contains(t, resp.Warnings[0], "has not answered yet")
}

func TestIdleRoleIsLeftAlone(t *testing.T) {
	m := newServingMount(t)
	m.token("firefly")
	m.clock.Advance(tokenLife / 2)
	m.eventually(func() bool { return m.mints() == 2 }, "the token in use is replaced")
	m.eventually(func() bool { return m.read("status/firefly").Data["in_use"] == false }, "the new token is in place")
	for range 6 {
		m.clock.Advance(tokenLife / 4)
		m.clock.Advance(time.Millisecond)
	}
	require.Never(t, func() bool { return m.mints() != 2 }, 50*time.Millisecond, 5*time.Millisecond)
}

// A token past its time was not replaced if nobody read it. The next reader
// waits for a new one, two seconds at most.
func TestReaderAfterAPauseWaitsAMoment(t *testing.T) {
	m := newServingMount(t)
	first := m.token("firefly")
	m.restart() // knows of no readers
	m.clock.Advance(tokenLife/2 + time.Second)
	second := m.token("firefly")
	require.NotEqual(t, first, second, "waited for")

	m.restart()
	m.clock.Advance(tokenLife/2 + time.Second)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Hang: true})
	defer remove()
	answers := make(chan *logical.Response)
	go func() { answers <- m.read("token/firefly") }()
	require.NoError(t, m.clock.BlockUntilContext(t.Context(), 1)) // the reader's patience
	m.clock.Advance(2 * time.Second)
	resp := <-answers
	require.Equal(t, second, resp.Data["access_token"])
	require.Contains(t, resp.Warnings[0], "has not answered yet")
}

func TestReaderWhoLeavesDoesNotEndTheMint(t *testing.T) {
	m := newServingMount(t)
	m.latency(100 * time.Millisecond)
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := m.backend.HandleRequest(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "token/firefly", Storage: m.storage})
		left <- err
	}()
	m.eventually(func() bool { return m.mints() == 1 }, "the mint")
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	require.NotEmpty(t, m.token("firefly"))
	require.Equal(t, 1, m.mints())
}

func TestMinTTL(t *testing.T) {
	m := newServingMount(t)
	m.write("roles/firefly", map[string]any{"min_ttl": "18h"})
	first := m.token("firefly")
	m.clock.Advance(5 * time.Hour)
	m.clock.Advance(time.Hour + time.Second)
	m.eventually(func() bool { return m.token("firefly") != first }, "a token with 18 hours to live")
	require.Equal(t, 2, m.mints())
}

func TestMinTTLThatNoTokenHas(t *testing.T) {
	m := newServingMount(t)
	m.write("roles/firefly", map[string]any{"min_ttl": "48h"})
	for range 10 {
		resp := m.read("token/firefly")
		require.Len(t, resp.Warnings, 1)
		require.Contains(t, resp.Warnings[0], "nine tenths")
	}
	require.Equal(t, 1, m.mints())
}

// What a token was minted with decides whether it is still the role's.
func TestWhatChangesWithWhat(t *testing.T) {
	for name, test := range map[string]struct {
		path  string
		data  map[string]any
		mints int
	}{
		"scopes":         {"roles/firefly", map[string]any{"scopes": "openid"}, 2},
		"organisation":   {"config/default", map[string]any{"org_id": testOrgID}, 2},
		"client ID":      {"config/default", map[string]any{"client_id": "another", "client_secret": "p8e-another"}, 2},
		"client secret":  {"config/default", map[string]any{"client_secret": "p8e-rotated"}, 1},
		"max_ttl":        {"roles/firefly", map[string]any{"max_ttl": "1h"}, 1},
		"same scopes":    {"roles/firefly", map[string]any{"scopes": []string{"openid", "AdobeID", "firefly_api", "openid"}}, 1},
		"time limit":     {"config/default", map[string]any{"request_timeout": "30s"}, 1},
		"management yes": {"config/default", map[string]any{"allow_management_scopes": true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newServingMount(t)
			m.ims.AddClient(emulator.Client{ID: "another", Secrets: []string{"p8e-another"}})
			first := m.token("firefly")
			data := map[string]any{"verify": false}
			for k, v := range test.data {
				data[k] = v
			}
			if strings.HasPrefix(test.path, "roles/") {
				delete(data, "verify")
			}
			m.write(test.path, data)
			require.Equal(t, test.mints == 1, m.token("firefly") == first)
			require.Equal(t, test.mints, m.mints())
			require.EqualValues(t, test.mints, m.read("status/firefly").Data["outstanding_tokens"])
		})
	}
}

func TestOutage(t *testing.T) {
	m := newServingMount(t)
	first := m.token("firefly")
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 500, Code: "internal_error"})
	m.ims.ResetCounters()

	// Twelve hours, a reader every minute.
	m.clock.Advance(tokenLife / 2)
	m.eventually(func() bool { return m.read("status/firefly").Data["failures"] == 1 }, "the first failure")
	for range 12*60 - 2 {
		m.clock.Advance(time.Minute)
		resp := m.read("token/firefly")
		require.Equal(t, first, resp.Data["access_token"])
		require.Len(t, resp.Warnings, 1)
		require.Contains(t, resp.Warnings[0], "internal_error")
		require.Contains(t, resp.Warnings[0], "x-debug-id")
	}
	require.Less(t, m.mints(), 12*60*2)

	remove()
	m.eventually(func() bool {
		m.clock.Advance(time.Second)
		return m.token("firefly") != first
	}, "a newer token")
	require.Empty(t, m.read("token/firefly").Warnings)
}

func TestNoTokenLivesAndIMSIsGone(t *testing.T) {
	m := newServingMount(t)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 503})
	var message string
	for range 1000 {
		message = m.refused(503, logical.ReadOperation, "token/firefly", nil)
	}
	require.Equal(t, 1, m.mints(), "a reader does not ask IMS while the role backs off")
	require.Contains(t, message, "IMS is asked again from 2026-11-22T09:00:01Z (in 1s)")

	remove()
	m.clock.Advance(2 * time.Second)
	require.NotEmpty(t, m.token("firefly"))
}

func TestBackingOffGrows(t *testing.T) {
	m := newServingMount(t)
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 400, Code: "invalid_client"})
	for range 3600 {
		m.refused(400, logical.ReadOperation, "token/firefly", nil)
		m.clock.Advance(time.Second)
	}
	require.Less(t, m.mints(), 150, "an hour of a wrong secret, read every second")
	require.Greater(t, m.mints(), 50)
}

func TestRetryAfterIsHonoured(t *testing.T) {
	m := newServingMount(t)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 429, RetryAfter: "100"})
	m.refused(429, logical.ReadOperation, "token/firefly", nil)
	remove()
	m.clock.Advance(99 * time.Second)
	require.Contains(t, m.refused(429, logical.ReadOperation, "token/firefly", nil), "(in 1s)")
	require.Equal(t, 1, m.mints())
	m.clock.Advance(time.Second)
	require.NotEmpty(t, m.token("firefly"))
}

// Whoever mends the config or the role need not wait for the next attempt.
func TestWritingEndsTheBackingOff(t *testing.T) {
	for path, data := range map[string]map[string]any{
		"config/default": {"client_secret": testClientSecret},
		"roles/firefly":  {"scopes": "openid"},
	} {
		t.Run(path, func(t *testing.T) {
			m := newServingMount(t)
			m.write("config/default", map[string]any{"client_secret": "p8e-wrong", "verify": false})
			m.refused(400, logical.ReadOperation, "token/firefly", nil)
			m.ims.AddClient(emulator.Client{ID: testClientID, Secrets: []string{testClientSecret, "p8e-wrong"}})
			m.write(path, data)
			require.NotEmpty(t, m.token("firefly"))
		})
	}
}

func TestMintUnderWayIsSupersededByAWrite(t *testing.T) {
	m := newServingMount(t)
	remove := m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Hang: true, Times: 1})
	defer remove()
	token := make(chan string)
	go func() { token <- m.token("firefly") }()
	m.eventually(func() bool { return m.mints() == 1 }, "the first mint")
	m.write("roles/firefly", map[string]any{"scopes": "openid"})
	require.NotEmpty(t, m.token("firefly"))
	require.NotEmpty(t, <-token, "who waited for the mint given up gets the new one")
	require.Equal(t, "openid", m.ims.Requests(emulator.TokenPath)[1].Form.Get("scope"))
	require.Equal(t, 2, m.mints())
}

func TestRestart(t *testing.T) {
	m := newServingMount(t)
	first := m.token("firefly")
	m.clock.Advance(time.Hour)
	m.ims.Stop()
	m.restart()
	resp := m.read("token/firefly")
	require.Equal(t, first, resp.Data["access_token"])
	require.Empty(t, resp.Warnings)
	require.Equal(t, tokenLife-time.Hour, resp.Secret.TTL)
}

func TestCachedReadTouchesNoStorage(t *testing.T) {
	m := newServingMount(t)
	m.token("firefly")
	require.Equal(t, 1, m.storage.count("put"), "once for each mint")
	m.storage.reset()
	for range 100 {
		m.token("firefly")
	}
	require.Zero(t, m.storage.count("get", "put", "delete", "list"))
}

func TestRequestsUnderWay(t *testing.T) {
	m := newServingMount(t)
	m.latency(20 * time.Millisecond)
	var group sync.WaitGroup
	for i := range 100 {
		role := "role" + string(rune('a'+i/10)) + string(rune('a'+i%10))
		m.write("roles/"+role, map[string]any{"scopes": "openid"})
		group.Go(func() { m.token(role) })
	}
	group.Wait()
	require.Equal(t, 100, m.mints())
	require.LessOrEqual(t, m.ims.Peak(emulator.TokenPath), 16)
}

func TestStorageFailures(t *testing.T) {
	broken := errors.New("storage is broken")
	t.Run("the config cannot be read", func(t *testing.T) {
		m := newServingMount(t)
		m.restart()
		m.storage.failOn("get", configPath, broken)
		_, err := m.handle(logical.ReadOperation, "token/firefly", nil)
		require.Equal(t, broken, err)
		m.storage.heal()
		require.NotEmpty(t, m.token("firefly"))
	})
	t.Run("the role cannot be read", func(t *testing.T) {
		m := newServingMount(t)
		m.restart()
		m.storage.failOn("get", roles.Prefix, broken)
		_, err := m.handle(logical.ReadOperation, "token/firefly", nil)
		require.Equal(t, broken, err)
	})
	t.Run("the record cannot be read", func(t *testing.T) {
		m := newServingMount(t)
		first := m.token("firefly")
		m.restart()
		m.storage.failOn("get", tokens.Prefix, broken)
		_, err := m.handle(logical.ReadOperation, "token/firefly", nil)
		require.Equal(t, broken, err)
		m.storage.heal()
		require.Equal(t, first, m.token("firefly"), "no second mint because storage failed")
	})
	t.Run("the record cannot be written", func(t *testing.T) {
		m := newServingMount(t)
		m.storage.failOn("put", tokens.Prefix, broken)
		_, err := m.handle(logical.ReadOperation, "token/firefly", nil)
		require.ErrorContains(t, err, broken.Error(), "the kill switch would not find it after a restart")
		require.Contains(t, m.log.String(), "could not be stored")
		m.eventually(func() bool { return m.ims.Count(emulator.InvalidatePath) == 1 }, "the token that nobody got is ended")
		m.storage.heal()
		m.clock.Advance(2 * time.Second)
		require.NotEmpty(t, m.token("firefly"))
		require.Equal(t, 2, m.mints())
	})
	t.Run("nothing is minted in the background", func(t *testing.T) {
		m := newServingMount(t)
		first := m.token("firefly")
		m.storage.failOn("get", tokens.Prefix, broken)
		m.clock.Advance(tokenLife/2 - time.Minute)
		m.eventually(func() bool { return len(m.read("token/firefly").Warnings) > 0 }, "a warning")
		require.Equal(t, 1, m.mints())
		m.storage.heal()
		m.eventually(func() bool {
			m.clock.Advance(time.Second)
			return m.token("firefly") != first
		}, "a newer token")
	})
	t.Run("the record is garbage", func(t *testing.T) {
		m := newServingMount(t)
		require.NoError(t, m.storage.Put(t.Context(), &logical.StorageEntry{Key: tokens.Prefix + "firefly", Value: []byte("?")}))
		_, err := m.handle(logical.ReadOperation, "token/firefly", nil)
		require.ErrorContains(t, err, "token/firefly cannot be read")
	})
}

func TestNothingGoesOnAfterCleanup(t *testing.T) {
	m := newServingMount(t)
	m.token("firefly")
	m.backend.Cleanup(t.Context())
	m.clock.Advance(tokenLife / 2)
	require.Never(t, func() bool { return m.mints() != 1 }, 50*time.Millisecond, 5*time.Millisecond)
}

// SPDX-License-Identifier: MPL-2.0

package test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	imsclient "github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

const otherClientID = "cm-p1234-other-1"

// crowded is one IMS for two credentials: the config default, whose readers are many,
// and the config other.
type crowded struct {
	*revoking
	mu     sync.Mutex
	issued []string // access tokens that IMS gave out
}

func startCrowded(t *testing.T) *crowded {
	t.Helper()
	c := &crowded{revoking: startRevoking(t)}
	c.ims.AddClient(emulator.Client{ID: otherClientID, Secrets: []string{clientSecret}})
	c.vault.Write(t, "adobeims/config/other", credential(c.ims.URL, vaulttest.Data{"client_id": otherClientID, "org_id": ""}))
	for _, role := range []string{"first", "second", "third"} {
		c.vault.Write(t, "adobeims/roles/"+role, vaulttest.Data{"config": "other", "scopes": "openid," + role, "verify": false})
	}
	c.vault.Read(t, "adobeims/token/first")
	c.ims.AlterToken(func(answer map[string]any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.issued = append(c.issued, fmt.Sprint(answer["access_token"]))
	})
	c.ims.ResetCounters()
	return c
}

// hangUp sends reads of the exclusive role and hangs up soon after.
func (c *crowded) hangUp(t *testing.T, reads int, patience time.Duration) {
	t.Helper()
	client := c.vault.Client(t)
	client.SetMaxIdleConnections(reads)
	var group sync.WaitGroup
	for range reads {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, _ = client.Logical().ReadWithContext(ctx, singlePath)
		})
	}
	group.Wait()
}

// requireServed wants the other credential to be served in time, whatever is done.
func (c *crowded) requireServed(t *testing.T, within time.Duration) {
	t.Helper()
	client := c.vault.Client(t).Logical()
	for what, do := range map[string]func() error{
		"a first read": func() error { _, err := client.Read("adobeims/token/second"); return err },
		"a kill":       func() error { _, err := client.Delete("adobeims/token/first"); return err },
		"a config write": func() error {
			_, err := client.Write("adobeims/config/other", vaulttest.Data{"org_id": orgID})
			return err
		},
		"a role write": func() error {
			_, err := client.Write("adobeims/roles/third", vaulttest.Data{"scopes": "openid,third,fourth"})
			return err
		},
	} {
		var err error
		took := during(func() { err = do() })
		require.NoError(t, err, what)
		require.Less(t, took.to.Sub(took.from), within, what)
	}
}

// Six hundred readers of exclusive tokens hang up: what nobody waits for is not asked
// for, and others do not notice.
func TestReadersWhoHangUp(t *testing.T) {
	t.Parallel()
	c := startCrowded(t)
	c.ims.Configure(func(o *emulator.Options) { o.Latency = 200 * time.Millisecond })
	c.hangUp(t, 600, 250*time.Millisecond)
	c.requireServed(t, 3*time.Second)
	asked := len(c.ims.Requests(emulator.TokenPath))
	t.Logf("IMS was asked %d times", asked)
	require.Less(t, asked, 100, "for 600 readers who are gone")
	c.ims.Configure(func(o *emulator.Options) { o.Latency = 0 })
	require.NoError(t, c.vault.Client(t).Sys().RevokePrefix(singlePath))
	c.requireNoLeases(t, "single")
	c.vault.Delete(t, "adobeims/token/second")
	c.vault.Delete(t, "adobeims/token/third")
	vaulttest.WaitFor(t, 20*time.Second, "the tokens of nobody to be ended", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, token := range c.issued {
			if claims, _ := imsclient.ReadClaims(token); c.ims.Valid(token) {
				return fmt.Errorf("one of %d lives: of %s, with %s", len(c.issued), claims.ClientID, claims.Scopes)
			}
		}
		return nil
	})
}

// IMS lets one credential hang and serves another: its readers, its kill switch and
// its operators are in time, and so is the kill switch of the one that hangs.
func TestOneCredentialHangs(t *testing.T) {
	t.Parallel()
	c := startCrowded(t)
	token := readToken(t, c.vault)
	c.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Hang: true, Match: func(r *http.Request) bool {
		return r.PostForm.Get("client_id") == clientID
	}})
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	client := c.vault.Client(t)
	client.SetMaxIdleConnections(600)
	var group sync.WaitGroup
	for range 600 {
		group.Go(func() { _, _ = client.Logical().ReadWithContext(ctx, singlePath) })
	}
	vaulttest.WaitFor(t, 10*time.Second, "the hanging requests", func() error {
		if c.ims.Peak(emulator.TokenPath) < 6 {
			return errors.New("they are not under way")
		}
		return nil
	})
	c.requireServed(t, 3*time.Second)
	killed := during(func() { c.vault.Delete(t, tokenPath) })
	require.Less(t, killed.to.Sub(killed.from), 3*time.Second)
	require.False(t, c.ims.Valid(token))
	require.LessOrEqual(t, c.ims.Peak(emulator.TokenPath), 12)
	leave()
	group.Wait()
	c.ims.ClearFaults()
	require.NotEmpty(t, readToken(t, c.vault))
}

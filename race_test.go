// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// unexpected is what an answer should not be, in words; empty if it may be. What
// others have just changed is refused with advice, which is well.
func unexpected(resp *logical.Response, err error) string {
	var coded logical.HTTPCodedError
	switch {
	case err == nil && (resp == nil || !resp.IsError()):
		return ""
	case err == nil:
		if text := resp.Error().Error(); strings.Contains(text, "internal error") || strings.Contains(text, "panic") {
			return text
		}
		return ""
	case errors.As(err, &coded) && coded.Code() != http.StatusInternalServerError:
		return ""
	}
	return err.Error()
}

// Everything at once: the race detector looks on, and afterwards no token lives
// that nobody could end, the person's refresh token is the one on record, and the
// secrets at Adobe are those that the config knows.
func TestEverythingAtOnce(t *testing.T) {
	const workers, turns = 3, 25
	m := newAuthorizedMount(t)
	m.write("roles/single", map[string]any{"scopes": "openid", "exclusive": true, "verify": false})
	m.write("roles/fleet", map[string]any{"scopes": "openid,AdobeID", "leased": false, "verify": false})
	m.write("config/default", map[string]any{"request_timeout": "5s"})

	var issued sync.Map // every access token that IMS gave out
	m.ims.AlterToken(func(answer map[string]any) { issued.Store(fmt.Sprint(answer["access_token"]), true) })
	update := func(path string, data func(turn int) map[string]any) func(int) (*logical.Response, error) {
		return func(turn int) (*logical.Response, error) { return m.handle(logical.UpdateOperation, path, data(turn)) }
	}
	read := func(path string) func(int) (*logical.Response, error) {
		return func(int) (*logical.Response, error) { return m.handle(logical.ReadOperation, path, nil) }
	}
	none := func(int) map[string]any { return nil }
	var mu sync.Mutex
	var leases []*logical.Response
	work := map[string]func(turn int) (*logical.Response, error){
		"read":         read("token/firefly"),
		"read a fleet": read("token/fleet"),
		"read a person": func(int) (*logical.Response, error) {
			return m.handle(logical.ReadOperation, "token/designer", nil)
		},
		"read an exclusive one": func(int) (*logical.Response, error) {
			resp, err := m.handle(logical.ReadOperation, "token/single", nil)
			if err == nil && resp.Secret != nil {
				mu.Lock()
				defer mu.Unlock()
				leases = append(leases, resp)
			}
			return resp, err
		},
		"kill":          func(int) (*logical.Response, error) { return m.delete("token/firefly") },
		"kill a fleet":  func(int) (*logical.Response, error) { return m.delete("token/fleet") },
		"kill a person": func(int) (*logical.Response, error) { return m.delete("token/designer") },
		"write a role": update("roles/firefly", func(turn int) map[string]any {
			return map[string]any{"scopes": fmt.Sprintf("openid,scope_%d", turn%4), "verify": turn%2 == 0}
		}),
		"write a fleet's role": update("roles/fleet", func(turn int) map[string]any { return map[string]any{"min_ttl": turn} }),
		"write and delete a role": func(turn int) (*logical.Response, error) {
			if turn%3 == 2 {
				return m.delete("roles/fleeting")
			}
			if turn%3 == 1 {
				return m.handle(logical.ReadOperation, "token/fleeting", nil)
			}
			return m.handle(logical.UpdateOperation, "roles/fleeting", map[string]any{"scopes": "openid,fleeting"})
		},
		"write a config": update("config/default", func(turn int) map[string]any {
			return map[string]any{"max_retries": turn % 3, "technical_account_email": fmt.Sprintf("%d@techacct.adobe.com", turn)}
		}),
		"write another": update("config/person", func(turn int) map[string]any { return map[string]any{"max_retries": turn % 2} }),
		"rotate":        update("config/default/rotate", none),
		"sign in":       func(int) (*logical.Response, error) { return m.signInOnce() },
		"revoke": func(turn int) (*logical.Response, error) {
			if turn%5 != 4 {
				return m.handle(logical.ReadOperation, "authorize/designer", nil)
			}
			return m.delete("authorize/designer")
		},
		"look":  read("status/firefly"),
		"list":  func(int) (*logical.Response, error) { return m.handle(logical.ListOperation, "status/", nil) },
		"count": read("metrics"),
		"tick": func(int) (*logical.Response, error) {
			m.clock.Advance(time.Duration(rand.N(300)) * time.Second)
			return nil, m.tick()
		},
	}
	var group sync.WaitGroup
	for name, do := range work {
		for range workers {
			group.Go(func() {
				for turn := range turns {
					if wrong := unexpected(do(turn)); wrong != "" {
						t.Errorf("%s: %s", name, wrong)
					}
				}
			})
		}
	}
	group.Wait()
	m.requireInOrder(&issued, leases)
}

// signInOnce lets the person authorize the role again. Others may be faster.
func (m *mount) signInOnce() (*logical.Response, error) {
	resp, err := m.handle(logical.UpdateOperation, "authorize/designer", nil)
	if unexpected(resp, err) != "" || err != nil || resp.IsError() {
		return resp, err
	}
	redirect, err := m.ims.AllowAs(resp.Data["authorize_url"].(string), testPerson)
	if err != nil {
		return nil, err
	}
	code, state := codeAndState(redirect)
	return m.handle(logical.UpdateOperation, "authorize/designer", map[string]any{"code": code, "state": state})
}

// requireInOrder ends all that can be ended, and wants nothing to be left.
func (m *mount) requireInOrder(issued *sync.Map, leases []*logical.Response) {
	t := m.t
	for _, lease := range leases {
		require.NoError(t, m.revoke(lease))
	}
	m.clock.Advance(time.Minute)
	for _, role := range []string{"firefly", "fleet", "designer", "fleeting"} {
		m.eventually(func() bool {
			resp, err := m.delete("token/" + role)
			return err == nil && (!resp.IsError() || strings.Contains(resp.Error().Error(), "does not exist"))
		}, "the kill of "+role)
	}
	m.write("roles/fleeting", map[string]any{"scopes": "openid", "verify": false})
	_, err := m.delete("roles/fleeting")
	require.NoError(t, err)
	m.eventually(func() bool { return living(m.ims, issued) == 0 }, "every token to be dead")

	require.NoError(t, m.tick())
	m.signIn()
	require.NotEmpty(t, m.token("designer"))
	require.True(t, m.ims.Valid(m.refreshToken()))
	// A secret that was removed at Adobe as the config was written is found out later.
	m.eventually(func() bool {
		m.clock.Advance(time.Hour)
		return m.tick() == nil && len(m.uuids()) == 1 && len(m.stored().OtherUUIDs()) == 0
	}, "the previous secrets to be removed")
	require.Equal(t, m.stored().UUID, m.uuids()[0])
	m.restart()
	require.NotEmpty(t, m.token("firefly"))
	require.NotContains(t, m.log.String(), "panic")
}

func living(ims *emulator.Server, issued *sync.Map) (n int) {
	issued.Range(func(token, _ any) bool {
		if ims.Valid(token.(string)) {
			n++
		}
		return true
	})
	return n
}

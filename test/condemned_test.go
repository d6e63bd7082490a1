// SPDX-License-Identifier: MPL-2.0

package test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	imsclient "github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// startSlowly begins a request and waits until IMS has been asked for a token by it.
func (a *adobe) startSlowly(t *testing.T, do func() (*api.Secret, error)) (outcome func() (*api.Secret, error)) {
	t.Helper()
	before := a.mints()
	var answer *api.Secret
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		answer, err = do()
	}()
	vaulttest.WaitFor(t, 10*time.Second, "a request for a token", func() error {
		if a.mints() == before {
			return errors.New("there is none")
		}
		return nil
	})
	return func() (*api.Secret, error) { <-done; return answer, err }
}

// A person's role is killed, and its authorization revoked, while IMS takes its time
// over a refresh: nobody waits for it, and nothing that comes of it serves anybody.
func TestPersonIsKilledDuringARefresh(t *testing.T) {
	t.Parallel()
	const slowly = 2 * time.Second
	for name, kill := range map[string]func(*webApp) (*api.Secret, error){
		"the kill switch": func(w *webApp) (*api.Secret, error) { return w.vault.Client(t).Logical().Delete(designerToken) },
		"the revocation":  func(w *webApp) (*api.Secret, error) { return w.vault.Client(t).Logical().Delete(authorizePath) },
		"the role's end":  func(w *webApp) (*api.Secret, error) { return w.vault.Client(t).Logical().Delete(designerRole) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := startWebApp(t, "https://apps.example/signed-in")
			query := w.consent(t)
			w.vault.Write(t, authorizePath, vaulttest.Data{"code": query.Get("code"), "state": query.Get("state")})
			w.vault.Delete(t, designerToken)
			// Only the refresh is slow.
			refresh := func(r *http.Request) bool { return r.PostForm.Get("grant_type") == "refresh_token" }
			w.Inject(emulator.Fault{Path: emulator.TokenPath, Match: func(r *http.Request) bool {
				if refresh(r) {
					time.Sleep(slowly)
				}
				return false
			}})
			client := w.vault.Client(t).Logical()
			outcome := w.startSlowly(t, func() (*api.Secret, error) { return client.Read(designerToken) })
			took := during(func() {
				_, err := kill(w)
				require.NoError(t, err)
			})
			require.Less(t, took.to.Sub(took.from), slowly-500*time.Millisecond, "it does not wait for the refresh")
			killed := w.everIssued()
			answer, err := outcome()
			if name == "the kill switch" {
				require.NoError(t, err, "it gets a token from after the kill")
				token := answer.Data["access_token"].(string)
				require.NotContains(t, killed, token)
				require.True(t, w.Valid(token))
				return
			}
			requireStatus(t, http.StatusBadRequest, err, "who waited")
			vaulttest.WaitFor(t, 10*time.Second, "all that was granted to end", func() error {
				for _, token := range w.everIssued() {
					if w.Valid(token) {
						return errors.New("one lives")
					}
				}
				return nil
			})
			w.vault.Write(t, designerRole, vaulttest.Data{"config": "person", "scopes": personScopes})
			w.requireUnauthorized(t)
			w.requireNotLogged(t)
		})
	}
}

// everIssued are the tokens that the emulator gave away so far.
func (w *webApp) everIssued() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.secrets), func(token string) bool { return token == "<nil>" })
}

// What a reader waits for is not what the role is by then: no reader gets a token of
// before, exclusive or shared, and none of before lives on unknown.
func TestRoleIsChangedWhileItsReaderWaits(t *testing.T) {
	t.Parallel()
	const slowly = 2 * time.Second
	ims := startAdobe(t, time.Hour)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)
	ims.AddClient(emulator.Client{ID: otherClientID, Secrets: []string{clientSecret}})
	var mu sync.Mutex
	nobodys := map[string]bool{} // tokens that IMS gave out and no reader has
	alter := func(answer map[string]any) {
		mu.Lock()
		defer mu.Unlock()
		nobodys[fmt.Sprint(answer["access_token"])] = true
	}
	changes := map[string]func(role string) error{
		"narrowed": func(role string) error {
			_, err := vault.Client(t).Logical().Write("adobeims/roles/"+role, vaulttest.Data{"scopes": "openid", "verify": false})
			return err
		},
		"deleted": func(role string) error {
			_, err := vault.Client(t).Logical().Delete("adobeims/roles/" + role)
			return err
		},
		"replaced": func(role string) error {
			_, err := vault.Client(t).Logical().Write("adobeims/config/"+role, vaulttest.Data{"client_id": otherClientID, "verify": false})
			return err
		},
	}
	for change := range changes {
		for _, exclusive := range []bool{true, false} {
			role := fmt.Sprintf("%s-%t", change, exclusive)
			vault.Write(t, "adobeims/config/"+role, credential(ims.URL, nil))
			vault.Write(t, "adobeims/roles/"+role, vaulttest.Data{"config": role, "scopes": "openid,before_" + role, "exclusive": exclusive, "verify": false})
		}
	}
	ims.AlterToken(alter) // no more proofs of configs from here on
	ims.Configure(func(o *emulator.Options) { o.Latency = slowly })
	var group sync.WaitGroup
	for change, do := range changes {
		for _, exclusive := range []bool{true, false} {
			role := fmt.Sprintf("%s-%t", change, exclusive)
			group.Go(func() {
				read := make(chan struct{})
				var answer *api.Secret
				var err error
				go func() {
					defer close(read)
					answer, err = vault.Client(t).Logical().Read("adobeims/token/" + role)
				}()
				time.Sleep(slowly / 2) // the mint is under way
				if err := do(role); err != nil {
					t.Errorf("%s: %v", role, err)
				}
				<-read
				if err == nil {
					mu.Lock()
					delete(nobodys, answer.Data["access_token"].(string))
					mu.Unlock()
				}
				switch {
				case change == "deleted" && err == nil:
					t.Errorf("%s: the reader got a token", role)
				case change == "deleted":
				case err != nil:
					t.Errorf("%s: %v", role, err)
				case change == "narrowed" && fmt.Sprint(answer.Data["scopes"]) != "[openid]":
					t.Errorf("%s: the reader got %v", role, answer.Data["scopes"])
				case change == "replaced" && answer.Data["client_id"] != otherClientID:
					t.Errorf("%s: the reader got a token of %v", role, answer.Data["client_id"])
				}
			})
		}
	}
	group.Wait()
	ims.Configure(func(o *emulator.Options) { o.Latency = 0 })
	require.Len(t, vault.List(t, "sys/leases/lookup/adobeims/token/"), 4, "of the roles that there are")
	// One that nobody got may have been kept; then it is on record.
	for _, role := range []string{"narrowed-false", "replaced-false"} {
		vault.Delete(t, "adobeims/token/"+role)
	}
	vaulttest.WaitFor(t, 15*time.Second, "the tokens of nobody to end", func() error {
		mu.Lock()
		defer mu.Unlock()
		for token := range nobodys {
			if claims, _ := imsclient.ReadClaims(token); ims.Valid(token) {
				return fmt.Errorf("one with %s lives", claims.Scopes)
			}
		}
		return nil
	})
	require.NotEmpty(t, nobodys)
}

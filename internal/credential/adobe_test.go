// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// adobe is IMS and the Developer Console at one address, as far as this package
// asks them.
type adobe struct {
	*httptest.Server

	mu       sync.Mutex
	clientID string
	secrets  []string                    // that are accepted
	answer   map[string]http.HandlerFunc // by path, in place of the usual
	asked    []string                    // "path client_secret", in order
	living   map[string]bool             // tokens that were given out
	open     map[net.Conn]http.ConnState // connections that are not closed
	onToken  func(answer map[string]any) // changes an answer with a token
}

const (
	tokenPath      = "/ims/token/v3"
	invalidatePath = "/ims/invalidate_token/v2"
	consolePath    = "/console/organizations/4711/credentials/900001/secrets"
)

func newAdobe(t *testing.T, secrets ...string) *adobe {
	t.Helper()
	a := &adobe{clientID: clientOne, secrets: secrets, answer: map[string]http.HandlerFunc{}, living: map[string]bool{}, open: map[net.Conn]http.ConnState{}}
	a.Server = httptest.NewUnstartedServer(a)
	a.Config.ConnState = func(c net.Conn, state http.ConnState) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if state == http.StateClosed {
			delete(a.open, c)
		} else {
			a.open[c] = state
		}
	}
	a.Start()
	t.Cleanup(a.Close)
	return a
}

func (a *adobe) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	given := r.PostForm.Get("client_secret")
	if _, password, ok := r.BasicAuth(); ok {
		given = "basic:" + password
	}
	a.mu.Lock()
	a.asked = append(a.asked, strings.TrimSpace(r.URL.Path+" "+given))
	other := a.answer[r.URL.Path]
	a.mu.Unlock()
	switch {
	case other != nil:
		other(w, r)
	case r.URL.Path == tokenPath && r.PostForm.Get("grant_type") == "authorization_code":
		a.exchange(w, strings.TrimPrefix(given, "basic:"))
	case r.URL.Path == tokenPath:
		a.token(w, r.PostForm.Get("client_id"), given)
	case r.URL.Path == invalidatePath:
		a.invalidate(w, r.PostForm.Get("client_id"), given, r.PostForm.Get("token"))
	case r.URL.Path == consolePath:
		a.list(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (a *adobe) refuses(w http.ResponseWriter, clientID, given string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case clientID != a.clientID:
		refuse(w, "invalid_client", "invalid client_id parameter")
	case !slices.Contains(a.secrets, given):
		refuse(w, "invalid_client", "invalid client_secret parameter")
	default:
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, code, description string) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": description})
}

func (a *adobe) token(w http.ResponseWriter, clientID, given string) {
	if a.refuses(w, clientID, given) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	claims := fmt.Sprintf(`{"user_id":"ACCOUNT@techacct.adobe.com","n":%d}`, len(a.living))
	token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".sig"
	a.living[token] = true
	answer := map[string]any{"access_token": token, "token_type": "bearer", "expires_in": 86399}
	if a.onToken != nil {
		a.onToken(answer)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (a *adobe) exchange(w http.ResponseWriter, given string) {
	a.mu.Lock()
	known := slices.Contains(a.secrets, given)
	a.mu.Unlock()
	if known {
		refuse(w, "access_denied", "")
	} else {
		refuse(w, "invalid_client", "invalid client_secret parameter")
	}
}

func (a *adobe) invalidate(w http.ResponseWriter, clientID, given, token string) {
	if given != "" && a.refuses(w, clientID, given) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if clientID != a.clientID {
		refuse(w, "invalid_client", "invalid client_id parameter")
		return
	}
	delete(a.living, token)
}

func (a *adobe) list(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.living[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error_code":"401013","message":"Oauth token is not valid"}`))
		return
	}
	_, _ = w.Write([]byte(`{"client_id":"` + a.clientID + `","client_secrets":[{"uuid":"u-1","created_at":"1682448485000"}]}`))
}

// instead has a path answer something else.
func (a *adobe) instead(path string, status int, contentType, body string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer[path] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func (a *adobe) accept(secrets ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secrets = secrets
}

// requests are those since the last call.
func (a *adobe) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = nil
	return asked
}

func (a *adobe) livingTokens() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.living)
}

func (a *adobe) connections() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.open)
}

// nobody is a node that may do all, on a server without events.
type nobody struct{}

func (nobody) MayWriteLocal() bool                             { return true }
func (nobody) MayWrite() bool                                  { return true }
func (nobody) Tainted() bool                                   { return false }
func (nobody) Send(context.Context, string, string, ...string) {}

type bench struct {
	*Store
	clock   *clockwork.FakeClock
	storage *logical.InmemStorage
	log     *strings.Builder
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{clock: clockwork.NewFakeClockAt(time.Now()), storage: &logical.InmemStorage{}, log: &strings.Builder{}}
	pool := ims.NewPool("test", b.clock.Now)
	h := &host.Host{
		Context: t.Context(),
		Clock:   b.clock,
		Log:     hclog.New(&hclog.LoggerOptions{Output: b.log, Level: hclog.Trace}),
		Storage: b.storage,
		Node:    nobody{},
		Events:  nobody{},
	}
	b.Store = NewStore(h, pool, newOrder())
	t.Cleanup(func() {
		b.Close()
		pool.Close()
		require.NotContains(t, b.log.String(), "p8e-")
	})
	return b
}

// at is a credential of a server.
func at(url string, current secret.Secret) *Credential {
	settings := Defaults()
	settings.ClientID, settings.IMSURL, settings.ConsoleURL, settings.MaxRetries = clientOne, url, url, 0
	return &Credential{Settings: settings, Secrets: Secrets{Current: current}}
}

// rotating is one whose secrets can be managed.
func rotating(url string, current secret.Secret) *Credential {
	c := at(url, current)
	c.ConsoleOrgID, c.CredentialID = "4711", "900001"
	return c
}

func newOrder() *entry.Order { return &entry.Order{} }

// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// CredentialType is what the Developer Console calls the kind of a credential.
type CredentialType string

// The types of credential that are emulated.
const (
	OAuthServerToServer CredentialType = "oauth_server_to_server"
	OAuthWebApp         CredentialType = "oauth_web_app"
)

// Client is a credential of the Developer Console: a client of IMS.
type Client struct {
	ID             string
	CredentialType CredentialType // "" = OAuthServerToServer
	Secrets        []string       // client secrets that work at once
	Scopes         []string       // those it may ask for; empty = any
	OrgID          string         // ...@AdobeOrg
	NeedsOrg       bool           // client_credentials must carry OrgID as org_id, as for an Enterprise Web App
	RedirectURIs   []string       // of a web app; the first is the default
	ConsoleOrgID   string         // the number in the console's URLs
	CredentialID   string         // the other one
}

// client is immutable but for its secrets, which the Server's mutex guards.
type client struct {
	Client
	secrets []Secret
}

// AddClient makes c known, in place of an earlier one of the same ID. Tokens issued to that one stay alive.
func (s *Server) AddClient(c Client) {
	c.CredentialType = orDefault(c.CredentialType, OAuthServerToServer)
	now := s.clock.Now()
	added := &client{Client: c}
	for _, value := range c.Secrets {
		added.secrets = append(added.secrets, Secret{UUID: newID(), Value: value, CreatedAt: now, UsableAt: now})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = added
}

// clientAuth says where a client's ID and secret may stand in a request.
type clientAuth struct{ basic, form bool }

// authenticate returns the client that r proves to come from.
func (s *Server) authenticate(r *http.Request, how clientAuth) (*client, *imsError) {
	var id, secret string
	if how.form {
		id, secret = r.Form.Get("client_id"), r.Form.Get("client_secret")
	}
	if user, password, ok := r.BasicAuth(); ok && how.basic {
		id, secret = user, password
	}
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[id]
	if c == nil {
		return nil, s.invalidClient("invalid client_id parameter")
	}
	if !c.use(secret, r.Form.Get("grant_type"), now) {
		return nil, s.invalidClient("invalid client_secret parameter")
	}
	return c, nil
}

// use reports whether value is a secret of c that works by now, and notes its use.
func (c *client) use(value, grantType string, now time.Time) bool {
	for i := range c.secrets {
		secret := &c.secrets[i]
		if secret.Value == value && !now.Before(secret.UsableAt) {
			secret.LastUsedAt, secret.LastGrantType = now, grantType
			return true
		}
	}
	return false
}

// invalidClient wants the mutex held.
func (s *Server) invalidClient(description string) *imsError {
	return &imsError{status: s.opts.InvalidClientStatus, Code: "invalid_client", Description: description}
}

// allows reports whether c may ask for all of scopes.
func (c *client) allows(scopes []string) bool {
	return len(c.Scopes) == 0 || containsAll(c.Scopes, scopes)
}

// technicalAccount is the user that a server-to-server credential acts as.
func (c *client) technicalAccount() string {
	return accountID(c.ID) + "@techacct.adobe.com"
}

// accountID derives the 24 digits of an Adobe account from a name, the same ones each time.
func accountID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return strings.ToUpper(hex.EncodeToString(sum[:12]))
}

// splitScopes takes scopes as they come: IMS reads them separated by commas, spaces or both.
func splitScopes(scope string) []string {
	return strings.FieldsFunc(scope, func(r rune) bool { return r == ',' || r == ' ' })
}

func containsAll(all, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(scope string) bool { return !slices.Contains(all, scope) })
}

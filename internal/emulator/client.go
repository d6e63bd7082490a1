// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
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
	Scopes         []string       // those it may be granted; empty = any
	OrgID          string         // ...@AdobeOrg
	NeedsOrg       bool           // client_credentials must carry OrgID as org_id, as for an Enterprise Web App
	// TechnicalAccountID is the user that a server-to-server credential acts
	// as: the user_id of its tokens. "" = one made from ID,
	// ...@techacct.adobe.com.
	TechnicalAccountID string
	RedirectURIs       []string // of a web app; the first is the default
	ConsoleOrgID       string   // the number in the console's URLs
	CredentialID       string   // the other one
}

// client is immutable but for its secrets, which the Server's mutex guards.
type client struct {
	Client
	secrets []Secret
}

// AddClient makes c known, in place of an earlier one of the same ID. Tokens
// issued to that one stay alive.
func (s *Server) AddClient(c Client) {
	c.CredentialType = cmp.Or(c.CredentialType, OAuthServerToServer)
	c.TechnicalAccountID = cmp.Or(c.TechnicalAccountID, accountID(c.ID)+"@techacct.adobe.com")
	now := s.clock.Now()
	added := &client{Client: c}
	for _, value := range c.Secrets {
		added.secrets = append(added.secrets, Secret{UUID: newID(), Value: value, CreatedAt: now, UsableAt: now})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = added
}

// authenticate returns the client that r proves to come from.
func (s *Server) authenticate(r *http.Request, how ClientAuth) (*client, *imsError) {
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	id, secret := s.presented(r, how)
	c := s.clients[id]
	if c == nil {
		return nil, s.invalidClient("invalid client_id parameter")
	}
	if !c.use(secret, r.Form.Get("grant_type"), now) {
		return nil, s.invalidClient("invalid client_secret parameter")
	}
	return c, nil
}

// presented returns the ID and secret in r. It wants the mutex held.
func (s *Server) presented(r *http.Request, how ClientAuth) (id, secret string) {
	if user, password, ok := r.BasicAuth(); ok && how != FormOnly {
		if s.opts.RawBasic {
			return user, password
		}
		return unescape(user), unescape(password)
	}
	if how == BasicOnly {
		return "", ""
	}
	return r.Form.Get("client_id"), r.Form.Get("client_secret")
}

// unescape undoes the percent-encoding of a value, if there is any.
func unescape(value string) string {
	if decoded, err := url.QueryUnescape(value); err == nil {
		return decoded
	}
	return value
}

// use reports whether value is a secret of c that works by now, and notes its
// use.
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

// accountID derives the 24 digits of an Adobe account from a name, the same
// ones each time.
func accountID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return strings.ToUpper(hex.EncodeToString(sum[:12]))
}

// splitScopes takes scopes as they come: IMS reads them separated by commas,
// spaces or both.
func splitScopes(scope string) []string {
	return strings.FieldsFunc(scope, func(r rune) bool { return r == ',' || r == ' ' })
}

func containsAll(all, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(scope string) bool { return !slices.Contains(all, scope) })
}

// grantable returns what of the scopes asked for is granted: all of them, or
// with narrow those that are allowed. Without any, the request is refused.
func grantable(asked, allowed []string, narrow bool) []string {
	if containsAll(allowed, asked) {
		return asked
	}
	if !narrow {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(asked), func(scope string) bool { return !slices.Contains(allowed, scope) })
}

// grantable returns what of the scopes asked for c is granted.
func (c *client) grantable(asked []string, narrow bool) []string {
	if len(c.Scopes) == 0 {
		return asked
	}
	return grantable(asked, c.Scopes, narrow)
}

// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"cmp"
	"net/http"
	"time"

	"github.com/jonboulle/clockwork"
)

const (
	defaultTokenLife        = 24 * time.Hour
	defaultRefreshTokenLife = 14 * 24 * time.Hour
)

// ClientAuth says where a client's ID and secret may stand in a request.
type ClientAuth string

// Where they may stand.
const (
	BasicOrForm ClientAuth = ""
	BasicOnly   ClientAuth = "basic"
	FormOnly    ClientAuth = "form"
)

// Options sets the Server up. The zero value is Adobe as documented.
type Options struct {
	Clock            clockwork.Clock // nil = the real one
	TokenLife        time.Duration   // of access tokens; expires_in has it in whole seconds. 0 = 24 h
	RefreshTokenLife time.Duration   // 0 = 14 days
	Latency          time.Duration   // between a call's effect and its answer; real time, whatever the Clock
	SecretDelay      time.Duration   // before IMS accepts a client secret added later on

	// What follows is not publicly known of Adobe.

	// InvalidClientStatus is the status of IMS's invalid_client. 0 = 400, which
	// Adobe's own code branches on; others mock 401.
	InvalidClientStatus int
	// BasicClientCredentials lets HTTP Basic authenticate the
	// client_credentials grant; only the form is documented.
	BasicClientCredentials bool
	// UserGrants is how a client proves itself for the authorization_code and
	// refresh_token grants and the revocation. HTTP Basic is documented, the
	// form is what Adobe's own clients send.
	UserGrants ClientAuth
	// RawBasic compares the ID and secret in HTTP Basic as they come, instead
	// of decoding them first: RFC 6749 wants them percent-encoded, and some
	// servers do not know.
	RawBasic bool
	// OptionalScope grants a client_credentials request without scope all that
	// the client may have, instead of invalid_scope.
	OptionalScope bool
	// NarrowScopes grants, of scopes that the client may have in part, that
	// part, and says so in the answer's scope, instead of invalid_scope.
	NarrowScopes bool
	// ReusableRefreshTokens keeps a refresh token alive after use; otherwise it
	// dies at once and only the new one works.
	ReusableRefreshTokens bool
	// RefusedRefreshCode is the error for a refresh token that is not accepted.
	// "" = access_denied, IMS's answer to a bad authorization code; RFC 6749
	// has invalid_grant.
	RefusedRefreshCode string
	// RefuseDeadTokens makes the invalidation of a dead or unknown token a 400
	// invalid_token instead of a 200.
	RefuseDeadTokens bool
	// CascadeClient makes an invalidation with cascading=all kill every token
	// of the client, instead of the one named.
	CascadeClient bool
	// ConsoleScopes must all be in a token that calls the console. nil =
	// read_client_secret, manage_client_secrets; Adobe documents a longer list
	// to ask for and not whether less is enough.
	ConsoleScopes []string
	// SecretLimitStatus is what adding a third client secret answers. 0 = 403,
	// the console's for other quotas.
	SecretLimitStatus int
	// ConsoleOK answers the adding and removal of a secret with 200, as the API
	// description in Adobe's library has it, instead of the documentation's 201
	// and 204.
	ConsoleOK bool
	// BareNewSecret answers the adding of a secret without its uuid and times,
	// as the same description has it.
	BareNewSecret bool
}

func (o *Options) setDefaults() {
	if o.Clock == nil {
		o.Clock = clockwork.NewRealClock()
	}
	o.TokenLife = cmp.Or(o.TokenLife, defaultTokenLife)
	o.RefreshTokenLife = cmp.Or(o.RefreshTokenLife, defaultRefreshTokenLife)
	o.InvalidClientStatus = cmp.Or(o.InvalidClientStatus, http.StatusBadRequest)
	o.RefusedRefreshCode = cmp.Or(o.RefusedRefreshCode, "access_denied")
	o.SecretLimitStatus = cmp.Or(o.SecretLimitStatus, http.StatusForbidden)
	if o.ConsoleScopes == nil {
		o.ConsoleScopes = []string{"read_client_secret", "manage_client_secrets"}
	}
}

// Configure has change alter the options for the requests from now on; it must
// not call the Server. What was issued before stays as it is, and the Clock is
// the one that New was given.
func (s *Server) Configure(change func(*Options)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.opts)
	s.opts.setDefaults()
}

func (s *Server) options() Options {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts
}

// AlterToken has alter change each successful answer of a token endpoint before
// it is sent; nil ends that. Requests may call it at the same time.
func (s *Server) AlterToken(alter func(answer map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterToken = alter
}

// AlterClaims has alter change the claims of each access and refresh token
// (claims["type"] tells which) before it is signed; nil ends that. The Server
// itself still goes by what it had put there. Requests may call it at the same
// time.
func (s *Server) AlterClaims(alter func(claims map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterClaims = alter
}

// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"net/http"
	"time"

	"github.com/jonboulle/clockwork"
)

const (
	defaultTokenLife        = 24 * time.Hour
	defaultRefreshTokenLife = 14 * 24 * time.Hour
)

// Options sets the Server up. The zero value is Adobe as documented.
type Options struct {
	Clock            clockwork.Clock // nil = the real one
	TokenLife        time.Duration   // of access tokens; expires_in has it in whole seconds. 0 = 24 h
	RefreshTokenLife time.Duration   // 0 = 14 days
	Latency          time.Duration   // between a call's effect and its answer; real time, whatever the Clock
	SecretDelay      time.Duration   // before IMS accepts a client secret added later on

	// What follows is not publicly known of Adobe.

	// InvalidClientStatus is the status of IMS's invalid_client. 0 = 400, which Adobe's own code branches on; others mock 401.
	InvalidClientStatus int
	// BasicClientCredentials lets HTTP Basic authenticate the client_credentials grant; only the form is documented.
	BasicClientCredentials bool
	// FormUserGrants lets the form authenticate the authorization_code and refresh_token grants and the revocation; only HTTP
	// Basic is documented.
	FormUserGrants bool
	// OptionalScope grants a client_credentials request without scope all that the client may have, instead of invalid_scope.
	OptionalScope bool
	// ReusableRefreshTokens keeps a refresh token alive after use; otherwise it dies at once and only the new one works.
	ReusableRefreshTokens bool
	// RefusedRefreshCode is the error for a refresh token that is not accepted. "" = access_denied, IMS's answer to a bad
	// authorization code; RFC 6749 has invalid_grant.
	RefusedRefreshCode string
	// RefuseDeadTokens makes the invalidation of a dead or unknown token a 400 invalid_token instead of a 200.
	RefuseDeadTokens bool
	// CascadeClient makes an invalidation with cascading=all kill every token of the client, instead of the one named.
	CascadeClient bool
	// ConsoleScopes must all be in a token that calls the console. nil = read_client_secret, manage_client_secrets; Adobe
	// documents a longer list to ask for and not whether less is enough.
	ConsoleScopes []string
	// SecretLimitStatus is what adding a third client secret answers. 0 = 403, the console's for other quotas.
	SecretLimitStatus int
	// ConsoleOK answers the adding and removal of a secret with 200, as the API description in Adobe's library has it, instead
	// of the documentation's 201 and 204.
	ConsoleOK bool
	// BareNewSecret answers the adding of a secret without its uuid and times, as the same description has it.
	BareNewSecret bool
}

func (o *Options) setDefaults() {
	if o.Clock == nil {
		o.Clock = clockwork.NewRealClock()
	}
	o.TokenLife = orDefault(o.TokenLife, defaultTokenLife)
	o.RefreshTokenLife = orDefault(o.RefreshTokenLife, defaultRefreshTokenLife)
	o.InvalidClientStatus = orDefault(o.InvalidClientStatus, http.StatusBadRequest)
	o.RefusedRefreshCode = orDefault(o.RefusedRefreshCode, "access_denied")
	o.SecretLimitStatus = orDefault(o.SecretLimitStatus, http.StatusForbidden)
	if o.ConsoleScopes == nil {
		o.ConsoleScopes = []string{"read_client_secret", "manage_client_secrets"}
	}
}

// SetTokenLife sets [Options.TokenLife] for the tokens issued from now on.
func (s *Server) SetTokenLife(d time.Duration) {
	s.setOption(func(o *Options) { o.TokenLife = orDefault(d, defaultTokenLife) })
}

// SetRefreshTokenLife sets [Options.RefreshTokenLife] for the tokens issued from now on.
func (s *Server) SetRefreshTokenLife(d time.Duration) {
	s.setOption(func(o *Options) { o.RefreshTokenLife = orDefault(d, defaultRefreshTokenLife) })
}

// SetLatency sets [Options.Latency].
func (s *Server) SetLatency(d time.Duration) {
	s.setOption(func(o *Options) { o.Latency = d })
}

// SetSecretDelay sets [Options.SecretDelay] for the secrets added from now on.
func (s *Server) SetSecretDelay(d time.Duration) {
	s.setOption(func(o *Options) { o.SecretDelay = d })
}

// AlterToken has alter change each successful answer of [TokenPath] before it is sent; nil ends that. Requests may call it at the
// same time.
func (s *Server) AlterToken(alter func(answer map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterToken = alter
}

// AlterClaims has alter change the claims of each access and refresh token (claims["type"] tells which) before it is signed; nil
// ends that. The Server itself still goes by what it had put there. Requests may call it at the same time.
func (s *Server) AlterClaims(alter func(claims map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alterClaims = alter
}

func (s *Server) setOption(set func(*Options)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(&s.opts)
}

func (s *Server) options() Options {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts
}

// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"time"
)

// tokenVersion is what the versions of the token endpoint differ in.
type tokenVersion struct {
	unit   time.Duration // of expires_in
	userID bool          // a person's answers have a userId
}

// tokenEndpoint is the token endpoint. Parameters may come in the body or the
// URL.
func (s *Server) tokenEndpoint(v tokenVersion) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, refusal := s.token(r)
		if refusal != nil {
			refusal.write(w)
			return
		}
		body := answer.body(v)
		s.mu.Lock()
		alter := s.alterToken
		s.mu.Unlock()
		if alter != nil {
			alter(body)
		}
		writeJSON(w, http.StatusOK, body)
	}
}

// token grants what r asks for.
func (s *Server) token(r *http.Request) (*tokenAnswer, *imsError) {
	switch r.Form.Get("grant_type") {
	case "client_credentials":
		return s.clientCredentials(r)
	case "authorization_code":
		return s.authorizationCode(r)
	case "refresh_token":
		return s.refresh(r)
	}
	return nil, &imsError{Code: "unsupported_grant_type"}
}

// tokenAnswer is a granted request. Fields that are empty are not in the
// answer.
type tokenAnswer struct {
	accessToken  string
	life         time.Duration // of the access token
	refreshToken string
	idToken      string
	sub          string
	userID       string
	scopes       []string // if fewer than were asked for
}

func (a *tokenAnswer) body(v tokenVersion) map[string]any {
	body := map[string]any{
		"access_token": a.accessToken,
		"token_type":   "bearer",
		// Whole seconds, whatever the unit.
		"expires_in": int64(a.life.Truncate(time.Second) / v.unit),
	}
	if !v.userID {
		a.userID = ""
	}
	for name, value := range map[string]string{
		"refresh_token": a.refreshToken, "id_token": a.idToken, "sub": a.sub, "userId": a.userID,
		"scope": strings.Join(a.scopes, ","),
	} {
		if value != "" {
			body[name] = value
		}
	}
	return body
}

func (s *Server) clientCredentials(r *http.Request) (*tokenAnswer, *imsError) {
	o := s.options()
	how := FormOnly
	if o.BasicClientCredentials {
		how = BasicOrForm
	}
	c, refusal := s.authenticate(r, how)
	if refusal != nil {
		return nil, refusal
	}
	asked := splitScopes(r.Form.Get("scope"))
	if len(asked) == 0 && o.OptionalScope {
		asked = c.Scopes
	}
	scopes := c.grantable(asked, o.NarrowScopes)
	switch {
	case c.CredentialType != OAuthServerToServer:
		return nil, &imsError{Code: "unauthorized_client"}
	case c.NeedsOrg && r.Form.Get("org_id") != c.OrgID:
		return nil, &imsError{Code: "invalid_request", Description: "invalid org_id parameter"}
	case len(scopes) == 0:
		return nil, &imsError{Code: "invalid_scope"}
	}
	token, _ := s.issue(accessToken, o.TokenLife, grant{clientID: c.ID, userID: c.TechnicalAccountID, scopes: scopes}, nil)
	return &tokenAnswer{accessToken: token, life: o.TokenLife, scopes: fewer(scopes, asked)}, nil
}

// fewer returns the scopes granted if they are fewer than those asked for.
func fewer(granted, asked []string) []string {
	if len(granted) == len(asked) {
		return nil
	}
	return granted
}

func (s *Server) authorizationCode(r *http.Request) (*tokenAnswer, *imsError) {
	o := s.options()
	c, refusal := s.authenticateWebApp(r, o)
	if refusal != nil {
		return nil, refusal
	}
	a := s.takeCode(r.Form.Get("code"), c.ID)
	if a == nil || !a.provenBy(r.Form.Get("code_verifier")) {
		return nil, &imsError{Code: "access_denied"}
	}
	asked, scopes := a.narrowed(r, o)
	if len(scopes) == 0 {
		return nil, &imsError{Code: "invalid_scope"}
	}
	if r.Form.Get("scope") == "" {
		asked = a.asked
	}
	answer := s.issuePair(o, a.grant, scopes)
	answer.scopes, answer.sub = fewer(scopes, asked), a.userID
	if slices.Contains(a.scopes, "openid") {
		answer.idToken = s.idToken(r, o, a)
	}
	return answer, nil
}

func (s *Server) refresh(r *http.Request) (*tokenAnswer, *imsError) {
	o := s.options()
	c, refusal := s.authenticateWebApp(r, o)
	if refusal != nil {
		return nil, refusal
	}
	t, refusal := s.takeRefreshToken(r, c.ID)
	if refusal != nil {
		return nil, refusal
	}
	asked, scopes := t.narrowed(r, o)
	answer := s.issuePair(o, t.grant, scopes)
	answer.scopes = fewer(scopes, asked)
	return answer, nil
}

func (s *Server) authenticateWebApp(r *http.Request, o Options) (*client, *imsError) {
	c, refusal := s.authenticate(r, o.UserGrants)
	if refusal == nil && c.CredentialType != OAuthWebApp {
		refusal = &imsError{Code: "unauthorized_client"}
	}
	return c, refusal
}

// takeCode returns what code stands for. A code works once.
func (s *Server) takeCode(code, clientID string) *authorization {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.codes[keyOf(code)]
	if a == nil || a.clientID != clientID {
		return nil
	}
	delete(s.codes, keyOf(code))
	if !s.clock.Now().Before(a.expires) {
		return nil
	}
	return a
}

// provenBy reports whether verifier answers the challenge that the
// authorization was asked for with, if any (RFC 7636).
func (a *authorization) provenBy(verifier string) bool {
	if a.challenge == "" {
		return true
	}
	if a.challengeMethod == "S256" {
		sum := sha256.Sum256([]byte(verifier))
		verifier = encodeSegment(sum[:])
	}
	return subtle.ConstantTimeCompare([]byte(verifier), []byte(a.challenge)) == 1
}

// takeRefreshToken returns the refresh token in r, and uses it up unless it is
// reusable.
func (s *Server) takeRefreshToken(r *http.Request, clientID string) (*issuedToken, *imsError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.living(r.Form.Get("refresh_token"))
	if t == nil || t.kind != refreshToken || t.clientID != clientID {
		return nil, &imsError{Code: s.opts.RefusedRefreshCode}
	}
	if _, scopes := t.narrowed(r, s.opts); len(scopes) == 0 {
		return nil, &imsError{Code: "invalid_scope"}
	}
	t.dead = !s.opts.ReusableRefreshTokens
	return t, nil
}

// narrowed returns the scopes that r asks for of those of g, all if it names
// none, and what of them is granted.
func (g grant) narrowed(r *http.Request, o Options) (asked, granted []string) {
	asked = splitScopes(r.Form.Get("scope"))
	if len(asked) == 0 {
		return g.scopes, g.scopes
	}
	return asked, grantable(asked, g.scopes, o.NarrowScopes)
}

// issuePair issues a person's access token with these scopes and, with the
// scope offline_access, the refresh token for the next one, which has all of
// g's. Each names the refresh token's id and end.
func (s *Server) issuePair(o Options, g grant, scopes []string) *tokenAnswer {
	answer := &tokenAnswer{life: o.TokenLife, userID: g.userID}
	var companion map[string]any
	if slices.Contains(g.scopes, "offline_access") {
		token, t := s.issue(refreshToken, o.RefreshTokenLife, g, nil)
		answer.refreshToken = token
		companion = map[string]any{"rtid": t.id, "rtea": millis(t.created.Add(t.life))}
	}
	g.scopes = scopes
	answer.accessToken, _ = s.issue(accessToken, o.TokenLife, g, companion)
	return answer
}

// idToken is an OpenID Connect one, in seconds unlike Adobe's other tokens.
func (s *Server) idToken(r *http.Request, o Options, a *authorization) string {
	now := s.clock.Now()
	claims := map[string]any{
		"iss": issuer(r),
		"aud": a.clientID,
		"sub": a.userID,
		"iat": now.Unix(),
		"exp": now.Add(o.TokenLife).Unix(),
	}
	if a.nonce != "" {
		claims["nonce"] = a.nonce
	}
	return s.sign(otherKeyID, "", claims)
}

// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"time"
)

// serveToken is the token endpoint. Parameters may come in the body or the URL.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	var answer map[string]any
	var refusal *imsError
	switch r.Form.Get("grant_type") {
	case "client_credentials":
		answer, refusal = s.clientCredentials(r)
	case "authorization_code":
		answer, refusal = s.authorizationCode(r)
	case "refresh_token":
		answer, refusal = s.refresh(r)
	default:
		refusal = &imsError{Code: "unsupported_grant_type"}
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	s.mu.Lock()
	alter := s.alterToken
	s.mu.Unlock()
	if alter != nil {
		alter(answer)
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) clientCredentials(r *http.Request) (map[string]any, *imsError) {
	o := s.options()
	c, refusal := s.authenticate(r, clientAuth{basic: o.BasicClientCredentials, form: true})
	if refusal != nil {
		return nil, refusal
	}
	scopes := splitScopes(r.Form.Get("scope"))
	switch {
	case c.CredentialType != OAuthServerToServer:
		return nil, &imsError{Code: "unauthorized_client"}
	case c.NeedsOrg && r.Form.Get("org_id") != c.OrgID:
		return nil, &imsError{Code: "invalid_request", Description: "invalid org_id parameter"}
	case len(scopes) == 0 && o.OptionalScope:
		scopes = c.Scopes
	case len(scopes) == 0, !c.allows(scopes):
		return nil, &imsError{Code: "invalid_scope"}
	}
	token, _ := s.issue(accessToken, o.TokenLife, grant{clientID: c.ID, userID: c.technicalAccount(), scopes: scopes}, nil)
	return bearer(token, o.TokenLife), nil
}

func (s *Server) authorizationCode(r *http.Request) (map[string]any, *imsError) {
	o := s.options()
	c, refusal := s.authenticateWebApp(r, o)
	if refusal != nil {
		return nil, refusal
	}
	a := s.takeCode(r.Form.Get("code"), c.ID)
	if a == nil || !a.provenBy(r.Form.Get("code_verifier")) {
		return nil, &imsError{Code: "access_denied"}
	}
	answer := s.issuePair(o, a.grant)
	answer["sub"] = a.userID
	if slices.Contains(a.scopes, "openid") {
		answer["id_token"] = s.idToken(r, o, a)
	}
	return answer, nil
}

func (s *Server) refresh(r *http.Request) (map[string]any, *imsError) {
	o := s.options()
	c, refusal := s.authenticateWebApp(r, o)
	if refusal != nil {
		return nil, refusal
	}
	g, ok := s.useRefreshToken(r.Form.Get("refresh_token"), c.ID)
	if !ok {
		return nil, &imsError{Code: o.RefusedRefreshCode}
	}
	return s.issuePair(o, g), nil
}

func (s *Server) authenticateWebApp(r *http.Request, o Options) (*client, *imsError) {
	c, refusal := s.authenticate(r, clientAuth{basic: true, form: o.FormUserGrants})
	if refusal == nil && c.CredentialType != OAuthWebApp {
		refusal = &imsError{Code: "unauthorized_client"}
	}
	return c, refusal
}

// takeCode returns what code stands for. A code works once.
func (s *Server) takeCode(code, clientID string) *authorization {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.codes[code]
	if a == nil || a.clientID != clientID {
		return nil
	}
	delete(s.codes, code)
	if !s.clock.Now().Before(a.expires) {
		return nil
	}
	return a
}

// provenBy reports whether verifier answers the challenge that the authorization was asked for with, if any (RFC 7636).
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

// useRefreshToken returns what a living refresh token stands for.
func (s *Server) useRefreshToken(token, clientID string) (grant, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.living(token)
	if t == nil || t.kind != refreshToken || t.clientID != clientID {
		return grant{}, false
	}
	t.dead = !s.opts.ReusableRefreshTokens
	return t.grant, true
}

// issuePair issues a person's access token and, with the scope offline_access, the refresh token for the next one. Each names the
// refresh token's id and end.
func (s *Server) issuePair(o Options, g grant) map[string]any {
	var companion map[string]any
	var next string
	if slices.Contains(g.scopes, "offline_access") {
		token, t := s.issue(refreshToken, o.RefreshTokenLife, g, nil)
		next, companion = token, map[string]any{"rtid": t.id, "rtea": millis(t.created.Add(t.life))}
	}
	token, _ := s.issue(accessToken, o.TokenLife, g, companion)
	answer := bearer(token, o.TokenLife)
	if next != "" {
		answer["refresh_token"] = next
	}
	return answer
}

// idToken is an OpenID Connect one, in seconds unlike Adobe's other tokens.
func (s *Server) idToken(r *http.Request, o Options, a *authorization) string {
	now := s.clock.Now()
	claims := map[string]any{
		"iss": "http://" + r.Host,
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

func bearer(token string, life time.Duration) map[string]any {
	return map[string]any{"access_token": token, "token_type": "bearer", "expires_in": int64(life / time.Second)}
}

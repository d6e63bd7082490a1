// SPDX-License-Identifier: MPL-2.0

package emulator

import "net/http"

// serveInvalidate ends one token for good. The secret may be left out, but a
// wrong one is refused.
func (s *Server) serveInvalidate(w http.ResponseWriter, r *http.Request) {
	if refusal := s.identify(r); refusal != nil {
		refusal.write(w)
		return
	}
	kind := r.Form.Get("token_type")
	if kind != accessToken && kind != refreshToken {
		imsError{Code: "invalid_request", Description: "invalid token_type parameter"}.write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.living(r.Form.Get("token"))
	switch {
	case t == nil:
		if s.opts.RefuseDeadTokens {
			imsError{Code: "invalid_token"}.write(w)
			return
		}
	case t.kind != kind, t.clientID != r.Form.Get("client_id"):
		imsError{Code: "invalid_token"}.write(w)
		return
	case s.opts.CascadeClient && r.Form.Get("cascading") == "all":
		s.killAll(func(other *issuedToken) bool { return other.clientID == t.clientID })
	default:
		s.kill(t)
	}
	w.WriteHeader(http.StatusOK)
}

// identify checks the client that r names, and its secret if one is given.
func (s *Server) identify(r *http.Request) *imsError {
	if r.Form.Get("client_secret") != "" {
		_, refusal := s.authenticate(r, FormOnly)
		return refusal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[r.Form.Get("client_id")] == nil {
		return s.invalidClient("invalid client_id parameter")
	}
	return nil
}

// serveRevoke is the documented way for a person's tokens. As RFC 7009 has it,
// a token that is no good any more is no error.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	c, refusal := s.authenticate(r, s.options().UserGrants)
	if refusal != nil {
		refusal.write(w)
		return
	}
	if r.Form.Get("token") == "" {
		imsError{Code: "invalid_request", Description: "invalid token parameter"}.write(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.living(r.Form.Get("token")); t != nil && t.clientID == c.ID {
		s.kill(t)
	}
	w.WriteHeader(http.StatusOK)
}

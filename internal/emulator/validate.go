// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// serveValidate says whether a token is good. The token comes as a parameter or
// as the bearer, and its type with it.
func (s *Server) serveValidate(w http.ResponseWriter, r *http.Request) {
	if refusal := s.identify(r); refusal != nil {
		refusal.write(w)
		return
	}
	token := cmp.Or(r.Form.Get("token"), bearerOf(r))
	if reason := s.invalid(token, r.Form.Get("type")); reason != "" {
		writeJSON(w, http.StatusOK, map[string]any{"valid": false, "reason": reason})
		return
	}
	claims := claimsOf(token)
	delete(claims, "scope") // not in Adobe's answer
	writeJSON(w, http.StatusOK, map[string]any{"valid": true, "token": claims})
}

// invalid says why a token of that type is no good, or "".
func (s *Server) invalid(token, kind string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if a := s.codes[keyOf(token)]; a != nil && kind == authorizationCode {
		if !now.Before(a.expires) {
			return "expired"
		}
		return ""
	}
	t := s.tokens[keyOf(token)]
	switch {
	case t == nil:
		return "unknown"
	case t.kind != kind:
		return "type"
	}
	return t.state(now)
}

// claimsOf reads the claims of a token that was made here.
func claimsOf(token string) map[string]any {
	var claims map[string]any
	segments := strings.Split(token, ".")
	if payload, err := base64.RawURLEncoding.DecodeString(segments[1]); err == nil {
		_ = json.Unmarshal(payload, &claims) // it was marshalled here
	}
	return claims
}

func bearerOf(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

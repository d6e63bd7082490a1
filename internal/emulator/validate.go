// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"net/http"
	"strings"
)

// serveValidate says whether a token is good. The token comes as a parameter or as the bearer.
func (s *Server) serveValidate(w http.ResponseWriter, r *http.Request) {
	if refusal := s.identify(r); refusal != nil {
		refusal.write(w)
		return
	}
	token := orDefault(r.Form.Get("token"), bearerOf(r))
	s.mu.Lock()
	t := s.tokens[keyOf(token)]
	reason := "unknown"
	if t != nil {
		reason = t.state(s.clock.Now())
	}
	s.mu.Unlock()
	if t != nil && t.kind != r.Form.Get("type") {
		reason = "type"
	}
	if reason != "" {
		writeJSON(w, http.StatusOK, map[string]any{"valid": false, "reason": reason})
		return
	}
	claims := t.claims()
	delete(claims, "scope") // not in Adobe's answer
	writeJSON(w, http.StatusOK, map[string]any{"valid": true, "token": claims})
}

func bearerOf(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

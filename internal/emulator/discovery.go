// SPDX-License-Identifier: MPL-2.0

package emulator

import "net/http"

// serveDiscovery describes IMS as OpenID Connect has it. Adobe lists neither
// the client_credentials grant nor scopes beyond these three, and both work.
func (s *Server) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	base := issuer(r)
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                base,
		"authorization_endpoint":                base + AuthorizePath,
		"token_endpoint":                        base + TokenPath,
		"revocation_endpoint":                   base + RevokePath,
		"jwks_uri":                              base + KeysPath,
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"grant_types_supported":                 []string{"authorization_code", "implicit_grant", "refresh_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid", "email", "profile"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":      []string{"S256", "plain"},
	})
}

// issuer is the URL that the client knows the Server by.
func issuer(r *http.Request) string { return "http://" + r.Host }

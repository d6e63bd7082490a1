// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"fmt"
	"slices"
	"strings"
)

// managementScopes let their bearer create or read client secrets of the very
// credential the token was minted with.
var managementScopes = []string{"manage_client_secrets", "read_client_secret"}

// parseScopes reads scopes as people paste them: a list, or strings with
// commas or spaces between. Order and case are kept, since IMS heeds case;
// empty and repeated ones are dropped.
func parseScopes(items []string) ([]string, error) {
	var scopes []string
	for _, item := range items {
		for _, scope := range strings.FieldsFunc(item, isScopeSeparator) {
			if strings.ContainsFunc(scope, isNoScopeCharacter) {
				return nil, fmt.Errorf("scopes: %q has a character that no scope has; give scopes as the Scopes tab of the credential shows them", scope)
			}
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	if len(scopes) == 0 {
		return nil, fmt.Errorf("scopes: at least one is required, such as scopes=openid,AdobeID,firefly_api; the Scopes tab of the credential lists them")
	}
	return scopes, nil
}

func isScopeSeparator(r rune) bool {
	return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
}

// isNoScopeCharacter follows RFC 6749 §3.3.
func isNoScopeCharacter(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }

// managementScopeIn returns the first scope that could change client secrets,
// or "".
func managementScopeIn(scopes []string) string {
	for _, scope := range scopes {
		if slices.Contains(managementScopes, scope) {
			return scope
		}
	}
	return ""
}

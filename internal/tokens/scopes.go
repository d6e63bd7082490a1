// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"slices"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

const (
	// MaxScopes is how many scopes a role can have.
	MaxScopes = 256

	maxScope = 256 // bytes
)

// ParseScopes reads scopes as people paste them: a list, or strings with commas or
// spaces between. Order and case are kept, since IMS heeds case; empty and repeated
// ones are dropped. The error names the field.
func ParseScopes(items []string) ([]string, error) {
	var scopes []string
	seen := map[string]bool{}
	for _, item := range items {
		for _, scope := range strings.FieldsFunc(item, isScopeSeparator) {
			switch {
			case len(scope) > maxScope:
				return nil, advice.Field("scopes", "one has %d bytes; %d is the limit", len(scope), maxScope)
			case strings.ContainsFunc(scope, isNoScopeCharacter):
				return nil, advice.Field("scopes", "%+q has a character that no scope has; give scopes as the Scopes tab of the credential shows them", scope)
			case seen[scope]:
				continue
			}
			seen[scope] = true
			scopes = append(scopes, scope)
		}
	}
	switch {
	case len(scopes) > MaxScopes:
		return nil, advice.Field("scopes", "%d are too many; a role can have %d", len(scopes), MaxScopes)
	case len(scopes) == 0:
		return nil, advice.Field("scopes", "at least one is required, such as scopes=openid,AdobeID,firefly_api; the Scopes tab of the credential lists them")
	}
	return slices.Clip(scopes), nil
}

func isScopeSeparator(r rune) bool {
	return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r'
}

// isNoScopeCharacter follows RFC 6749 §3.3.
func isNoScopeCharacter(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }

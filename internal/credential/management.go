// SPDX-License-Identifier: MPL-2.0

package credential

import "strings"

// managementScopes are what Adobe lists for its client-secret API.
var managementScopes = []string{
	"AdobeID", "openid", "read_organizations", "additional_info.projectedProductContext", "additional_info.roles",
	"adobeio_api", "read_client_secret", "manage_client_secrets",
}

// ManagementScopes let their bearer create or read client secrets of the very
// credential that the token was minted with.
var ManagementScopes = []string{"manage_client_secrets", "read_client_secret"}

// ManagementScope returns the first scope that could be one of ManagementScopes
// to IMS, or "". It does not rely on how IMS takes case and separators.
func ManagementScope(scopes []string) string {
	for _, scope := range scopes {
		for _, management := range ManagementScopes {
			if strings.Contains(strings.ToLower(scope), management) {
				return scope
			}
		}
	}
	return ""
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"runtime/debug"
)

// Version is the plugin's own version, as Vault's plugin catalog wants it.
const Version = "v0.1.0"

// Set by the linker when a binary is built with `make build`.
var (
	commit    = "unknown"
	buildDate = "unknown"
)

const userAgent = "vault-plugin-secrets-adobeims/" + Version

// sdkVersion is the version of the Vault SDK in this binary.
func sdkVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/hashicorp/vault/sdk" {
				return module.Version
			}
		}
	}
	return "unknown"
}

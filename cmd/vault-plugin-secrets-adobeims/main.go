// SPDX-License-Identifier: MPL-2.0

// Command vault-plugin-secrets-adobeims is the plugin that Vault and OpenBao
// run. It serves any number of mounts from one process.
package main

import (
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/plugin"

	adobeims "github.com/adobeims/vault-plugin-secrets-adobeims"
)

func main() {
	err := plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: adobeims.Factory})
	if err != nil {
		hclog.New(&hclog.LoggerOptions{JSONFormat: true}).Error("the plugin cannot be served", "error", err)
		os.Exit(1)
	}
}

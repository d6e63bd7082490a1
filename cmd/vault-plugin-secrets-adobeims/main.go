// SPDX-License-Identifier: MPL-2.0

// Command vault-plugin-secrets-adobeims is the plugin that Vault and OpenBao
// run. It serves any number of mounts from one process.
package main

import (
	"io"
	"log"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/plugin"

	adobeims "github.com/adobeims/vault-plugin-secrets-adobeims"
)

func main() {
	// net/http writes what a broken server sends between two answers to the
	// standard logger, and Vault would log it: it may be half a token.
	log.SetOutput(io.Discard)
	go endWith(os.Getppid())
	err := plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: adobeims.Factory})
	if err != nil {
		hclog.New(&hclog.LoggerOptions{JSONFormat: true}).Error("the plugin cannot be served", "error", err)
		os.Exit(1)
	}
}

// endWith ends the process soon after its parent has died. A Vault that is
// killed does not end its plugins, and this one would go on minting tokens.
func endWith(parent int) {
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			os.Exit(0)
		}
	}
}

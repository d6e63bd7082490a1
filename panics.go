// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
)

// contain runs a function whose panic must not end the process, which serves
// all mounts of the plugin. The panic becomes a 500.
func contain(logger hclog.Logger, run func() error) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			logger.Error("a panic was contained; please report it", "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
			err = logical.CodedError(http.StatusInternalServerError, "internal error of the plugin: a panic; Vault's log has its stack")
		}
	}()
	return run()
}

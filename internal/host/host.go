// SPDX-License-Identifier: MPL-2.0

// Package host is what the rooms of the engine need of Vault: a context that
// ends with the mount, the clock, the log, storage, events, and which node this
// is. It also keeps a panic from ending the process.
//
// It knows nothing of Adobe, and nothing of requests: those are the root
// package's.
package host

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"
)

// Host is one mount of the engine, as the rooms behind it see it. None of its
// fields is ever nil, and none changes.
type Host struct {
	// Context ends when the mount is unmounted, sealed or reloaded. Work in the
	// background ends with it.
	Context context.Context

	Clock   clockwork.Clock
	Log     hclog.Logger
	Storage logical.Storage
	Node    Node
	Events  Events
}

// Node is the server that the mount runs on. Its answers change while it runs.
type Node interface {
	// MayWriteLocal reports whether this node may write what is local to the
	// cluster, and so may ask IMS for a token: one that it could not put on
	// record would be lost sight of.
	MayWriteLocal() bool

	// MayWrite reports whether this node may write what all clusters share.
	MayWrite() bool

	// Tainted reports whether the mount is being removed or moved.
	Tainted() bool
}

// Events are Vault's.
type Events interface {
	// Send tells that something happened at a path of the mount. The kind is
	// without the engine's name, such as "token-mint"; one that ends in "-fail"
	// changed nothing. Metadata are keys and values in turn. A server without
	// events ignores it.
	Send(ctx context.Context, kind, path string, metadata ...string)
}

// Recover runs a function whose panic must not end the process, which serves
// all mounts of the plugin. The panic is logged with its stack and becomes an
// error with the status 500.
func (h *Host) Recover(run func() error) error { return Recover(h.Log, run) }

// Recover is Host.Recover for who has no Host yet.
func Recover(log hclog.Logger, run func() error) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			log.Error("a panic was recovered; please report it", "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
			err = logical.CodedError(http.StatusInternalServerError, "internal error of the plugin: a panic; Vault's log has its stack")
		}
	}()
	return run()
}

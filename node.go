// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"
)

// replicationStateAge is how long an answer of Vault about replication is used.
// A node that changes its part sets its mounts up anew.
const replicationStateAge = time.Second

// systemView keeps Vault's answer about replication for a moment. Otherwise
// each request to a plugin, a read of a token in memory included, costs a call
// back to Vault for it.
type systemView struct {
	logical.SystemView
	clock clockwork.Clock

	mu    sync.Mutex // guards what follows
	asked time.Time
	state consts.ReplicationState
}

func (v *systemView) ReplicationState() consts.ReplicationState {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.clock.Now(); v.asked.IsZero() || now.Sub(v.asked) >= replicationStateAge {
		v.state, v.asked = v.SystemView.ReplicationState(), now
	}
	return v.state
}

// node is the host.Node and the host.Events of a backend.
type node struct{ b *framework.Backend }

// MayWriteLocal implements host.Node. The active node of a performance secondary
// may write what is local to its cluster.
func (n node) MayWriteLocal() bool {
	return !n.b.System().ReplicationState().HasState(consts.ReplicationPerformanceStandby | consts.ReplicationDRSecondary)
}

// MayWrite implements host.Node.
func (n node) MayWrite() bool { return n.MayWriteLocal() && n.b.WriteSafeReplicationState() }

// Tainted implements host.Node.
func (n node) Tainted() bool { return n.b.System().Tainted() }

// Send implements host.Events.
func (n node) Send(ctx context.Context, kind, path string, metadata ...string) {
	metadata = append(metadata, logical.EventMetadataPath, path)
	if !strings.HasSuffix(kind, "-fail") {
		metadata = append(metadata, logical.EventMetadataModified, "true")
	}
	err := logical.SendEvent(ctx, n.b, "adobeims/"+kind, metadata...)
	if err != nil && !errors.Is(err, framework.ErrNoEvents) {
		n.b.Logger().Debug("an event was not sent", "event", kind, "path", path, "error", err)
	}
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"sync"
	"time"

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

	mu    sync.Mutex
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

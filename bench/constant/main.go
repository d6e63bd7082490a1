// SPDX-License-Identifier: MPL-2.0

// Command constant is a secrets engine that answers the same at every read: the
// ceiling of what any plugin can reach inside Vault. The benchmark registers it
// and says in the environment what it answers.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
)

const secretType = "constant"

func main() {
	err := plugin.ServeMultiplex(&plugin.ServeOpts{BackendFactoryFunc: factory})
	if err != nil {
		hclog.New(&hclog.LoggerOptions{JSONFormat: true}).Error("the plugin cannot be served", "error", err)
		os.Exit(1)
	}
}

func factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	var answers struct {
		Leased    map[string]any `json:"leased"`
		Leaseless map[string]any `json:"leaseless"`
	}
	if err := json.Unmarshal([]byte(os.Getenv("CONSTANT_ANSWERS")), &answers); err != nil {
		return nil, fmt.Errorf("CONSTANT_ANSWERS: %w", err)
	}
	b := &framework.Backend{BackendType: logical.TypeLogical}
	secret := &framework.Secret{
		Type:            secretType,
		DefaultDuration: 24 * time.Hour,
		Revoke: func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
			return nil, nil
		},
	}
	b.Secrets = []*framework.Secret{secret}
	b.Paths = []*framework.Path{
		path("leased", func() *logical.Response { return secret.Response(answers.Leased, nil) }),
		path("leaseless", func() *logical.Response { return &logical.Response{Data: answers.Leaseless} }),
	}
	seen := *conf
	if seen.System != nil { // there is none at the plugin's registration
		seen.System = &systemView{SystemView: conf.System}
	}
	return b, b.Setup(ctx, &seen)
}

func path(pattern string, answer func() *logical.Response) *framework.Path {
	return &framework.Path{
		Pattern: pattern,
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
					return answer(), nil
				},
			},
		},
	}
}

// systemView keeps Vault's answer about replication for a second, as the engine
// does. The SDK asks for it at each request; with that call back to Vault this
// would be no ceiling.
type systemView struct {
	logical.SystemView

	mu    sync.Mutex
	asked time.Time
	state consts.ReplicationState
}

func (v *systemView) ReplicationState() consts.ReplicationState {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.asked.IsZero() || time.Since(v.asked) >= time.Second {
		v.state, v.asked = v.SystemView.ReplicationState(), time.Now()
	}
	return v.state
}

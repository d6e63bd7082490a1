// SPDX-License-Identifier: MPL-2.0

// Package adobeims is a secrets engine for HashiCorp Vault and OpenBao that
// serves access tokens of the Adobe Identity Management System (IMS).
//
// The files path_*.go hold one endpoint each; token_*.go hold the token store
// behind them; package ims talks to Adobe.
package adobeims

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/helper/locksutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/semaphore"
)

type backend struct {
	*framework.Backend

	clients *clients
	configs *entries[config]
	roles   *entries[role]
	tokens  *tokenStore

	// configLocks serialise the writes of one config. A write asks IMS while it
	// holds its lock.
	configLocks []*locksutil.LockEntry

	// editing makes checking a write against the other entries and storing it
	// one step. It is taken after a config's lock.
	editing sync.Mutex

	// signingIn makes taking a state and ending it one step.
	signingIn sync.Mutex

	// gaveUp tells that IMS failed while the mount was being removed, so that
	// its other leases need not wait for the same.
	gaveUp atomic.Bool

	stop context.CancelFunc
}

var _ logical.Factory = Factory

// Factory makes the backend of one mount.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	return newBackend(ctx, conf, clockwork.NewRealClock())
}

func newBackend(ctx context.Context, conf *logical.BackendConfig, clock clockwork.Clock) (*backend, error) {
	clients := &clients{now: clock.Now}
	b := &backend{
		clients:     clients,
		configs:     &entries[config]{prefix: configPrefix, open: clients.open},
		roles:       &entries[role]{prefix: rolePrefix, open: func(*role) error { return nil }},
		configLocks: locksutil.CreateLocks(),
	}
	b.Backend = &framework.Backend{
		BackendType:    logical.TypeLogical,
		RunningVersion: Version,
		Help:           strings.TrimSpace(backendHelp),
		Paths: []*framework.Path{
			b.pathToken(),
			b.pathStatus(),
			b.pathConfig(),
			b.pathConfigList(),
			b.pathRotate(),
			b.pathRoles(),
			b.pathRolesList(),
			b.pathAuthorize(),
			b.pathCallback(),
			b.pathInfo(),
		},
		PathsSpecial: &logical.Paths{
			Unauthenticated: []string{"callback"},
			SealWrapStorage: []string{configPrefix, tokenPrefix, authorizationPrefix, statePrefix},
			LocalStorage:    []string{tokenPrefix, authorizationPrefix, statePrefix, framework.WALPrefix},
		},
		Secrets:      []*framework.Secret{b.accessToken()},
		PeriodicFunc: b.periodic,
		WALRollback:  b.walRollback,
		Invalidate:   b.invalidate,
		Clean:        b.clean,
	}

	// The configuration is the mount's from the moment of registration, when
	// there is neither storage nor a system view yet.
	seen := *conf
	if seen.System != nil {
		seen.System = &systemView{SystemView: conf.System, clock: clock}
	}
	if err := b.Setup(ctx, &seen); err != nil {
		return nil, err
	}

	background, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.tokens = &tokenStore{
		clock:          clock,
		logger:         b.Logger(),
		storage:        conf.StorageView,
		clients:        clients,
		authorizations: &entries[authorization]{prefix: authorizationPrefix, open: func(*authorization) error { return nil }},
		resolve: func(ctx context.Context, name string) (*role, *config, error) {
			return b.resolve(ctx, conf.StorageView, name)
		},
		config: func(ctx context.Context, name string) (*config, error) {
			return b.configs.get(ctx, conf.StorageView, name)
		},
		mayMint:    b.mayMint,
		event:      b.event,
		ctx:        background,
		background: semaphore.NewWeighted(maxBackground),
	}
	return b, nil
}

// resolve looks a role and its config up.
func (b *backend) resolve(ctx context.Context, s logical.Storage, name string) (*role, *config, error) {
	r, err := b.roles.get(ctx, s, name)
	if err != nil {
		return nil, nil, err
	}
	if r == nil {
		return nil, nil, missingRole(name)
	}
	c, err := b.configs.get(ctx, s, r.Config)
	if err != nil {
		return nil, nil, err
	}
	if c == nil {
		return nil, nil, &missingError{fmt.Sprintf("config %q of role %q does not exist; write config/%s", r.Config, name, r.Config)}
	}
	return r, c, nil
}

// sensitiveFields are those whose values must not be repeated in an answer.
var sensitiveFields = []string{"client_secret", "project", "code", "refresh_token"}

// HandleRequest contains panics, and leaves out an answer that says nothing, so
// that Vault answers 204. It refuses a sensitive field of a wrong type before the
// SDK does, whose message repeats it.
func (b *backend) HandleRequest(ctx context.Context, req *logical.Request) (resp *logical.Response, err error) {
	for _, name := range sensitiveFields {
		switch req.Data[name].(type) {
		case map[string]any, []any:
			return refuse("%s: must be a string", name)
		}
	}
	err = contain(b.Logger(), func() (err error) {
		resp, err = b.Backend.HandleRequest(ctx, req)
		return err
	})
	if resp != nil && resp.Data == nil && resp.Secret == nil && len(resp.Warnings) == 0 {
		resp = nil
	}
	return resp, err
}

// HandleExistenceCheck contains panics, and looks at the path alone: Vault makes
// a 500 of any error of a plugin's check, so a field that cannot be is left for
// the write to refuse with a 400.
func (b *backend) HandleExistenceCheck(ctx context.Context, req *logical.Request) (checked, exists bool, err error) {
	check := *req
	check.Data = nil
	req = &check
	err = contain(b.Logger(), func() (err error) {
		checked, exists, err = b.Backend.HandleExistenceCheck(ctx, req)
		return err
	})
	return checked, exists, err
}

// mayMint tells whether this node may ask IMS for a token: one that cannot put
// it on record must not. The record is local to the cluster, so the active node
// of a performance secondary may.
func (b *backend) mayMint() bool {
	return !b.System().ReplicationState().HasState(consts.ReplicationPerformanceStandby | consts.ReplicationDRSecondary)
}

// periodic does the work that is not urgent, once a minute.
func (b *backend) periodic(ctx context.Context, req *logical.Request) error {
	if !b.mayMint() {
		return nil
	}
	err := errors.Join(b.tokens.saveUnsaved(ctx), b.tokens.keepAlive(ctx), b.endSignIns(ctx, req.Storage))
	if b.WriteSafeReplicationState() {
		err = errors.Join(err, b.rotateDue(ctx, req.Storage))
	}
	return err
}

// invalidate drops from memory what another node has written.
func (b *backend) invalidate(_ context.Context, key string) {
	if name, ok := strings.CutPrefix(key, configPrefix); ok {
		b.configs.forget(name)
	}
	if name, ok := strings.CutPrefix(key, rolePrefix); ok {
		b.roles.forget(name)
	}
	if name, ok := strings.CutPrefix(key, tokenPrefix); ok {
		b.tokens.forget(name)
	}
	if name, ok := strings.CutPrefix(key, authorizationPrefix); ok {
		b.tokens.authorizations.forget(name)
	}
}

// clean stops the work in the background. It does not wait: Vault holds up the
// other mounts meanwhile.
func (b *backend) clean(context.Context) {
	b.stop()
	go b.tokens.stopTimers()
}

const backendHelp = `
Serves access tokens of the Adobe Identity Management System (IMS).

  config/<name>         a credential of the Adobe Developer Console
  config/<name>/rotate  rotate its client secret
  roles/<name>          a set of scopes of a config
  token/<role>          read: an access token under a lease that lasts as long
                        as it does; delete: invalidate every outstanding token
  authorize/<role>      a person's authorization of a role (OAuth Web App)
  callback              where Adobe sends a person who has signed in
  status/<role>         how the role's token fares, never the token
  info                  what build of the plugin this is
`

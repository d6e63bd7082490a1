// SPDX-License-Identifier: MPL-2.0

// Package adobeims is a secrets engine for HashiCorp Vault and OpenBao that
// serves access tokens of the Adobe Identity Management System (IMS).
//
// This package is Vault's side of it and nothing else: the factory, a file
// path_*.go for each endpoint, the lease (access_token.go), what every request
// goes through (requests.go), and what becomes of an error (errors.go). Behind it
// are a package for what a read gets (internal/tokens), the roles (internal/roles),
// what a person granted (internal/authorization), rotating a client secret
// (internal/rotation), a credential of the Developer Console
// (internal/credential), and all of them at a glance (internal/fleet). None of
// them imports this one.
//
// Writes of a config or role take locks by exact name, with the request's context,
// a config's before a role's, and never hold one while Adobe is asked.
package adobeims

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/fleet"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/metrics"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/roles"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/rotation"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

type backend struct {
	*framework.Backend
	host *host.Host
	pool *ims.Pool
	stop context.CancelFunc

	credentials    *credential.Store
	roles          *roles.Store
	tokens         *tokens.Service
	authorizations *authorization.Service
	rotations      *rotation.Service
	fleet          *fleet.Fleet
	metrics        *metrics.Metrics

	mu sync.Mutex // guards what follows
	// upstreamFailed is when IMS last failed while the mount was being removed:
	// its other leases need not wait for the same.
	upstreamFailed time.Time
}

var _ logical.Factory = Factory

// Factory makes the backend of one mount.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	return newBackend(ctx, conf, clockwork.NewRealClock())
}

func newBackend(ctx context.Context, conf *logical.BackendConfig, clock clockwork.Clock) (*backend, error) {
	b := &backend{}
	b.Backend = &framework.Backend{
		BackendType:    logical.TypeLogical,
		RunningVersion: Version,
		Help:           strings.TrimSpace(backendHelp),
		Paths: []*framework.Path{
			b.pathToken(),
			b.pathStatus(),
			b.pathStatusList(),
			b.pathConfig(),
			b.pathConfigList(),
			b.pathRotate(),
			b.pathRoles(),
			b.pathRolesList(),
			b.pathAuthorize(),
			b.pathCallback(),
			b.pathMetrics(),
			b.pathLookup(),
			b.pathInfo(),
		},
		PathsSpecial: &logical.Paths{
			Unauthenticated: []string{"callback"},
			SealWrapStorage: []string{credential.Prefix, tokens.Prefix, authorization.Prefix, authorization.StatePrefix},
			LocalStorage:    []string{tokens.Prefix, authorization.Prefix, authorization.StatePrefix, framework.WALPrefix},
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
	b.furnish(conf.StorageView, clock)
	return b, nil
}

// furnish makes the rooms behind the backend, and the doors between them.
func (b *backend) furnish(storage logical.Storage, clock clockwork.Clock) {
	background, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.host = &host.Host{
		Context: background,
		Clock:   clock,
		Log:     b.Logger(),
		Storage: storage,
		Node:    node{b.Backend},
		Events:  node{b.Backend},
	}
	order := &entry.Order{}
	b.pool = ims.NewPool(userAgent, clock.Now)
	b.credentials = credential.NewStore(b.host, b.pool, order)
	b.roles = roles.NewStore(b.host, b.credentials, order)
	b.tokens = tokens.New(b.host, order, b.roles.Lookup, b, b)
	b.roles.Serve(b.tokens)
	b.authorizations = authorization.New(b.host, b.credentials, b.roles.Lookup, b.tokens, order)
	b.rotations = rotation.New(b.host, b.credentials)
	b.fleet = &fleet.Fleet{
		Host: b.host, Pool: b.pool, Credentials: b.credentials, Roles: b.roles, Tokens: b.tokens, Authorizations: b.authorizations,
	}
	b.metrics = metrics.New(metrics.Build{Version: Version, Commit: commit}, fleet.Source{Fleet: b.fleet})
	b.pool.Observe(b.metrics.Observe)
}

// periodic does the work that is not urgent, once a minute.
func (b *backend) periodic(ctx context.Context, _ *logical.Request) error {
	if !b.host.Node.MayWriteLocal() {
		return nil
	}
	return errors.Join(b.tokens.Tick(ctx), b.authorizations.Tick(ctx), b.rotations.Tick(ctx))
}

// walRollback is Vault's call for what an interrupted rotation left on record.
func (b *backend) walRollback(ctx context.Context, _ *logical.Request, kind string, data any) error {
	return b.rotations.Rollback(ctx, kind, data)
}

// invalidate drops from memory what another node has written.
func (b *backend) invalidate(_ context.Context, key string) {
	for _, room := range []struct {
		prefix string
		forget func(name string)
	}{
		{credential.Prefix, b.credentials.Forget},
		{roles.Prefix, b.roles.Forget},
		{tokens.Prefix, b.tokens.Forget},
		{authorization.Prefix, b.authorizations.Forget},
	} {
		if name, ok := strings.CutPrefix(key, room.prefix); ok {
			room.forget(name)
		}
	}
}

// clean stops the work in the background. It does not wait: Vault holds up the
// other mounts meanwhile.
func (b *backend) clean(context.Context) {
	b.stop()
	go func() {
		b.tokens.Close()
		b.credentials.Close()
		b.pool.Close()
	}()
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
  status/<role>         status of the role's token, never the token
  status/               list: the status of every role
  metrics               metrics of the mount, for Prometheus
  lookup                where a token comes from that somebody found
  info                  what build of the plugin this is
`

// SPDX-License-Identifier: MPL-2.0

// Package roles keeps the roles of a mount, and has IMS prove a role's scopes before
// it is stored.
//
// It knows what a role's config allows, and hands the token that proved the scopes
// to the token store. It knows nothing of requests, nor of what a person granted.
//
// A write takes the lock of the role by its exact name, and shares that of its
// config, in the other order: the config's first. Neither is held while IMS is
// asked: a write that finds the role or its config written meanwhile begins again.
package roles

import (
	"context"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// Prefix is where roles are stored.
const Prefix = "role/"

// path begins the path of a role in events.
const path = "roles/"

// Store has the roles of a mount. It is safe for concurrent use.
type Store struct {
	host        *host.Host
	credentials *credential.Store
	tokens      *tokens.Service
	cache       *entry.Cache[tokens.Role]
	writes      entry.Locks // by role, held while a write is checked and stored
}

// NewStore returns the Store of a mount. Before the first write, Serve tells it of
// the token store.
func NewStore(h *host.Host, credentials *credential.Store, order *entry.Order) *Store {
	return &Store{host: h, credentials: credentials, cache: entry.New[tokens.Role](h.Storage, Prefix, order)}
}

// Serve sets the token store that serves the roles.
func (s *Store) Serve(t *tokens.Service) { s.tokens = t }

// Get returns a role. Its Value is nil if there is none.
func (s *Store) Get(ctx context.Context, name string) (entry.Stored[tokens.Role], error) {
	return s.cache.Get(ctx, name)
}

// List returns the names of the roles, in order.
func (s *Store) List(ctx context.Context) ([]string, error) { return s.cache.List(ctx) }

// Forget makes the next Get ask storage.
func (s *Store) Forget(name string) { s.cache.Forget(name) }

// Of names the roles of a config that are of a kind.
func (s *Store) Of(ctx context.Context, config string, kind func(*tokens.Role) bool) ([]string, error) {
	names, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range names {
		r, err := s.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		if r.Value != nil && r.Value.Config == config && kind(r.Value) {
			found = append(found, name)
		}
	}
	return found, nil
}

// Delete takes a role out of storage, after before has run. It reports false if
// there is none.
func (s *Store) Delete(ctx context.Context, name string, before func() error) (deleted bool, err error) {
	unlock, err := s.writes.Lock(ctx, name)
	if err != nil {
		return false, err
	}
	defer unlock()
	r, err := s.Get(ctx, name)
	if r.Value == nil || err != nil {
		return false, err
	}
	if err := before(); err != nil {
		return false, err
	}
	if err := s.cache.Delete(ctx, name); err != nil {
		return false, err
	}
	s.host.Events.Send(ctx, "role-delete", path+name)
	return true, nil
}

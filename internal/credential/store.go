// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"context"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
)

// Prefix is where configs are stored.
const Prefix = "config/"

// Store has the credentials of a mount, and reaches Adobe with them. It is safe
// for concurrent use.
type Store struct {
	host    *host.Host
	pool    *ims.Pool
	cache   *entry.Cache[Credential]
	locks   entry.Locks
	clients *clients
}

// NewStore returns the Store of a mount. The pool stays the caller's to close.
func NewStore(h *host.Host, pool *ims.Pool, order *entry.Order) *Store {
	return &Store{host: h, pool: pool, cache: entry.New[Credential](h.Storage, Prefix, order), clients: newClients(pool)}
}

// Close closes the clients. Requests under way finish.
func (s *Store) Close() { s.clients.releaseAll() }

// Get returns a config. Its Value is nil if there is none.
func (s *Store) Get(ctx context.Context, name string) (entry.Stored[Credential], error) {
	stored, err := s.cache.Get(ctx, name)
	if err != nil || stored.Value == nil || s.clients.isCurrent(name, stored.Value) {
		return stored, err
	}
	// Which revision is in memory may have changed since the read, and so may
	// whether any is: look again, with a mark from before.
	began := s.clients.began()
	stored, err = s.cache.Get(ctx, name)
	if err == nil && stored.Value != nil {
		s.clients.enter(name, stored, began)
	}
	return stored, err
}

// Put stores a config, which must not be changed afterwards. The config's lock
// is held. Storage's errors come back as they are.
func (s *Store) Put(ctx context.Context, name string, c *Credential) error {
	if err := s.cache.Put(ctx, name, c); err != nil {
		s.clients.release(name) // it is out of memory
		return err
	}
	// It is in memory now, and so becomes the user of its client. If it is not,
	// that is left to the next read.
	_, _ = s.Get(ctx, name)
	return nil
}

// Delete removes a config, if there is one. The config's lock is held.
func (s *Store) Delete(ctx context.Context, name string) error {
	defer s.clients.release(name)
	return s.cache.Delete(ctx, name)
}

// List returns the names of the configs, in order.
func (s *Store) List(ctx context.Context) ([]string, error) { return s.cache.List(ctx) }

// Forget makes the next Get ask storage.
func (s *Store) Forget(name string) {
	s.cache.Forget(name)
	s.clients.release(name)
}

// Lock takes the lock of a config by its exact name. The error is the
// context's.
func (s *Store) Lock(ctx context.Context, name string) (unlock func(), err error) {
	return s.locks.Lock(ctx, name)
}

// Share takes the lock of a config beside others who share it: for what must
// not happen while it is written.
func (s *Store) Share(ctx context.Context, name string) (unlock func(), err error) {
	return s.locks.Share(ctx, name)
}

// IMS returns the client of a config's IMS. It is the Store's to close: the
// caller must not. It is good for requests even if the config is written
// meanwhile.
func (s *Store) IMS(c *Credential) (*ims.Client, error) {
	client, done, err := s.clients.get(options(c, c.IMSURL))
	if err != nil {
		return nil, err
	}
	done() // a client that is closed keeps no connection, and works
	return client, nil
}

// IMSAt returns a client of another IMS, reached as the config says. The caller
// closes it.
func (s *Store) IMSAt(c *Credential, url string) (*ims.Client, error) {
	return ims.New(s.pool, options(c, url))
}

// Console returns a client of a config's Developer Console. The caller closes
// it.
func (s *Store) Console(c *Credential) (*console.Client, error) {
	return console.New(s.pool, options(c, c.ConsoleURL))
}

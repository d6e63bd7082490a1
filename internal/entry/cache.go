// SPDX-License-Identifier: MPL-2.0

// Package entry keeps what is stored under a prefix in memory, true to storage,
// and has locks by exact name.
//
// It knows nothing of what the entries are. A read of what was read before
// touches no storage and takes no lock. No lock is held across storage but that
// of the one name.
package entry

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/logical"
)

// Order numbers what happens in a mount: of two writes, kills or deletions the
// later has the higher number. Caches that share one can be compared.
type Order struct{ last atomic.Uint64 }

// Next returns a number higher than all before.
func (o *Order) Next() uint64 { return o.last.Add(1) }

// Stored is a value and which revision of it this is. The value is shared and
// must not be changed: a write puts another in its place. It is nil where
// nothing is stored.
type Stored[T any] struct {
	Value    *T
	Revision uint64
}

// Cache holds the entries under one prefix.
type Cache[T any] struct {
	storage logical.Storage
	prefix  string
	order   *Order

	memory sync.Map // name to Stored[T]
	locks  Locks    // by name: held while storage is asked or written

	// mu makes changes of memory one step with looking at forgotten. It is never
	// held across storage.
	mu sync.Mutex
	// forgotten counts what was forgotten: a read that began before must not put
	// into memory what it found.
	forgotten uint64
}

// New returns the cache of the entries under a prefix, which ends in a slash.
func New[T any](storage logical.Storage, prefix string, order *Order) *Cache[T] {
	return &Cache[T]{storage: storage, prefix: prefix, order: order}
}

// Get returns the entry of a name. Its error is storage's own, or says that the
// entry cannot be read.
func (c *Cache[T]) Get(ctx context.Context, name string) (Stored[T], error) {
	if value, ok := c.memory.Load(name); ok {
		return value.(Stored[T]), nil
	}
	unlock, err := c.locks.Lock(ctx, name)
	if err != nil {
		return Stored[T]{}, err
	}
	defer unlock()
	if value, ok := c.memory.Load(name); ok {
		return value.(Stored[T]), nil
	}
	began := c.forgets()
	found, err := c.storage.Get(ctx, c.prefix+name)
	if err != nil || found == nil {
		return Stored[T]{}, err
	}
	value := new(T)
	if err := found.DecodeJSON(value); err != nil {
		return Stored[T]{}, fmt.Errorf("the stored entry %s%s cannot be read: %w", c.prefix, name, err)
	}
	return c.remember(name, value, began), nil
}

func (c *Cache[T]) forgets() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forgotten
}

func (c *Cache[T]) remember(name string, value *T, began uint64) Stored[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	stored := Stored[T]{Value: value, Revision: c.order.Next()}
	if c.forgotten == began {
		c.memory.Store(name, stored)
	}
	return stored
}

// Put stores the value. Storage's errors come back as they are, because Vault
// Enterprise forwards a request by the very text of some. After one it is not
// known whether the write took effect, so the next Get asks storage.
func (c *Cache[T]) Put(ctx context.Context, name string, value *T) error {
	encoded, err := logical.StorageEntryJSON(c.prefix+name, value)
	if err != nil {
		return err
	}
	unlock, err := c.locks.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	began := c.forgets()
	if err := c.storage.Put(ctx, encoded); err != nil {
		c.Forget(name)
		return err
	}
	c.memory.Delete(name)
	c.remember(name, value, began)
	return nil
}

// Delete removes the entry of a name, if there is one.
func (c *Cache[T]) Delete(ctx context.Context, name string) error {
	unlock, err := c.locks.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	defer c.Forget(name)
	return c.storage.Delete(ctx, c.prefix+name)
}

// List returns the names of the entries, in order.
func (c *Cache[T]) List(ctx context.Context) ([]string, error) {
	return c.storage.List(ctx, c.prefix)
}

// Forget makes the next Get ask storage.
func (c *Cache[T]) Forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten++
	c.memory.Delete(name)
}

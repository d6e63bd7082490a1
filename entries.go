// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
)

// entries keeps what is stored under one prefix in memory, so that a read of
// what was read before touches no storage. What it returns is shared and must
// not be changed: a write puts a new value in its place. Two equal pointers are
// therefore the same revision.
type entries[T any] struct {
	prefix string
	// open prepares a value that came from storage or goes there, before
	// anybody sees it.
	open func(*T) error

	// mu makes a storage operation and what memory holds of it one step, so
	// that a first read under way never brings back what a write or an
	// invalidation has replaced. Reads from memory do not take it.
	mu     sync.Mutex
	memory sync.Map // name to *T
}

// get returns nil where nothing is stored under the name.
func (e *entries[T]) get(ctx context.Context, s logical.Storage, name string) (*T, error) {
	if value, ok := e.memory.Load(name); ok {
		return value.(*T), nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if value, ok := e.memory.Load(name); ok {
		return value.(*T), nil
	}
	entry, err := s.Get(ctx, e.prefix+name)
	if err != nil || entry == nil {
		return nil, err
	}
	value := new(T)
	if err := entry.DecodeJSON(value); err != nil {
		return nil, fmt.Errorf("the stored entry %s%s cannot be read: %w", e.prefix, name, err)
	}
	if err := e.open(value); err != nil {
		return nil, fmt.Errorf("the stored entry %s%s cannot be used: %w", e.prefix, name, err)
	}
	e.memory.Store(name, value)
	return value, nil
}

// put stores the value. Storage errors come back as they are, because Vault
// Enterprise forwards a request by the very text of some.
func (e *entries[T]) put(ctx context.Context, s logical.Storage, name string, value *T) error {
	if err := e.open(value); err != nil {
		return err
	}
	entry, err := logical.StorageEntryJSON(e.prefix+name, value)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := s.Put(ctx, entry); err != nil {
		// Whether the write took effect is not known: ask storage next time.
		e.memory.Delete(name)
		return err
	}
	e.memory.Store(name, value)
	return nil
}

func (e *entries[T]) delete(ctx context.Context, s logical.Storage, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.memory.Delete(name)
	return s.Delete(ctx, e.prefix+name)
}

func (e *entries[T]) list(ctx context.Context, s logical.Storage) ([]string, error) {
	return s.List(ctx, e.prefix)
}

// forget makes the next get ask storage.
func (e *entries[T]) forget(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.memory.Delete(name)
}

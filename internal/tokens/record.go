// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// Prefix is where the shared tokens of each role are on record: local to the
// cluster, seal-wrapped, written once for each mint.
const Prefix = "token/"

// saveTimeout limits putting a change on record that must not be given up when
// the caller goes away.
const saveTimeout = 10 * time.Second

// record is what is stored of a role: its outstanding tokens, oldest first.
type record struct {
	Tokens []*Token `json:"tokens"`
}

func loadRecord(ctx context.Context, s logical.Storage, role string) (record, error) {
	var r record
	entry, err := s.Get(ctx, Prefix+role)
	if err != nil || entry == nil {
		return r, err
	}
	if err := entry.DecodeJSON(&r); err != nil {
		return r, fmt.Errorf("the stored entry %s%s cannot be read: %w", Prefix, role, err)
	}
	return r, nil
}

// saveRecord stores the record, or deletes it if it is empty.
func saveRecord(ctx context.Context, s logical.Storage, role string, r record) error {
	if len(r.Tokens) == 0 {
		return s.Delete(ctx, Prefix+role)
	}
	entry, err := logical.StorageEntryJSON(Prefix+role, r)
	if err != nil {
		return err
	}
	return s.Put(ctx, entry)
}

// save makes storage hold what memory holds. One save of a role is under way at a
// time and writes the state as of its turn, so an older state never replaces a
// newer one.
func (s *Service) save(ctx context.Context, st *roleState) error {
	select {
	case st.saving <- struct{}{}:
		defer func() { <-st.saving }()
	case <-ctx.Done():
		return ctx.Err()
	}
	r, version, saved := st.snapshot()
	if saved {
		return nil
	}
	if err := saveRecord(ctx, s.host.Storage, st.name, r); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.saved = max(st.saved, version)
	return nil
}

func (st *roleState) snapshot() (r record, version uint64, saved bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, t := range st.tokens {
		r.Tokens = append(r.Tokens, t.Token)
	}
	return r, st.version, st.saved == st.version
}

// saveAnyway is save for a change that has to go on record although whoever
// caused it has gone.
func (s *Service) saveAnyway(st *roleState) error {
	ctx, cancel := context.WithTimeout(s.host.Context, saveTimeout)
	defer cancel()
	return s.save(ctx, st)
}

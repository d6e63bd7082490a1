// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/semaphore"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
)

// maxBackground is how many tokens are minted in the background at a time, so
// that readers who wait find turns.
const maxBackground = 8

// Service serves the tokens of all roles of a mount.
type Service struct {
	host   *host.Host
	lookup Lookup
	minter Minter
	ender  Ender
	order  *entry.Order

	background *semaphore.Weighted

	roles   sync.Map    // name to *roleState; what is in it was loaded
	loading entry.Locks // by role, held while its record is read

	forgotten atomic.Uint64 // counts calls of Forget: what was read before may be outdated
	reviewed  atomic.Bool   // the records of before the start were looked at
}

// roleState is a role's state and what guards it.
type roleState struct {
	name string

	// saving has one slot. It is held across storage, and only so; mu is not
	// held meanwhile.
	saving chan struct{}

	mu    sync.Mutex // guards what follows; never held across a call that takes a context
	state            // what is known
	timer clockwork.Timer
	gone  bool // no longer in Service.roles: look there again
}

func newRoleState(name string) *roleState {
	return &roleState{name: name, saving: make(chan struct{}, 1)}
}

// New returns the Service of a mount. The lookup, minter and ender may be called
// at any time, also with no request under way.
func New(h *host.Host, order *entry.Order, lookup Lookup, minter Minter, ender Ender) *Service {
	return &Service{
		host:       h,
		lookup:     lookup,
		minter:     minter,
		ender:      ender,
		order:      order,
		background: semaphore.NewWeighted(maxBackground),
	}
}

// role returns the state of a role, from storage at its first use.
func (s *Service) role(ctx context.Context, name string) (*roleState, error) {
	if st, ok := s.roles.Load(name); ok {
		return st.(*roleState), nil
	}
	unlock, err := s.loading.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if st, ok := s.roles.Load(name); ok {
		return st.(*roleState), nil
	}
	began := s.forgotten.Load()
	r, err := loadRecord(ctx, s.host.Storage, name)
	if err != nil {
		return nil, err
	}
	st := newRoleState(name)
	for _, t := range r.Tokens {
		st.tokens = append(st.tokens, held{Token: t})
	}
	st.minted = len(st.tokens) > 0
	st.prune(s.host.Clock.Now())
	s.roles.Store(name, st)
	if s.forgotten.Load() != began {
		s.forget(name)
	}
	return st, nil
}

// locked calls do with the state of a role while its mutex is held. It is the way
// to a state for whoever has only a name: one that was forgotten meanwhile is
// looked up again.
func (s *Service) locked(ctx context.Context, name string, do func(*roleState)) error {
	for {
		st, err := s.role(ctx, name)
		if err != nil {
			return err
		}
		st.mu.Lock()
		if !st.gone {
			do(st)
			st.mu.Unlock()
			return nil
		}
		st.mu.Unlock()
	}
}

// release takes the state of a role out of memory if the role is gone and nothing
// is left of it. It is called with st.mu held.
func (s *Service) release(st *roleState) {
	if st.forgettable() {
		s.drop(st)
	}
}

// drop takes a state out of memory. It is called with st.mu held.
func (s *Service) drop(st *roleState) {
	st.gone = true
	if st.timer != nil {
		st.timer.Stop()
	}
	s.roles.CompareAndDelete(st.name, st)
}

// Forget makes the next use of a role read its record again: another node wrote
// it. What this node is writing itself stays.
func (s *Service) Forget(name string) {
	s.forgotten.Add(1)
	s.forget(name)
}

func (s *Service) forget(name string) {
	value, ok := s.roles.Load(name)
	if !ok {
		return
	}
	st := value.(*roleState)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.running == 0 && (st.saved == st.version || !s.host.Node.MayWriteLocal()) {
		s.drop(st)
	}
}

// Close stops the timers. It does not wait for what is under way: that ends with
// the host's context.
func (s *Service) Close() {
	s.roles.Range(func(_, value any) bool {
		st := value.(*roleState)
		st.mu.Lock()
		defer st.mu.Unlock()
		if st.timer != nil {
			st.timer.Stop()
		}
		return true
	})
}

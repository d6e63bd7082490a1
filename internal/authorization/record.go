// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"
	"slices"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// memory is what is known of a role and may not be in storage, and whether
// anybody is at work on the role. A role about which there is nothing to know has
// none. All of it is guarded by Service.mu.
type memory struct {
	users int // who has joined and not left

	// ended is the number of the last condemnation since anybody joined: who
	// began before has to end what IMS grants.
	ended uint64

	// condemned is the number of a condemnation that storage may not show yet; 0
	// for none.
	condemned uint64

	// successors are what came in the place of refresh tokens that were used, so
	// far as storage may not show it yet.
	successors []*successor

	// owed are grants to be revoked that storage may not show yet.
	owed []Grant

	// restored is what is to be on record in place of what storage has: a write
	// failed, may have taken effect, and must not have.
	restored *Authorization

	version uint64 // another one after each change
}

// unsettled reports whether storage may not show what memory knows.
func (m *memory) unsettled() bool {
	return m.condemned != 0 || len(m.successors) > 0 || len(m.owed) > 0 || m.restored != nil
}

// over is what is on record, going by storage and memory together.
func (m memory) over(stored *Authorization) *Authorization {
	a := stored
	if m.restored != nil {
		a = m.restored
	}
	if m.condemned != 0 {
		a = a.condemned()
	}
	for _, n := range m.successors {
		a = a.after(*n)
	}
	for _, g := range m.owed {
		a = a.owing(g)
	}
	return a
}

// settle forgets what storage shows now. The other is the memory from which what
// was written was made.
func (m *memory) settle(written memory) {
	m.restored = nil
	if m.condemned == written.condemned {
		m.condemned = 0
	}
	m.successors = slices.DeleteFunc(slices.Clone(m.successors), func(n *successor) bool {
		return slices.Contains(written.successors, n)
	})
	m.owed = slices.DeleteFunc(slices.Clone(m.owed), func(g Grant) bool {
		return slices.ContainsFunc(written.owed, func(w Grant) bool { return w.RefreshToken == g.RefreshToken })
	})
}

// join begins work on a role. What is returned is known until leave.
func (s *Service) join(role string) *memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.memories[role]
	if m == nil {
		m = &memory{}
		s.memories[role] = m
	}
	m.users++
	return m
}

func (s *Service) leave(role string, m *memory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.users--
	if m.users == 0 && !m.unsettled() {
		delete(s.memories, role)
	}
}

// look returns the memory of a role as it is.
func (s *Service) look(role string) memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.memories[role]; m != nil {
		return *m
	}
	return memory{}
}

func (s *Service) remember(m *memory, change func(*memory)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.version = s.order.Next()
	change(m)
}

func (s *Service) endedAt(m *memory) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.ended
}

// unsettled are the roles of which storage may not show what memory knows.
func (s *Service) unsettled() (roles []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for role, m := range s.memories {
		if m.unsettled() {
			roles = append(roles, role)
		}
	}
	return roles
}

// load returns what is on record of a role; nil for nothing.
func (s *Service) load(ctx context.Context, role string) (*Authorization, error) {
	for {
		before := s.look(role)
		stored, err := s.stored.Get(ctx, role)
		if err != nil {
			return nil, err
		}
		if s.look(role).version == before.version {
			return before.over(stored.Value), nil
		}
	}
}

// change is how a record is changed.
type change struct {
	// decide returns what is to be on record in place of what is. It must not
	// wait for anything but storage.
	decide func(now *Authorization) (*Authorization, error)

	// failed, if set, keeps in memory what is to be on record after a write
	// failed, which may have taken effect.
	failed func(m *memory, now *Authorization)
}

// apply changes what is on record of a role, and returns what is then.
func (s *Service) apply(ctx context.Context, role string, c change) (*Authorization, error) {
	m := s.join(role)
	defer s.leave(role, m)
	unlock, err := s.saving.Lock(ctx, role)
	if err != nil {
		return nil, err
	}
	defer unlock()

	seen := s.look(role)
	stored, err := s.stored.Get(ctx, role)
	if err != nil {
		return nil, err
	}
	now := seen.over(stored.Value)
	next, err := c.decide(now)
	if err != nil {
		return now, err
	}
	if next != stored.Value {
		if err := s.write(ctx, role, next); err != nil {
			if c.failed != nil {
				s.remember(m, func(m *memory) { c.failed(m, now) })
			}
			return now, err
		}
	}
	s.remember(m, func(m *memory) { m.settle(seen) })
	return next, nil
}

func (s *Service) write(ctx context.Context, role string, a *Authorization) error {
	if a == nil {
		return s.stored.Delete(ctx, role)
	}
	return s.stored.Put(ctx, role, a)
}

// settle brings into storage what memory knows.
func (s *Service) settle(ctx context.Context, role string) error {
	_, err := s.apply(ctx, role, change{decide: func(now *Authorization) (*Authorization, error) { return now, nil }})
	return err
}

// owe puts a grant on record as to be revoked, in memory first.
func (s *Service) owe(ctx context.Context, role string, g Grant) {
	m := s.join(role)
	defer s.leave(role, m)
	s.remember(m, func(m *memory) { m.owed = append(slices.Clone(m.owed), g) })
	if err := s.settle(ctx, role); err != nil {
		s.host.Log.Error("a refresh token that is to be revoked is known in memory only, because it could not be put on record; "+
			"it is tried again every minute", "role", role, "error", err)
	}
}

// disown takes grants that IMS has ended off the record.
func (s *Service) disown(ctx context.Context, role string, ended []secret.Secret) error {
	_, err := s.apply(ctx, role, change{decide: func(now *Authorization) (*Authorization, error) {
		return now.without(ended), nil
	}})
	return err
}

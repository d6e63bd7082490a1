// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// openPrefix is where it is stored which sign-ins of a role are under way, so
// that none needs to be looked for among those of all roles.
const openPrefix = StatePrefix + "roles/"

// open are a role's sign-ins under way. One that is not among them is none.
type open struct {
	SignIns []openSignIn `json:"sign_ins"` // oldest first
}

type openSignIn struct {
	Hash    string    `json:"hash"` // of its state
	Expires time.Time `json:"expires"`
}

// with adds a sign-in, and returns the hashes of those that end: their time is
// over, or they give way to it.
func (o open) with(in openSignIn, now time.Time) (next open, ended []string) {
	for i, other := range o.SignIns {
		if !now.Before(other.Expires) || len(o.SignIns)-i >= maxSignIns {
			ended = append(ended, other.Hash)
			continue
		}
		next.SignIns = append(next.SignIns, other)
	}
	next.SignIns = append(next.SignIns, in)
	return next, ended
}

func (o open) has(hash string) bool {
	return slices.ContainsFunc(o.SignIns, func(in openSignIn) bool { return in.Hash == hash })
}

func (o open) without(hash string) open {
	return open{slices.DeleteFunc(slices.Clone(o.SignIns), func(in openSignIn) bool { return in.Hash == hash })}
}

// stale reports whether the time of all of them is over.
func (o open) stale(now time.Time) bool {
	return !slices.ContainsFunc(o.SignIns, func(in openSignIn) bool { return now.Before(in.Expires) })
}

// keepSignIn keeps a sign-in until its state comes back.
func (s *Service) keepSignIn(ctx context.Context, hash string, in *signIn) error {
	unlock, err := s.signing.Lock(ctx, in.Role)
	if err != nil {
		return err
	}
	defer unlock()
	before, err := read[open](ctx, s.host.Storage, openPrefix+in.Role)
	if err != nil {
		return err
	}
	if before == nil {
		before = &open{}
	}
	next, ended := before.with(openSignIn{Hash: hash, Expires: in.Expires}, s.host.Clock.Now())
	// What is open without being there does no harm; the other way round it would
	// stay.
	if err := put(ctx, s.host.Storage, openPrefix+in.Role, next); err != nil {
		return err
	}
	for _, old := range ended {
		if err := s.host.Storage.Delete(ctx, StatePrefix+old); err != nil {
			return err
		}
	}
	return put(ctx, s.host.Storage, StatePrefix+hash, in)
}

// takeSignIn returns the sign-in of a state, which cannot be used again. An empty
// role takes that of any. A state that there is not costs one read.
func (s *Service) takeSignIn(ctx context.Context, state, role string) (*signIn, error) {
	if state == "" || len(state) > maxState {
		return nil, staleState(role)
	}
	hash := hashOf(state)
	in, err := read[signIn](ctx, s.host.Storage, StatePrefix+hash)
	switch {
	case err != nil:
		return nil, err
	case in == nil, role != "" && in.Role != role:
		return nil, staleState(role)
	}
	unlock, err := s.signing.Lock(ctx, in.Role)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.host.Storage.Delete(ctx, StatePrefix+hash); err != nil {
		return nil, err
	}
	under, err := read[open](ctx, s.host.Storage, openPrefix+in.Role)
	switch {
	case err != nil:
		return nil, err
	case under == nil || !under.has(hash): // used, or made worthless
		return nil, staleState(role)
	}
	if err := s.putOpen(ctx, in.Role, under.without(hash)); err != nil {
		return nil, err
	}
	if !s.host.Clock.Now().Before(in.Expires) {
		return nil, staleState(role)
	}
	return in, nil
}

func (s *Service) putOpen(ctx context.Context, role string, o open) error {
	if len(o.SignIns) == 0 {
		return s.host.Storage.Delete(ctx, openPrefix+role)
	}
	return put(ctx, s.host.Storage, openPrefix+role, o)
}

// endSignIns makes all sign-ins of a role that are under way worthless.
func (s *Service) endSignIns(ctx context.Context, role string) error {
	unlock, err := s.signing.Lock(ctx, role)
	if err != nil {
		return err
	}
	defer unlock()
	under, err := read[open](ctx, s.host.Storage, openPrefix+role)
	if err != nil || under == nil {
		return err
	}
	for _, in := range under.SignIns {
		if err := s.host.Storage.Delete(ctx, StatePrefix+in.Hash); err != nil {
			return err
		}
	}
	return s.host.Storage.Delete(ctx, openPrefix+role)
}

// read returns nil where nothing is stored.
func read[T any](ctx context.Context, storage logical.Storage, key string) (*T, error) {
	found, err := storage.Get(ctx, key)
	if err != nil || found == nil {
		return nil, err
	}
	value := new(T)
	if err := found.DecodeJSON(value); err != nil {
		return nil, err
	}
	return value, nil
}

func put(ctx context.Context, storage logical.Storage, key string, value any) error {
	encoded, err := logical.StorageEntryJSON(key, value)
	if err != nil {
		return err
	}
	return storage.Put(ctx, encoded)
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/semaphore"
)

const (
	// patience is how long a reader waits for a newer token if an older one
	// could be handed out.
	patience = 2 * time.Second

	// readTimeout is how long a reader waits where no token lives.
	readTimeout = 60 * time.Second

	// maxBackground is how many tokens are minted in the background at a time.
	// It leaves room under maxUnderWay for readers who wait.
	maxBackground = 8
)

// tokenStore serves the tokens of all roles. What it knows of a role is in
// memory after the role's first read.
type tokenStore struct {
	clock          clockwork.Clock
	logger         hclog.Logger
	storage        logical.Storage
	clients        *clients
	authorizations *entries[authorization]
	// resolve looks a role and its config up; a missing one is an error.
	resolve func(ctx context.Context, role string) (*role, *config, error)
	// config looks a config up; nil if there is none.
	config func(ctx context.Context, name string) (*config, error)
	// mayMint tells whether this node may write, and so may ask IMS.
	mayMint func() bool
	event   func(ctx context.Context, kind, path string, metadata ...string)

	// ctx ends with the backend: work in the background stops.
	ctx        context.Context
	background *semaphore.Weighted

	roles sync.Map // name to *roleTokens
}

// roleTokens is what is known of one role's tokens.
type roleTokens struct {
	name string

	// work is held by whoever asks IMS about the role's shared tokens and
	// writes the record: one at a time, in order.
	work chan struct{}
	// unsavedGrant is an authorization whose new refresh token could not be
	// stored. It is guarded by work.
	unsavedGrant *authorization

	mu      sync.Mutex // guards what follows
	loaded  bool       // whether record is what storage holds
	record  record
	unsaved bool // storage does not have the record yet
	// used tells whether the newest token was handed out since it was minted
	// or since the last attempt to replace it.
	used      bool
	refreshAt time.Time
	timer     clockwork.Timer
	flight    *flight // the mint under way, if any
	failure   *failure
}

// handout is a token for a reader.
type handout struct {
	token *mintedToken
	// until is when a newer token takes the token's place.
	until    time.Time
	warnings []string
}

// read returns the shared token of a role, minting one if need be.
func (s *tokenStore) read(ctx context.Context, name string) (*handout, error) {
	h, w, err := s.offer(ctx, name)
	if w == nil {
		return h, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for w != nil {
		if err := s.await(ctx, w); err != nil {
			return nil, err
		}
		h, w, err = s.offer(ctx, name)
	}
	return h, err
}

// wait is a mint to wait for, and until when; zero for as long as it takes.
type wait struct {
	flight *flight
	until  time.Time
}

// offer returns a token, or an error, or a mint to wait for before asking again.
func (s *tokenStore) offer(ctx context.Context, name string) (*handout, *wait, error) {
	r, c, err := s.resolve(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	st := s.of(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := s.load(ctx, st, r); err != nil {
		return nil, nil, err
	}
	st.supersede(r, c)

	now := s.clock.Now()
	token := st.record.newest()
	if token == nil || !token.fits(r, c) || !token.alive(now) {
		w, err := s.mintForReader(st, r, c, now)
		return nil, w, err
	}
	if now.Before(token.handedOutUntil(r.MinTTL)) {
		if !now.Before(st.refreshAt) {
			s.replace(st, r, c, now, now)
		}
		return st.handOut(token, r, c, now), nil, nil
	}
	if !s.mayMint() {
		return nil, nil, logical.ErrReadOnly
	}
	// The token is past its time. Who reads it regularly had it replaced in the
	// background, so this reader comes after a pause and waits a moment; unless
	// IMS is known to be failing.
	until := now.Add(patience)
	if st.failure.of(r, c) != nil {
		until = now
	}
	s.replace(st, r, c, now, until)
	if f := st.flight; f != nil && now.Before(f.patience) {
		return nil, &wait{f, f.patience}, nil
	}
	return st.handOut(token, r, c, now), nil, nil
}

// mintForReader returns the mint that a reader has to wait for, as no token
// lives, or the error of the last one while the role is backing off.
func (s *tokenStore) mintForReader(st *roleTokens, r *role, c *config, now time.Time) (*wait, error) {
	if !s.mayMint() {
		return nil, logical.ErrReadOnly
	}
	if st.flight == nil {
		if last := st.failure.of(r, c); last.backsOff(now) {
			return nil, &mintError{failure: last, now: now}
		}
		s.start(st, r, c, now, flightOptions{patience: now})
	}
	st.flight.hurry()
	return &wait{flight: st.flight}, nil
}

// replace starts a mint unless one is under way or the role is backing off. A
// reader with a living token waits for it until the given time.
func (s *tokenStore) replace(st *roleTokens, r *role, c *config, now, until time.Time) {
	if st.flight != nil || st.failure.of(r, c).backsOff(now) || !s.mayMint() {
		return
	}
	s.start(st, r, c, now, flightOptions{patience: until, background: !until.After(now)})
}

// await returns when the mint has ended or a reader's patience has.
func (s *tokenStore) await(ctx context.Context, w *wait) error {
	var impatient <-chan time.Time
	if !w.until.IsZero() {
		impatient = s.clock.After(w.until.Sub(s.clock.Now()))
	}
	select {
	case <-w.flight.done:
	case <-impatient:
	case <-ctx.Done():
		return readError(ctx)
	}
	return nil
}

// readError is what a reader is told who has waited in vain.
func readError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return logical.CodedError(http.StatusServiceUnavailable,
			fmt.Sprintf("IMS has not answered within %s: read again in a while", readTimeout))
	}
	return ctx.Err()
}

// handOut is called with st.mu held.
func (st *roleTokens) handOut(token *mintedToken, r *role, c *config, now time.Time) *handout {
	st.used = true
	h := &handout{token: token, until: token.handedOutUntil(r.MinTTL)}
	if warning := st.warning(token, r, c, now); warning != "" {
		h.warnings = []string{warning}
	}
	return h
}

// warning is what the token's reader should know, if anything. It is called with
// st.mu held.
func (st *roleTokens) warning(token *mintedToken, r *role, c *config, now time.Time) string {
	last, f := st.failure.of(r, c), st.flight
	switch {
	case last != nil:
		return fmt.Sprintf("This token is still good, but the last attempt to get a newer one failed at %s: %s. IMS is asked again from %s",
			timestamp(last.at), last.err, timestamp(last.retryAt))
	case f != nil && now.Sub(f.started) >= patience:
		return fmt.Sprintf("This token is still good, but IMS has been asked for a newer one since %s and has not answered yet", timestamp(f.started))
	case r.MinTTL > token.life()*9/10:
		return fmt.Sprintf("min_ttl is %s, but IMS's tokens live for %s: it counts as nine tenths of that", inWords(r.MinTTL), inWords(token.life()))
	case token.remaining(now) < r.MinTTL:
		return fmt.Sprintf("This token lives shorter than min_ttl (%s): a newer one is not there yet", inWords(r.MinTTL))
	}
	return ""
}

func (s *tokenStore) of(name string) *roleTokens {
	if st, ok := s.roles.Load(name); ok {
		return st.(*roleTokens)
	}
	st, _ := s.roles.LoadOrStore(name, &roleTokens{name: name, work: make(chan struct{}, 1)})
	return st.(*roleTokens)
}

// load reads the record at a role's first use. It is called with st.mu held.
func (s *tokenStore) load(ctx context.Context, st *roleTokens, r *role) error {
	if st.loaded {
		return nil
	}
	stored, err := loadRecord(ctx, s.storage, st.name)
	if err != nil {
		return err
	}
	st.record, st.loaded, st.used = stored.living(s.clock.Now()), true, false
	if token := st.record.newest(); token != nil && r != nil {
		s.plan(st, token, r)
	}
	return nil
}

// forget makes the next read ask storage: another node wrote the record.
func (s *tokenStore) forget(name string) {
	if st, ok := s.roles.Load(name); ok {
		st := st.(*roleTokens)
		st.mu.Lock()
		defer st.mu.Unlock()
		st.loaded = false
	}
}

// saveUnsaved stores the records that could not be stored when they changed.
func (s *tokenStore) saveUnsaved(ctx context.Context) error {
	var failed error
	s.roles.Range(func(_, value any) bool {
		st := value.(*roleTokens)
		if err := s.saveIfUnsaved(ctx, st); err != nil {
			failed = err
		}
		return ctx.Err() == nil
	})
	return failed
}

func (s *tokenStore) saveIfUnsaved(ctx context.Context, st *roleTokens) error {
	st.mu.Lock()
	unsaved := st.unsaved
	st.mu.Unlock()
	if !unsaved {
		return nil
	}
	if err := st.lockWork(ctx); err != nil {
		return err
	}
	defer st.unlockWork()
	return s.save(ctx, st, st.known())
}

// known returns the record as it is. Holding work, the caller may build upon it.
func (st *roleTokens) known() record {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.record
}

// save stores the record and takes it over, stored or not. The caller holds
// work.
func (s *tokenStore) save(ctx context.Context, st *roleTokens, r record) error {
	err := saveRecord(ctx, s.storage, st.name, r)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.record, st.loaded, st.unsaved = r, true, err != nil
	return err
}

func (st *roleTokens) lockWork(ctx context.Context) error {
	select {
	case st.work <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (st *roleTokens) unlockWork() { <-st.work }

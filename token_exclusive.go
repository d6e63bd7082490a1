// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"

	"github.com/hashicorp/vault/sdk/logical"
)

// mintExclusive mints a token for one reader. It is on no record: Vault keeps it
// with its lease, upon whose revocation it is invalidated.
func (s *tokenStore) mintExclusive(ctx context.Context, name string, r *role, c *config) (*mintedToken, error) {
	if !s.mayMint() {
		return nil, logical.ErrReadOnly
	}
	st, started := s.of(name), s.clock.Now()
	st.mu.Lock()
	last := st.failure.of(r, c)
	st.mu.Unlock()
	if last.backsOff(started) {
		return nil, &mintError{failure: last, now: started}
	}

	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var token *mintedToken
	var err error
	minted := make(chan struct{})
	go func() {
		err = contain(s.logger, func() (err error) {
			token, err = s.mint(s.ctx, st, r, c)
			return err
		})
		err = s.noteExclusive(st, &flight{role: r, config: c, started: started}, err)
		select {
		case minted <- struct{}{}:
		case <-ctx.Done():
			s.discard(token)
		}
	}()
	select {
	case <-minted:
		return token, err
	case <-ctx.Done():
		return nil, readError(ctx)
	}
}

// noteExclusive keeps the role's failures. It returns what a reader is told.
func (s *tokenStore) noteExclusive(st *roleTokens, f *flight, err error) error {
	now := s.clock.Now()
	st.mu.Lock()
	before, after := st.note(f, err, now)
	st.mu.Unlock()
	s.announce(st.name, f, before, after)
	if after != nil {
		return &mintError{failure: after, now: now}
	}
	return nil
}

// discard invalidates a token whose reader went away before it came.
func (s *tokenStore) discard(token *mintedToken) {
	if token == nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, invalidationTimeout)
	defer cancel()
	err := contain(s.logger, func() error { return s.invalidate(ctx, token) })
	if err != nil {
		s.logger.Warn("a token that was handed to nobody could not be invalidated", "expire_time", timestamp(token.Expires), "error", err)
	}
}

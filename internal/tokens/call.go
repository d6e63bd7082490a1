// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"errors"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

// call is one mint under way: everybody who wants a token of the role waits for
// the same one. It goes on when a reader goes away.
type call struct {
	callOptions
	spec    Spec
	epoch   uint64
	started time.Time
	done    chan struct{} // closed when the result is in place, or the mint is nobody's any more
	cancel  context.CancelFunc

	// queued tells that it waits for a turn among the mints in the background.
	// The role's mutex guards it.
	queued bool
}

type callOptions struct {
	// graceUntil is until when a reader waits who could have a living token.
	graceUntil time.Time

	// background mints are not waited for: they wait for their turn, and leave
	// repeating a failed request to the role's backing off.
	background bool
}

// errSuperseded ends a mint that was begun before the role was written, killed
// or deleted. Nobody sees it.
var errSuperseded = errors.New("the role was changed meanwhile")

// begin starts a mint. It is called with st.mu held and no call under way.
func (s *Service) begin(st *roleState, spec Spec, o callOptions) {
	ctx, cancel := context.WithCancel(s.host.Context)
	c := &call{
		callOptions: o,
		spec:        spec,
		epoch:       st.epoch,
		started:     s.host.Clock.Now(),
		done:        make(chan struct{}),
		cancel:      cancel,
		queued:      o.background,
	}
	st.call = c
	st.running++
	go func() {
		defer cancel()
		err := s.host.Recover(func() error {
			token, err := s.mint(ctx, st, c)
			return s.land(st, c.spec, c.epoch, token, err)
		})
		s.finish(st, c, err)
	}()
}

// mint obtains the call's token.
func (s *Service) mint(ctx context.Context, st *roleState, c *call) (*Token, error) {
	if c.background {
		if err := s.background.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		defer s.background.Release(1)
		st.mu.Lock()
		c.queued = false
		st.mu.Unlock()
		// Nobody waits, so a token that could not be put on record is better not
		// minted: storage may be gone, and Vault with it.
		if _, err := loadRecord(ctx, s.host.Storage, st.name); err != nil {
			return nil, err
		}
	}
	proceed := func() error { return s.proceed(ctx, st, c) }
	return s.minter.Mint(ctx, c.spec, Order{Background: c.background, Proceed: proceed})
}

// proceed looks again when the turn of a request has come.
func (s *Service) proceed(ctx context.Context, st *roleState, c *call) error {
	spec, err := s.lookup(ctx, st.name)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.call != c || spec.Role.Exclusive || !c.spec.Yields(spec) {
		return errSuperseded
	}
	return nil
}

// look is a lookup for what goes on although its caller has gone, for a limited
// time.
func (s *Service) look(name string) (Spec, error) {
	ctx, cancel := context.WithTimeout(s.host.Context, saveTimeout)
	defer cancel()
	return s.lookup(ctx, name)
}

// finish notes how the call ended, and plans the next one.
func (s *Service) finish(st *roleState, c *call, err error) {
	spec, lookupErr := s.look(st.name)
	st.mu.Lock()
	defer st.mu.Unlock()
	defer s.release(st)
	st.running--
	st.noteLookup(lookupErr)
	if st.call != c {
		return // abandoned: whatever came of it, somebody else has taken over
	}
	st.call = nil
	defer close(c.done)
	if errors.Is(err, errSuperseded) || s.host.Context.Err() != nil {
		return
	}
	now := s.host.Clock.Now()
	before := st.failure
	st.note(c.spec, err, c.started, now)
	s.announce(c.spec, before, st.failure)
	switch {
	case lookupErr != nil: // its next reader has it planned
	case st.see(spec):
		s.arm(st, spec, now)
	default:
		s.wakeAfter(st, 0) // written since, so look again
	}
}

// announce tells the log and Vault's events how a mint ended.
func (s *Service) announce(spec Spec, before, after *Failure) {
	path := "token/" + spec.Name
	if after != nil {
		s.host.Log.Warn("minting a token failed", "role", spec.Name, "config", spec.Config,
			"error", after.Err, "failures", after.Count, "next_attempt", advice.Time(after.RetryAt))
		s.host.Events.Send(s.host.Context, "token-mint-fail", path, "role", spec.Name, "config", spec.Config, "error", after.Err.Error())
		return
	}
	if before != nil {
		s.host.Log.Info("minting works again", "role", spec.Name, "config", spec.Config, "failures", before.Count)
	}
	s.host.Events.Send(s.host.Context, "token-mint", path, "role", spec.Name, "config", spec.Config)
}

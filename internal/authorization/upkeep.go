// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

const (
	// keepAliveRetry is how long after an authorization was to be kept alive it is
	// tried again: half of a refresh token's life is days.
	keepAliveRetry = time.Hour

	// A revocation that fails is tried again after a minute, then after twice as
	// long each time, up to an hour.
	minRevokeRetry = time.Minute
	maxRevokeRetry = time.Hour

	// revokeBudget is how long IMS has for the revocations of one Tick.
	revokeBudget = 20 * time.Second

	// maxSwept is how many stored sign-ins one Tick looks at.
	maxSwept = 500
)

// upkeep is what Tick knows from one time to the next.
type upkeep struct {
	running sync.Mutex // held while a Tick runs; guards what follows

	keptAlive map[string]time.Time   // when a role was last to be kept alive
	revoking  map[string]revokeLater // roles with revocations that failed
	swept     string                 // the last sign-in that was looked at
}

type revokeLater struct {
	after time.Time
	delay time.Duration
}

// next is when a revocation is tried again that has failed once more.
func (r revokeLater) next(now time.Time) revokeLater {
	delay := min(max(2*r.delay, minRevokeRetry), maxRevokeRetry)
	return revokeLater{after: now.Add(delay), delay: delay}
}

// Tick does what is due: it brings to storage what memory knows, has IMS revoke
// what it did not revoke before, has authorizations refreshed that nobody uses, so
// that none lapses, and drops sign-ins that nobody completed. It is called about
// once a minute; what is called while it runs does nothing.
func (s *Service) Tick(ctx context.Context) error {
	if !s.host.Node.MayWriteLocal() || !s.upkeep.running.TryLock() {
		return nil
	}
	defer s.upkeep.running.Unlock()
	var failed error
	unsettled := s.unsettled()
	for _, role := range unsettled {
		failed = cmp.Or(failed, s.settle(ctx, role))
	}
	roles, err := s.List(ctx)
	if err != nil {
		return cmp.Or(failed, err)
	}
	roles = append(roles, unsettled...)
	slices.Sort(roles)
	failed = cmp.Or(failed, s.tend(ctx, slices.Compact(roles)))
	return cmp.Or(failed, s.sweep(ctx))
}

func (s *Service) tend(ctx context.Context, roles []string) error {
	asking, cancel := context.WithTimeout(ctx, revokeBudget)
	defer cancel()
	now := s.host.Clock.Now()
	keptAlive, revoking := map[string]time.Time{}, map[string]revokeLater{}
	defer func() { s.upkeep.keptAlive, s.upkeep.revoking = keptAlive, revoking }()
	var failed error
	for _, role := range roles {
		a, err := s.load(ctx, role)
		if err != nil {
			failed = cmp.Or(failed, err)
			continue
		}
		if len(a.owed()) > 0 {
			if later := s.revokeAgain(asking, role, now); later != (revokeLater{}) {
				revoking[role] = later
			}
		}
		if a.Living() && !now.Before(a.KeepAliveAt()) && !a.lapsed(now) {
			keptAlive[role] = s.keepAlive(ctx, role, a, now)
		}
	}
	return failed
}

// revokeAgain has IMS revoke what it did not revoke before, and returns when to
// try once more.
func (s *Service) revokeAgain(ctx context.Context, role string, now time.Time) revokeLater {
	last := s.upkeep.revoking[role]
	if now.Before(last.after) || ctx.Err() != nil {
		return last
	}
	if _, err := s.revokeOwed(ctx, role); err != nil {
		s.host.Log.Warn("a former authorization could not be revoked; it is tried again", "role", role, "error", err)
		return last.next(now)
	}
	return revokeLater{}
}

// keepAlive has an authorization refreshed that nobody has used for long, and
// returns when that was last done.
func (s *Service) keepAlive(ctx context.Context, role string, a *Authorization, now time.Time) time.Time {
	last, tried := s.upkeep.keptAlive[role]
	if tried && now.Sub(last) < keepAliveRetry {
		return last
	}
	p, err := s.now(ctx, role)
	if err == nil {
		err = a.usable(p.spec)
	}
	if err != nil {
		// The role has no use for it any more; deleting it revokes it.
		s.host.Log.Debug("an authorization is not kept alive",
			"role", role, "expire_time", advice.Time(a.Expires), "error", err)
		return now
	}
	s.host.Log.Debug("an authorization that nobody uses is refreshed", "role", role, "expire_time", advice.Time(a.Expires))
	s.tokens.Renew(ctx, role)
	return now
}

// sweep drops what is left of sign-ins that nobody completed, a limited number at
// a time.
func (s *Service) sweep(ctx context.Context) error {
	now := s.host.Clock.Now()
	var names []string
	for _, prefix := range []string{StatePrefix, openPrefix} {
		found, err := s.host.Storage.List(ctx, prefix)
		if err != nil {
			return err
		}
		for _, name := range found {
			if !strings.HasSuffix(name, "/") {
				names = append(names, prefix+name)
			}
		}
	}
	slices.Sort(names)
	from, found := slices.BinarySearch(names, s.upkeep.swept)
	if found {
		from++
	}
	next := slices.Concat(names[from:], names[:from])
	next = next[:min(len(next), maxSwept)]
	for _, key := range next {
		if err := s.sweepOne(ctx, key, now); err != nil {
			return err
		}
		s.upkeep.swept = key
	}
	return nil
}

// sweepOne drops one sign-in, or the list of a role's, if its time is over.
func (s *Service) sweepOne(ctx context.Context, key string, now time.Time) error {
	role, isList := strings.CutPrefix(key, openPrefix)
	if isList {
		unlock, err := s.signing.Lock(ctx, role)
		if err != nil {
			return err
		}
		defer unlock()
	}
	found, err := s.host.Storage.Get(ctx, key)
	if err != nil || found == nil {
		return err
	}
	if isList {
		var list open
		if found.DecodeJSON(&list) == nil && !list.stale(now) {
			return nil
		}
	} else {
		var in signIn
		if found.DecodeJSON(&in) == nil && now.Before(in.Expires) {
			return nil
		}
	}
	return s.host.Storage.Delete(ctx, key)
}

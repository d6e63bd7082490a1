// SPDX-License-Identifier: MPL-2.0

package fleet

import (
	"context"
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/metrics"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// Source is the metrics.Source of a mount.
type Source struct{ *Fleet }

// Roles implements metrics.Source.
func (s Source) Roles(ctx context.Context) ([]metrics.Role, error) {
	names, statuses, err := s.AllRoles(ctx)
	if err != nil {
		return nil, err
	}
	roles := make([]metrics.Role, 0, len(names))
	for i, status := range statuses {
		if status.Err == nil {
			roles = append(roles, roleMetrics(names[i], status))
			continue
		}
		// One that was deleted meanwhile is no news.
		if r, err := s.Fleet.Roles.Get(ctx, names[i]); err != nil || r.Value != nil {
			roles = append(roles, metrics.Role{Name: names[i], State: metrics.Unknown})
		}
	}
	return roles, nil
}

func roleMetrics(name string, status Role) metrics.Role {
	r := metrics.Role{
		Name: name, Config: status.Config, State: status.State(),
		Outstanding: status.Outstanding, Uninvalidated: status.Uninvalidated,
		Reads: status.Reads, Mints: status.Mints, MintFailures: status.MintFailures,
		Unrevoked: unrevoked(status.Authorization),
	}
	if status.Current != nil {
		r.Minted, r.Expires = status.Current.Issued, status.Current.Expires
	}
	if status.Failure != nil {
		r.Failures = status.Failure.Count
	}
	if status.Authorization.Living() {
		r.AuthorizationExpires = status.Authorization.Expires
	}
	return r
}

// unrevoked is how many refresh tokens on a record are still to be revoked.
func unrevoked(a *authorization.Authorization) int {
	switch {
	case a == nil:
		return 0
	case a.Condemned:
		return 1 + len(a.Unrevoked)
	}
	return len(a.Unrevoked)
}

// Leftovers implements metrics.Source. What is on record and of no role was left by
// one that was deleted.
func (s Source) Leftovers(ctx context.Context) ([]metrics.Leftover, error) {
	recorded, err := s.Host.Storage.List(ctx, tokens.Prefix)
	if err != nil {
		return nil, err
	}
	granted, err := s.Authorizations.List(ctx)
	if err != nil {
		return nil, err
	}
	names, err := s.Fleet.Roles.List(ctx)
	if err != nil {
		return nil, err
	}
	left := slices.Concat(recorded, granted)
	slices.Sort(left)
	left = slices.DeleteFunc(slices.Compact(left), func(name string) bool {
		_, isRole := slices.BinarySearch(names, name)
		return isRole
	})
	var leftovers []metrics.Leftover
	for _, name := range left {
		l, err := s.leftover(ctx, name)
		if err != nil {
			return nil, err
		}
		if l.Uninvalidated+l.Unrevoked > 0 {
			leftovers = append(leftovers, l)
		}
	}
	return leftovers, nil
}

func (s Source) leftover(ctx context.Context, name string) (metrics.Leftover, error) {
	outstanding, err := s.Tokens.Outstanding(ctx, name)
	if err != nil {
		return metrics.Leftover{}, err
	}
	a, err := s.Authorizations.Get(ctx, name)
	return metrics.Leftover{Role: name, Uninvalidated: outstanding, Unrevoked: unrevoked(a)}, err
}

// Configs implements metrics.Source.
func (s Source) Configs(ctx context.Context) ([]metrics.Config, error) {
	names, err := s.Credentials.List(ctx)
	if err != nil {
		return nil, err
	}
	configs := make([]metrics.Config, 0, len(names))
	for _, name := range names {
		stored, err := s.Credentials.Get(ctx, name)
		if err == nil && stored.Value != nil {
			configs = append(configs, s.config(name, stored.Value))
		}
	}
	return configs, ctx.Err()
}

func (s Source) config(name string, c *credential.Credential) metrics.Config {
	told := metrics.Config{
		Name: name, SecretSet: c.Set, NextRotation: c.NextRotation(s.Host.Clock.Now()),
		Secrets: 1 + len(c.OtherUUIDs()), ThrottledUntil: s.Pool.Quiet(c.IMSURL, c.ClientID),
	}
	told.RotationDue, told.RotationPeriod = planned(c)
	if c.RotationFailure != nil {
		told.RotationFailures = c.RotationFailure.Count
	}
	return told
}

// planned is when the current secret was or is to be rotated for the first time,
// and how long after that the next rotation is planned.
func planned(c *credential.Credential) (due time.Time, period time.Duration) {
	plan := *c
	plan.RotationWindow = 0
	if due = plan.NextRotation(plan.Set); due.IsZero() {
		return due, 0
	}
	plan.Set = due
	return due, plan.NextRotation(due).Sub(due)
}

// Requests implements metrics.Source.
func (s Source) Requests() metrics.Requests {
	underWay, waiting := s.Pool.Load()
	return metrics.Requests{UnderWay: underWay, Waiting: waiting}
}

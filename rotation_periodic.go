// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/helper/locksutil"
	"github.com/hashicorp/vault/sdk/logical"
)

const (
	// provingPeriod is how long a secret that IMS does not accept is tried
	// before it is given up.
	provingPeriod = time.Hour

	// A rotation by period that failed is tried again after a minute, then after
	// twice as long each time.
	minRotationPause = time.Minute
	maxRotationPause = time.Hour
)

// rotationFailure is the last rotation that failed.
type rotationFailure struct {
	At    time.Time `json:"at"`
	Count int       `json:"count"`
	Text  string    `json:"text"`
}

func (f *rotationFailure) pauses(now time.Time) bool {
	return f != nil && now.Before(f.At.Add(min(minRotationPause<<min(f.Count-1, 10), maxRotationPause)))
}

// rotateDue does what is due for each config: it proves pending secrets, removes
// retired ones, and rotates by period.
func (b *backend) rotateDue(ctx context.Context, s logical.Storage) error {
	names, err := b.configs.list(ctx, s)
	if err != nil {
		return err
	}
	for _, name := range names {
		// What fails is noted with the config, and in the log.
		_ = contain(b.Logger(), func() error { return b.rotateIfDue(ctx, s, name) })
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (b *backend) rotateIfDue(ctx context.Context, s logical.Storage, name string) error {
	c, err := b.configs.get(ctx, s, name)
	if err != nil || c == nil {
		return err
	}
	now := b.tokens.clock.Now()
	switch due := c.rotationDue(); {
	case c.RotationFailure.pauses(now):
		return nil
	case c.Pending != nil, len(c.dueToRetire(now)) > 0:
		return b.tidy(ctx, s, name)
	case !due.IsZero() && !now.Before(due):
		_, err := b.rotate(ctx, s, name)
		return err
	}
	return nil
}

// tidy goes on with what rotations left to be done.
func (b *backend) tidy(ctx context.Context, s logical.Storage, name string) error {
	lock := locksutil.LockForKey(b.configLocks, name)
	lock.Lock()
	defer lock.Unlock()
	err := b.withManagement(ctx, s, name, func(r *rotation) error {
		if r.config.Pending != nil {
			err := r.prove(ctx, 0)
			if isInvalidClient(err) && r.b.tokens.clock.Now().Sub(r.config.Pending.Added) > provingPeriod {
				return r.giveUpPending(ctx)
			}
			if err != nil {
				return err
			}
		}
		return r.removeDue(ctx)
	})
	b.noteRotation(ctx, s, name, err)
	return err
}

// noteRotation keeps the outcome with the config, for whoever reads it. The
// config's lock is held.
func (b *backend) noteRotation(ctx context.Context, s logical.Storage, name string, outcome error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	c, err := b.configs.get(ctx, s, name)
	if err != nil || c == nil || !c.rotates() || outcome == nil && c.RotationFailure == nil {
		return
	}
	next := *c
	next.RotationFailure = nil
	if outcome != nil {
		next.RotationFailure = &rotationFailure{At: b.tokens.clock.Now(), Count: 1, Text: outcome.Error()}
		if c.RotationFailure != nil {
			next.RotationFailure.Count = c.RotationFailure.Count + 1
		}
	}
	if err := b.configs.put(ctx, s, name, &next); err != nil {
		b.Logger().Warn("how a rotation ended could not be stored", "config", name, "error", err)
	}
	if outcome != nil {
		b.Logger().Warn("a rotation of the client secret failed", "config", name, "error", outcome)
		b.event(ctx, "secret-rotate-fail", configPrefix+name, "config", name, "error", outcome.Error())
	}
}

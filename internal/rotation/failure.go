// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"errors"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
)

const (
	// What failed in the background is tried again after a minute, then after
	// twice as long each time.
	minPause = time.Minute
	maxPause = time.Hour

	// noteTime limits storing how a run ended.
	noteTime = 10 * time.Second
)

// pauses reports whether the background leaves a config alone after a failure.
func pauses(f *credential.Failure, now time.Time) bool {
	return f != nil && now.Before(f.At.Add(min(minPause<<min(max(f.Count-1, 0), 10), maxPause)))
}

// failedAgain is the failure after the last one, which may be nil.
func failedAgain(last *credential.Failure, err error, now time.Time) *credential.Failure {
	f := &credential.Failure{At: now, Count: 1, Text: err.Error()}
	if last != nil {
		f.Count = last.Count + 1
	}
	return f
}

// note keeps how the run ended with the config, for whoever reads it.
func (r *run) note(outcome error) {
	if r.goal < tidy || r.host.Context.Err() != nil || errors.Is(outcome, ErrChanged) || advice.IsMissing(outcome) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.host.Context), noteTime)
	defer cancel()
	if err := r.storeOutcome(ctx, outcome); err != nil {
		r.host.Log.Warn("how a rotation ended could not be stored", "config", r.name, "error", err)
	}
	if outcome != nil {
		r.host.Log.Warn("a rotation of the client secret failed", "config", r.name, "error", outcome)
		r.host.Events.Send(ctx, "secret-rotate-fail", r.path(), "config", r.name, "error", outcome.Error())
	}
}

func (r *run) storeOutcome(ctx context.Context, outcome error) error {
	unlock, err := r.store.Lock(ctx, r.name)
	if err != nil {
		return err
	}
	defer unlock()
	stored, err := r.store.Get(ctx, r.name)
	if err != nil || stored.Value == nil || outcome == nil && stored.Value.RotationFailure == nil {
		return err
	}
	next := *stored.Value
	next.RotationFailure = nil
	if outcome != nil {
		next.RotationFailure = failedAgain(stored.Value.RotationFailure, outcome, r.host.Clock.Now())
	}
	return r.store.Put(ctx, r.name, &next)
}

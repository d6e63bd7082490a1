// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
)

const (
	// runTime limits a run, waiting for Adobe and proving included.
	runTime = 5 * time.Minute

	// maxRestarts is how often a run begins anew because its config was changed.
	maxRestarts = 3

	// maxSteps is more than any run takes.
	maxSteps = 100
)

// errOutOfTime is a context.DeadlineExceeded.
var errOutOfTime = fmt.Errorf("the rotation was not finished within %s; it is gone on with later: %w", runTime, context.DeadlineExceeded)

// run is the work on one config, in a goroutine of its own: observe, decide the
// next step, take it, until the goal is reached.
type run struct {
	*Service
	name   string
	goal   goal
	byHand bool

	done chan struct{} // closed when it has ended
	left bool          // whoever waited for it has gone away; guarded by runs.mu

	// The outcome, to be read when done is closed. Result is nil if the current
	// secret is the one before.
	result *Result
	err    error

	// What follows is the goroutine's own.

	state state
	at    *credential.Session
	early []Previous

	// cause is why the run does not reach its goal, while it clears up what came
	// of that.
	cause error
}

// begin returns the run of a config that is under way, or begins one.
func (s *Service) begin(name string, g goal, byHand bool) (r *run, mine bool) {
	r, mine = s.runs.begin(&run{Service: s, name: name, goal: g, byHand: byHand, done: make(chan struct{})})
	if mine {
		go r.carryOut()
	}
	return r, mine
}

// path is that of the config in the mount.
func (r *run) path() string { return "config/" + r.name }

func (r *run) carryOut() {
	defer r.runs.end(r)
	r.err = r.host.Recover(func() error {
		ctx, cancel := context.WithCancelCause(r.host.Context)
		defer cancel(nil)
		defer r.host.Clock.AfterFunc(runTime, func() { cancel(errOutOfTime) }).Stop()
		err := r.work(ctx)
		if err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), errOutOfTime) {
			err = errOutOfTime
		}
		r.note(err)
		return err
	})
}

// work takes steps until the goal is reached. It begins anew where the config
// turns out to be another by now.
func (r *run) work(ctx context.Context) error {
	for range maxRestarts {
		err := r.start(ctx)
		switch {
		case err != nil:
			return err
		case next(r.state).Action == Done:
			return nil // which takes no token
		}
		err = r.store.WithManagement(ctx, r.name, r.state.Config, func(at *credential.Session) error {
			r.at = at
			return r.takeSteps(ctx)
		})
		if r.cause != nil {
			err = r.cause
		}
		if !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return changed(r.name)
}

// start observes what is stored.
func (r *run) start(ctx context.Context) error {
	stored, err := r.store.Get(ctx, r.name)
	if err != nil {
		return err
	}
	c := stored.Value
	if c == nil {
		return missing(r.name)
	}
	now := r.host.Clock.Now()
	if r.goal == rotate && !r.byHand && !c.RotationDue(now) {
		r.goal = tidy // the config was changed since
	}
	open, err := openIntents(ctx, r.host.Storage, r.name)
	if err != nil {
		return err
	}
	open = slices.DeleteFunc(open, func(in intent) bool { return !in.isOf(c) })
	r.state = state{
		Name: r.name, Now: now, Goal: r.goal, Config: c, Intents: open, Tainted: r.host.Node.Tainted(),
		Removed: r.state.Removed,
	}
	return nil
}

func (r *run) takeSteps(ctx context.Context) error {
	for range maxSteps {
		if err := r.observe(ctx); err != nil {
			return r.failed(err)
		}
		step := next(r.state)
		if step.Action == Done {
			return r.cause
		}
		if err := r.take(ctx, step); err != nil {
			return r.failed(err)
		}
	}
	return fmt.Errorf("a rotation of config/%s took more than %d steps; please report it", r.name, maxSteps)
}

// failed is what becomes of the run's failure. A rotation has taken place,
// whatever becomes of the previous secret.
func (r *run) failed(err error) error {
	switch {
	case r.cause != nil:
		r.host.Log.Debug("what a failed rotation left behind is cleared up later", "config", r.name, "error", err)
		return r.cause
	case r.state.Rotated:
		r.host.Log.Warn("a previous client secret could not be removed; it is tried again in the background", "config", r.name, "error", err)
		return nil
	}
	return err
}

// observe looks at what is stored by now.
func (r *run) observe(ctx context.Context) error {
	stored, err := r.store.Get(ctx, r.name)
	if err != nil {
		return err
	}
	if stored.Value == nil {
		return missing(r.name)
	}
	if !sameSecrets(r.state.Config, stored.Value) {
		return ErrChanged
	}
	r.state.Config = stored.Value
	r.state.Now = r.host.Clock.Now()
	r.state.Tainted = r.host.Node.Tainted()
	return nil
}

// change stores the config with a change applied to it as it is stored by now,
// unless what the change rests on is another by now: that is ErrChanged.
func (r *run) change(ctx context.Context, apply func(*credential.Credential)) error {
	unlock, err := r.store.Lock(ctx, r.name)
	if err != nil {
		return err
	}
	defer unlock()
	stored, err := r.store.Get(ctx, r.name)
	switch {
	case err != nil:
		return err
	case stored.Value == nil:
		return missing(r.name)
	case !sameSecrets(r.state.Config, stored.Value):
		return ErrChanged
	}
	next := *stored.Value
	apply(&next)
	if err := r.store.Put(ctx, r.name, &next); err != nil {
		return err
	}
	r.state.Config = &next
	return nil
}

// sameSecrets reports whether two revisions of a config are of the same
// credential at the same servers, and have the same secrets.
func sameSecrets(a, b *credential.Credential) bool {
	if a == b {
		return true
	}
	if !a.SameCredential(&b.Settings) || !a.SameServers(&b.Settings) || a.Type != b.Type {
		return false
	}
	pendings := (a.Pending == nil) == (b.Pending == nil) && (a.Pending == nil || sameSecret(*a.Pending, *b.Pending))
	return pendings && a.Current == b.Current && a.UUID == b.UUID && slices.EqualFunc(a.Retired, b.Retired, sameSecret)
}

func sameSecret(a, b credential.Secret) bool { return a.Value == b.Value && a.UUID == b.UUID }

// result is a rotation that has taken place. Of what is stored, only the
// secrets count.
func result(c *credential.Credential, early []Previous) *Result {
	result := &Result{UUID: c.UUID, RemovedEarly: early}
	if n := len(c.Retired); n > 0 {
		result.Previous = &Previous{UUID: c.Retired[n-1].UUID, RemoveAt: c.Retired[n-1].RemoveAt}
	}
	return result
}

// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
)

const (
	// answerWithin is how long whoever asks for a rotation waits for it. Vault's
	// clients give up after 60 seconds.
	answerWithin = 45 * time.Second

	// maxTicking is how many configs the periodic work looks after at a time, so
	// that one whose Adobe does not answer does not hold up the others.
	maxTicking = 4
)

// Service rotates the client secrets of one mount.
type Service struct {
	host  *host.Host
	store *credential.Store
	runs  runs
}

// New returns the Service of a mount.
func New(h *host.Host, store *credential.Store) *Service {
	return &Service{host: h, store: store}
}

// Result is a rotation that has taken place.
type Result struct {
	// UUID names the new client secret in the Developer Console.
	UUID string

	// Previous is the client secret before; nil if it is removed already.
	Previous *Previous

	// RemovedEarly are those that were removed before their time, because Adobe
	// lets a credential have two.
	RemovedEarly []Previous
}

// Previous is a client secret that goes on working for a while after another
// took its place.
type Previous struct {
	UUID     string
	RemoveAt time.Time // in the Developer Console
}

// Rotate replaces the client secret of a config. The work is not given up when
// the caller's context ends, and goes on after the 45 seconds that Rotate
// waits: the error is ErrUnderWay then. Of two calls for one config at a time,
// both get the outcome of one rotation; so does the next call, if nobody waited
// for it.
func (s *Service) Rotate(ctx context.Context, name string) (*Result, error) {
	c, err := s.rotatable(ctx, name)
	if err != nil {
		return nil, err
	}
	if early, ok := s.runs.claim(name, c.UUID, s.host.Clock.Now()); ok {
		return result(c, early), nil
	}
	late := s.host.Clock.NewTimer(answerWithin)
	defer late.Stop()
	for {
		r, _ := s.begin(name, rotate, true)
		select {
		case <-r.done:
			if r.result != nil || r.goal == rotate {
				s.runs.take(r)
				return r.result, r.err
			}
			// What was under way was for less than a rotation.
		case <-late.Chan():
			s.runs.leave(r)
			return nil, underWay(name)
		case <-ctx.Done():
			s.runs.leave(r)
			return nil, ctx.Err()
		}
	}
}

// rotatable returns the config if a rotation of it may begin on this node.
func (s *Service) rotatable(ctx context.Context, name string) (*credential.Credential, error) {
	if !s.host.Node.MayWrite() {
		return nil, logical.ErrReadOnly // Vault forwards the request
	}
	stored, err := s.store.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	c := stored.Value
	switch {
	case c == nil:
		return nil, missing(name)
	case s.host.Node.Tainted():
		return nil, state{Name: name}.tainted()
	case c.Type != credential.ServerToServer:
		return nil, advice.New("Adobe offers no rotation for the %s credential of config/%s: change its secret in the Developer Console, then write it", c.Type, name).
			Run("vault write %sconfig/%s client_secret=@secret.txt", advice.Mount, name)
	case !c.CanRotate():
		return nil, advice.New("config/%s has no console_org_id or no credential_id: both are numbers in the URL of the credential's page in the Developer Console", name).
			Run("vault write %sconfig/%s console_org_id=... credential_id=...", advice.Mount, name)
	}
	return c, nil
}

// Tick does what is due for each config: it proves pending secrets, removes
// retired ones, and rotates by period or schedule. What fails is noted with the
// config. It returns when all that is done, or when the context ends; what has
// begun goes on.
func (s *Service) Tick(ctx context.Context) error {
	if !s.host.Node.MayWrite() || s.host.Node.Tainted() {
		return nil
	}
	names, err := s.store.List(ctx)
	if err != nil {
		return err
	}
	var ticking errgroup.Group
	ticking.SetLimit(maxTicking)
	var failed []error
	for _, name := range names {
		if ctx.Err() != nil {
			break
		}
		stored, err := s.store.Get(ctx, name)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if g := dueGoal(stored.Value, s.host.Clock.Now()); g > clearUp {
			ticking.Go(func() error {
				r, _ := s.begin(name, g, false)
				return r.wait(ctx)
			})
		}
	}
	failed = append(failed, ticking.Wait())
	return errors.Join(failed...)
}

// dueGoal is what the periodic work has to reach for a config; clearUp if
// nothing.
func dueGoal(c *credential.Credential, now time.Time) goal {
	switch {
	case c == nil, !c.CanRotate(), pauses(c.RotationFailure, now):
		return clearUp
	case c.Pending != nil:
		return tidy // which ends the rotation that is under way
	case c.RotationDue(now):
		return rotate
	case len(c.DueForRemoval(now)) > 0:
		return tidy
	}
	return clearUp
}

// Rollback is Vault's call for an entry of the WAL that no rotation has cleared
// up. An error keeps the entry, and Vault calls again.
func (s *Service) Rollback(ctx context.Context, kind string, data any) error {
	if kind != intentKind {
		return fmt.Errorf("unknown kind of WAL entry: %q", kind)
	}
	in, err := decodeIntent(data)
	if err != nil {
		return err
	}
	err = s.rollBack(ctx, in)
	if advice.IsMissing(err) || err != nil && s.host.Clock.Now().Sub(in.Until) > intentMaxAge {
		s.host.Log.Error("what an interrupted rotation left behind cannot be cleared up: a client secret may be left in the Developer Console",
			"config", in.Config, "client_id", in.ClientID, "since", timestamp(in.From), "error", err)
		return nil
	}
	return err
}

func (s *Service) rollBack(ctx context.Context, in intent) error {
	stored, err := s.store.Get(ctx, in.Config)
	if err != nil {
		return err
	}
	switch c := stored.Value; {
	case c == nil:
		return missing(in.Config)
	case !in.isOf(c), !c.CanRotate():
		return fmt.Errorf("a rotation of config/%s was interrupted, and the config is of another credential now: a client secret may be left at that of client %q in the Developer Console", in.Config, in.ClientID)
	}
	for {
		r, mine := s.begin(in.Config, clearUp, false)
		if err := r.wait(ctx); err != nil {
			return err
		}
		if mine && r.err != nil {
			return r.err
		}
		if mine {
			break
		}
	}
	open, err := openIntents(ctx, s.host.Storage, in.Config)
	if err == nil && slices.ContainsFunc(open, in.same) {
		err = errors.New("the interrupted rotation can still take effect")
	}
	return err
}

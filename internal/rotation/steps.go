// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
)

// take takes a step. After an error the run ends.
func (r *run) take(ctx context.Context, s step) error {
	switch s.Action {
	case Look:
		return r.look(ctx)
	case RemoveLost:
		return r.removeLost(ctx, s.Intent, s.UUID)
	case CloseIntent:
		return r.closeIntent(ctx, s.Intent)
	case NarrowIntent:
		return r.narrowIntent(ctx, s.Intent)
	case NameCurrent:
		return r.change(ctx, func(c *credential.Credential) { c.UUID = s.UUID })
	case NamePending:
		return r.change(ctx, func(c *credential.Credential) { named := *c.Pending; named.UUID = s.UUID; c.Pending = &named })
	case Prove:
		return r.prove(ctx)
	case Wait:
		return r.waitUntil(ctx, s)
	case Promote:
		return r.promote(ctx)
	case GiveUp:
		return r.giveUp(ctx, s.UUID)
	case MakeRoom, RemoveRetired:
		return r.removeRetired(ctx, s.UUID)
	case Add:
		return r.add(ctx)
	case Keep:
		return r.keepRetired(ctx, s.UUID)
	case AskOperator, Postpone:
		return s.Err
	}
	return fmt.Errorf("unknown step %q", s.Action)
}

func (r *run) look(ctx context.Context) error {
	listing, err := r.at.List(ctx)
	if err != nil {
		return err
	}
	current, err := r.at.UsesCurrent(ctx)
	if err != nil {
		return err
	}
	// Once this run has made another secret the current one, that is proven.
	r.state.Fallback = !current && !r.state.Rotated
	r.state.Listing, r.state.ListedAt = listing, r.host.Clock.Now()
	return nil
}

func (r *run) waitUntil(ctx context.Context, s step) error {
	timer := r.host.Clock.NewTimer(s.Until.Sub(r.state.Now))
	defer timer.Stop()
	select {
	case <-timer.Chan():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unchanged returns a context whose requests are sent only if what they rest on
// is still so when their turn has come.
func (r *run) unchanged(ctx context.Context) context.Context {
	return ims.WithProceed(ctx, func() error { return r.observe(ctx) })
}

// remove removes a secret at Adobe, and tells of it.
func (r *run) remove(ctx context.Context, uuid string) error {
	if err := r.at.Remove(ctx, uuid); err != nil {
		return err
	}
	r.state.Listing = nil
	r.state.Removed = append(r.state.Removed, uuid)
	r.host.Events.Send(ctx, "secret-remove", r.path(), "config", r.name, "client_secret_uuid", uuid)
	return nil
}

func (r *run) removeLost(ctx context.Context, in intent, uuid string) error {
	if err := r.remove(r.unchanged(ctx), uuid); err != nil {
		return err
	}
	r.host.Log.Info("a client secret whose value was lost in an interrupted rotation was removed", "config", r.name, "client_secret_uuid", uuid)
	return r.closeIntent(ctx, in)
}

func (r *run) closeIntent(ctx context.Context, in intent) error {
	if err := framework.DeleteWAL(ctx, r.host.Storage, in.id); err != nil {
		return err
	}
	r.state.Intents = slices.DeleteFunc(r.state.Intents, func(other intent) bool { return other.id == in.id })
	return nil
}

func (r *run) narrowIntent(ctx context.Context, in intent) error {
	narrow := in.narrowed(r.state.Listing)
	id, err := framework.PutWAL(ctx, r.host.Storage, intentKind, &narrow)
	if err != nil {
		return err
	}
	narrow.id = id
	if err := r.closeIntent(ctx, in); err != nil {
		return err
	}
	r.state.Intents = append(r.state.Intents, narrow)
	return nil
}

func (r *run) promote(ctx context.Context) error {
	err := r.change(ctx, func(c *credential.Credential) {
		c.Secrets = c.Promoted(r.host.Clock.Now(), c.PreviousSecretTTL)
		c.RotationFailure = nil
	})
	if err != nil {
		return err
	}
	uuid := r.state.Config.UUID
	r.state.Rotated, r.state.Fallback, r.state.Proof = true, false, proof{}
	r.result = result(r.state.Config, r.early)
	r.host.Log.Info("the client secret was rotated", "config", r.name, "client_secret_uuid", uuid)
	r.host.Events.Send(ctx, "secret-rotate", r.path(), "config", r.name, "client_secret_uuid", uuid)
	return nil
}

func (r *run) giveUp(ctx context.Context, uuid string) error {
	if uuid != "" {
		if err := r.remove(r.unchanged(ctx), uuid); err != nil {
			return err
		}
	}
	if err := r.change(ctx, func(c *credential.Credential) { c.Pending, c.RotationFailure = nil, nil }); err != nil {
		return err
	}
	r.state.Proof = proof{}
	r.host.Log.Warn("a client secret that IMS never accepted was removed; the old one stays in use", "config", r.name, "client_secret_uuid", uuid)
	return nil
}

func (r *run) removeRetired(ctx context.Context, uuid string) error {
	retired := r.state.Config.Retired
	old := retired[slices.IndexFunc(retired, func(old credential.Secret) bool { return old.UUID == uuid })]
	if err := r.remove(r.unchanged(ctx), uuid); err != nil {
		return err
	}
	err := r.change(ctx, func(c *credential.Credential) { c.Secrets, c.RotationFailure = c.Without(uuid), nil })
	if err != nil {
		return err
	}
	r.host.Log.Info("a previous client secret was removed", "config", r.name, "client_secret_uuid", uuid)
	if r.host.Clock.Now().Before(old.RemoveAt) {
		r.early = append(r.early, Previous{UUID: uuid, RemoveAt: old.RemoveAt})
	}
	if r.result != nil {
		r.result = result(r.state.Config, r.early)
	}
	return nil
}

// keepRetired leaves a secret out of the retired ones that turns out to be the
// current one.
func (r *run) keepRetired(ctx context.Context, uuid string) error {
	return r.change(ctx, func(c *credential.Credential) {
		c.Retired = slices.DeleteFunc(slices.Clone(c.Retired), func(old credential.Secret) bool {
			if old.UUID == uuid {
				c.Added = c.Added || old.Ours
			}
			return old.UUID == uuid
		})
	})
}

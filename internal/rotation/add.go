// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
)

// keepTime limits storing a secret that was just added: nobody can ever get its
// value again, so it is stored even if the run is to end.
const keepTime = 30 * time.Second

var (
	errTooLate = errors.New("it took too long to record that a client secret is about to be added, or to get the request's turn; none was added")
	errNotTold = errors.New("which one it is cannot be told yet")
)

// add adds a secret in the Developer Console, and stores it beside the current
// one. The intent is on record before, so that a secret whose answer never
// arrived can be told from others and removed. The request is sent once.
func (r *run) add(ctx context.Context) error {
	in := newIntent(r.name, r.state.Config, r.state.Listing, r.state.ListedAt, r.host.Clock.Now())
	id, err := framework.PutWAL(ctx, r.host.Storage, intentKind, &in)
	if err != nil {
		return err
	}
	in.id = id
	sent := false
	added, err := r.at.Add(ims.WithProceed(ctx, func() error {
		switch err := r.observe(ctx); {
		case err != nil:
			return err
		case r.state.Tainted:
			return r.state.tainted()
		case r.host.Clock.Since(in.Began) > intentMarginSend:
			return errTooLate
		}
		sent = true
		return nil
	}))
	r.state.Listing = nil
	if err != nil {
		return r.addFailed(ctx, in, err, sent)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTime)
	defer cancel()
	return r.keep(ctx, in, added)
}

// addFailed goes on with clearing up after a request to add a secret that
// failed, unless it is known to have had no effect.
func (r *run) addFailed(ctx context.Context, in intent, cause error, sent bool) error {
	if !sent || !console.MayHaveTakenEffect(cause) {
		_ = r.closeIntent(ctx, in) // else it is rolled back later, finding nothing
		return cause
	}
	// An answer that never came may still be on its way at Adobe.
	var answered *console.Error
	in.settled = errors.As(cause, &answered) && r.host.Clock.Since(in.Began) < r.state.Config.RequestTimeout
	r.state.Intents = append(r.state.Intents, in)
	r.state.Goal, r.cause = clearUp, cause
	return nil
}

// keep stores the secret that was added. If the config is of another credential
// by now, or has another secret, the secret is removed: nobody wants it any
// more.
func (r *run) keep(ctx context.Context, in intent, added *console.NewSecret) error {
	err := r.change(ctx, func(c *credential.Credential) {
		c.Pending = &credential.Secret{
			Value: added.Value, UUID: added.UUID, ListedBefore: in.Known, Added: in.Began, Ours: true,
		}
	})
	switch {
	case errors.Is(err, ErrChanged), advice.IsMissing(err):
		r.discard(ctx, in, added.UUID)
		return err
	case err != nil:
		return err // the rollback removes the secret, which nobody knows now
	}
	r.state.Intents = append(r.state.Intents, in)
	r.state.Proof = proof{}
	return nil
}

// discard removes a secret that was added for what the config was before. What
// cannot be removed stays on record.
func (r *run) discard(ctx context.Context, in intent, uuid string) {
	if uuid == "" {
		if err := r.look(ctx); err == nil {
			if found := in.lost(r.state.Listing, r.state.Config); len(found) == 1 {
				uuid = found[0].UUID
			}
		}
	}
	err := errNotTold
	if uuid != "" {
		if err = r.remove(ctx, uuid); err == nil {
			err = r.closeIntent(ctx, in)
		}
	}
	if err != nil {
		r.host.Log.Warn("a client secret that was added while its config was changed could not be removed", "config", r.name, "client_id", in.ClientID, "client_secret_uuid", uuid, "error", err)
		return
	}
	r.host.Log.Info("a client secret that was added while its config was changed was removed", "config", r.name, "client_secret_uuid", uuid)
}

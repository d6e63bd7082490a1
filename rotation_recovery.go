// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/locksutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
)

// intentKind marks the WAL entries of rotations.
const intentKind = "rotate-client-secret"

// intent is on record while a secret is being added. A secret that then appears
// in the Developer Console is of this engine if it was created in the moment of
// the request, by Adobe's own clock, and has never been used: its value was lost
// on the way.
type intent struct {
	Config   string   `json:"config"`
	ClientID string   `json:"client_id"`
	Known    []string `json:"known"` // uuids listed before
	// From and Until enclose the moment, by the console's clock.
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
}

const (
	// The console tells its time in whole seconds.
	intentMarginBefore = 2 * time.Second
	// intentMarginAfter is how long after the time limit of the request it may
	// still take effect.
	intentMarginAfter = 5 * time.Second

	// intentMarginSend is how late the request may be sent: storage takes its
	// time, and so does its turn at the gate.
	intentMarginSend = 2 * time.Second

	// listingLag is how long after it was added a secret may be missing from
	// the list. Adobe documents nothing about it.
	listingLag = 10 * time.Minute

	// intentMaxAge is how long clearing up is tried.
	intentMaxAge = 7 * 24 * time.Hour
)

func newIntent(r *rotation, before *console.Listing, now time.Time) *intent {
	at := before.Time
	if at.IsZero() {
		at = now
	}
	in := &intent{
		Config:   r.name,
		ClientID: r.config.ClientID,
		From:     at.Add(-intentMarginBefore),
		Until:    at.Add(r.config.RequestTimeout + intentMarginSend + intentMarginAfter),
	}
	for _, s := range before.Secrets {
		in.Known = append(in.Known, s.UUID)
	}
	return in
}

// lost finds the secret that the intent brought about, if there is one.
func (in *intent) lost(listing *console.Listing, c *config) (found []console.ClientSecret) {
	for _, s := range listing.Secrets {
		switch {
		case slices.Contains(in.Known, s.UUID), s.UUID == c.SecretUUID:
		case c.Pending != nil && (c.Pending.UUID == s.UUID || c.Pending.UUID == ""):
		case slices.ContainsFunc(c.Retired, func(old clientSecret) bool { return old.UUID == s.UUID }):
		case s.Created.Before(in.From), s.Created.After(in.Until), !s.LastUsed.IsZero():
		default:
			found = append(found, s)
		}
	}
	return found
}

// over tells whether the request can no longer take effect, and its effect
// would be listed.
func (in *intent) over(listing *console.Listing, now time.Time) bool {
	if !listing.Time.IsZero() {
		now = listing.Time
	}
	return now.After(in.Until.Add(listingLag))
}

// addFailed clears up after a failed attempt to add a secret, as far as it can be
// told at once what came of it. Otherwise the intent stays on record, narrowed
// down to the moment of the attempt.
func (r *rotation) addFailed(ctx context.Context, wal string, in *intent, cause error, timedOut bool) {
	var failed *console.Error
	if errors.As(cause, &failed) && !failed.MayHaveTakenEffect() {
		_ = framework.DeleteWAL(ctx, r.storage, wal) // else it is rolled back later, finding nothing
		return
	}
	done, listing, err := r.rollBack(ctx, in)
	switch {
	case done:
		_ = framework.DeleteWAL(ctx, r.storage, wal)
	case err != nil || listing.Time.IsZero() || timedOut:
		// It can still take effect, or nothing better is known.
	default:
		narrow := *in
		narrow.Until = listing.Time.Add(time.Second) // the console tells whole seconds
		if _, err := framework.PutWAL(ctx, r.storage, intentKind, &narrow); err == nil {
			_ = framework.DeleteWAL(ctx, r.storage, wal)
		}
	}
}

// clearUp finishes what an interrupted rotation began: it removes a secret whose
// value was lost, and proves a pending one, which finishes the rotation. It does
// not wait for the WAL's minimum age.
func (r *rotation) clearUp(ctx context.Context) (finished bool, err error) {
	ids, err := framework.ListWAL(ctx, r.storage)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		if err := r.clearUpEntry(ctx, id); err != nil {
			return false, err
		}
	}
	if r.config.Pending == nil {
		return false, nil
	}
	err = r.prove(ctx, provingTimeout)
	if !isInvalidClient(err) {
		return err == nil, err
	}
	listing, listErr := r.console.List(ctx, r.Token, r.credential())
	if pending := r.config.Pending.UUID; listErr == nil && pending != "" && !lists(listing, pending) && r.b.tokens.clock.Since(r.config.Pending.Added) > listingLag {
		return false, r.giveUpPending(ctx) // somebody removed it
	}
	return false, err
}

func (r *rotation) clearUpEntry(ctx context.Context, id string) error {
	entry, err := framework.GetWAL(ctx, r.storage, id)
	if err != nil || entry == nil || entry.Kind != intentKind {
		return err
	}
	in, err := decodeIntent(entry.Data)
	if err != nil || in.Config != r.name {
		return err
	}
	done, _, err := r.rollBack(ctx, in)
	if err != nil || !done {
		return err
	}
	return framework.DeleteWAL(ctx, r.storage, id)
}

func lists(listing *console.Listing, uuid string) bool {
	return slices.ContainsFunc(listing.Secrets, func(s console.ClientSecret) bool { return s.UUID == uuid })
}

// rollBack removes the secret that was added for an intent and lost. It is done
// when none is left and none can appear any more.
func (r *rotation) rollBack(ctx context.Context, in *intent) (done bool, listing *console.Listing, err error) {
	if in.ClientID != r.config.ClientID {
		r.b.Logger().Warn("a rotation was interrupted, and its config has another client ID now: a client secret may be left in the Developer Console", "config", r.name, "client_id", in.ClientID)
		return true, nil, nil
	}
	listing, err = r.console.List(ctx, r.Token, r.credential())
	if err != nil {
		return false, nil, err
	}
	found := in.lost(listing, r.config)
	switch len(found) {
	case 0:
		return in.over(listing, r.b.tokens.clock.Now()), listing, nil
	case 1:
		if err := r.console.Remove(ctx, r.Token, r.credential(), found[0].UUID); err != nil {
			return false, listing, err
		}
		r.b.Logger().Info("a client secret whose value was lost in an interrupted rotation was removed", "config", r.name, "client_secret_uuid", found[0].UUID)
		r.b.event(ctx, "secret-remove", configPrefix+r.name, "config", r.name, "client_secret_uuid", found[0].UUID)
		return true, listing, nil
	}
	return false, listing, &operatorError{fmt.Sprintf("a rotation of config/%s was interrupted, and which of the client secrets %s it added cannot be told: remove the one that nobody knows in the Developer Console", r.name, strangers(&console.Listing{Secrets: found}, ""))}
}

// giveUpPending removes a secret that IMS does not accept.
func (r *rotation) giveUpPending(ctx context.Context) error {
	pending := *r.config.Pending
	if pending.UUID == "" {
		listing, err := r.console.List(ctx, r.Token, r.credential())
		if err != nil {
			return err
		}
		pending.UUID = onlyUnknown(listing, pending.Known)
	}
	if pending.UUID != "" {
		if err := r.console.Remove(ctx, r.Token, r.credential(), pending.UUID); err != nil {
			return err
		}
	}
	next := *r.config
	next.Pending = nil
	if err := r.store(ctx, &next); err != nil {
		return err
	}
	r.b.Logger().Warn("a client secret that IMS never accepted was removed; the old one stays in use", "config", r.name, "client_secret_uuid", pending.UUID)
	r.b.event(ctx, "secret-remove", configPrefix+r.name, "config", r.name, "client_secret_uuid", pending.UUID)
	return nil
}

// walRollback is Vault's call for entries that no rotation has cleared up.
func (b *backend) walRollback(ctx context.Context, req *logical.Request, kind string, data any) error {
	if kind != intentKind {
		return fmt.Errorf("unknown kind of WAL entry: %q", kind)
	}
	in, err := decodeIntent(data)
	if err != nil {
		return err
	}
	lock := locksutil.LockForKey(b.configLocks, in.Config)
	lock.Lock()
	defer lock.Unlock()
	err = b.withManagement(ctx, req.Storage, in.Config, func(r *rotation) error {
		done, _, err := r.rollBack(ctx, in)
		if err == nil && !done {
			err = errors.New("the interrupted rotation can still take effect")
		}
		return err
	})
	var missing *missingError
	if errors.As(err, &missing) || err != nil && b.tokens.clock.Now().Sub(in.Until) > intentMaxAge {
		b.Logger().Error("what an interrupted rotation left behind cannot be cleared up: a client secret may be left in the Developer Console",
			"config", in.Config, "client_id", in.ClientID, "since", timestamp(in.From), "error", err)
		return nil
	}
	return err
}

func decodeIntent(data any) (*intent, error) {
	encoded, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	in := &intent{}
	return in, json.Unmarshal(encoded, in)
}

// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
)

// intentKind marks the WAL entries of this package.
const intentKind = "rotate-client-secret"

// intent is on record while a secret is being added. A secret that then appears
// in the Developer Console is of this engine if it was created in the moment of
// the request, by Adobe's own clock, and has never been used: its value was
// lost on the way.
type intent struct {
	Config   string   `json:"config"`
	ClientID string   `json:"client_id"`
	Known    []string `json:"known"` // uuids listed before

	// From and Until enclose the moment, by the console's clock.
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`

	// Began is the same moment by this node's clock. The pending secret that the
	// request brought has it as Added. It is zero in entries of older versions,
	// as what follows is empty in them.
	Began        time.Time `json:"began,omitzero"`
	ConsoleURL   string    `json:"console_url,omitempty"`
	ConsoleOrgID string    `json:"console_org_id,omitempty"`
	CredentialID string    `json:"credential_id,omitempty"`

	// id names the entry in the WAL.
	id string

	// settled is set where the request has ended by itself in this run, so that
	// what it brought about was created before the console's next answer.
	settled bool
}

const (
	// intentMarginBefore covers that the console tells its time in whole seconds.
	intentMarginBefore = 2 * time.Second

	// intentMarginSend is how late the request may be sent: storage takes its
	// time, and so does the request's turn.
	intentMarginSend = 5 * time.Second

	// intentMarginAfter is how long after the time limit of the request it may
	// still take effect.
	intentMarginAfter = 5 * time.Second

	// listingLag is how long after it was added a secret may be missing from
	// the list. Adobe documents nothing about it.
	listingLag = 10 * time.Minute

	// intentMaxAge is how long clearing up is tried.
	intentMaxAge = 7 * 24 * time.Hour
)

// newIntent is the intent to add a secret now. The listing is the last, and
// came at listedAt by this node's clock.
func newIntent(name string, c *credential.Credential, listing *console.Listing, listedAt, now time.Time) intent {
	at := now
	if !listing.Time.IsZero() {
		at = listing.Time.Add(now.Sub(listedAt))
	}
	in := intent{
		Config:       name,
		ClientID:     c.ClientID,
		From:         at.Add(-intentMarginBefore),
		Until:        at.Add(c.RequestTimeout + intentMarginSend + intentMarginAfter),
		Began:        now,
		ConsoleURL:   c.ConsoleURL,
		ConsoleOrgID: c.ConsoleOrgID,
		CredentialID: c.CredentialID,
	}
	for _, s := range listing.Secrets {
		in.Known = append(in.Known, s.UUID)
	}
	return in
}

// narrowed is the intent of a request that has ended, and took effect before
// the console answered the listing if it did at all. The console tells whole
// seconds.
func (in intent) narrowed(listing *console.Listing) intent {
	in.Until = listing.Time.Add(time.Second)
	return in
}

// canNarrow reports whether more is known of the moment than the intent says.
func (in intent) canNarrow(listing *console.Listing) bool {
	return in.settled && !listing.Time.IsZero() && listing.Time.Add(time.Second).Before(in.Until)
}

// isOf reports whether the intent is about the credential that a config has.
func (in intent) isOf(c *credential.Credential) bool {
	if in.ClientID != c.ClientID {
		return false
	}
	return in.ConsoleURL == "" ||
		in.ConsoleURL == c.ConsoleURL && in.ConsoleOrgID == c.ConsoleOrgID && in.CredentialID == c.CredentialID
}

// broughtPending reports whether the pending secret is what the intent was
// about.
func (in intent) broughtPending(c *credential.Credential) bool {
	return c.Pending != nil && !in.Began.IsZero() && in.Began.Equal(c.Pending.Added)
}

// encloses reports whether a secret was created in the moment of the request.
func (in intent) encloses(s console.ClientSecret) bool {
	return !s.Created.Before(in.From) && !s.Created.After(in.Until)
}

// lost are the listed secrets that the intent may have brought about: nobody
// knows their values.
func (in intent) lost(listing *console.Listing, c *credential.Credential) (found []console.ClientSecret) {
	if c.Pending != nil && c.Pending.UUID == "" {
		return nil // it may be any of them
	}
	for _, s := range listing.Secrets {
		if !slices.Contains(in.Known, s.UUID) && !knows(c, s.UUID) && in.encloses(s) && s.LastUsed.IsZero() {
			found = append(found, s)
		}
	}
	return found
}

// over reports whether the request can no longer take effect, and its effect
// would be listed.
func (in intent) over(listing *console.Listing, now time.Time) bool {
	if !listing.Time.IsZero() {
		now = listing.Time
	}
	return now.After(in.Until.Add(listingLag))
}

// knows reports whether the config has a secret of that uuid.
func knows(c *credential.Credential, uuid string) bool {
	return c.UUID == uuid || c.Pending != nil && c.Pending.UUID == uuid || isRetired(c, uuid)
}

func isRetired(c *credential.Credential, uuid string) bool {
	return slices.ContainsFunc(c.Retired, func(old credential.Secret) bool { return old.UUID == uuid })
}

func lists(listing *console.Listing, uuid string) bool {
	return slices.ContainsFunc(listing.Secrets, func(s console.ClientSecret) bool { return s.UUID == uuid })
}

// openIntents reads the intents that are on record for a config, whichever
// credential it had then.
func openIntents(ctx context.Context, s logical.Storage, name string) ([]intent, error) {
	ids, err := framework.ListWAL(ctx, s)
	if err != nil {
		return nil, err
	}
	var found []intent
	for _, id := range ids {
		entry, err := framework.GetWAL(ctx, s, id)
		if err != nil {
			return nil, err
		}
		if entry == nil || entry.Kind != intentKind {
			continue
		}
		in, err := decodeIntent(entry.Data)
		if err != nil {
			return nil, err
		}
		if in.Config == name {
			in.id = id
			found = append(found, in)
		}
	}
	return found, nil
}

func decodeIntent(data any) (in intent, err error) {
	encoded, err := json.Marshal(data)
	if err == nil {
		err = json.Unmarshal(encoded, &in)
	}
	return in, err
}

// same reports whether two intents are of one request.
func (in intent) same(other intent) bool {
	return in.Config == other.Config && in.ClientID == other.ClientID &&
		in.From.Equal(other.From) && in.Began.Equal(other.Began)
}

// started is when the request was begun, by this node's clock as far as that is
// known.
func (in intent) started() time.Time {
	if in.Began.IsZero() {
		return in.From
	}
	return in.Began
}

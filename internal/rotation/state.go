// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
)

// maxSecrets is how many client secrets Adobe lets a credential have.
const maxSecrets = 2

// goal is what a run is for. Each includes what is before it.
type goal int

const (
	// clearUp ends what interrupted requests left at Adobe. It writes no config,
	// so that a node that may not write one can do it.
	clearUp goal = iota

	// tidy also proves a pending secret, and removes retired ones whose time has
	// come.
	tidy

	// rotate also puts another secret in the place of the current one.
	rotate
)

// state is all that the next step depends on.
type state struct {
	Name string // of the config
	Now  time.Time
	Goal goal

	// Config is what is stored. Intents are those on record for its credential.
	Config  *credential.Credential
	Intents []intent

	// Listing is the console's list of the secrets, which came at ListedAt by
	// this node's clock; nil if it is not known, or is out of date since a secret
	// was added or removed.
	Listing  *console.Listing
	ListedAt time.Time

	// Fallback is set if IMS refuses the current secret, and another one of the
	// config, which may be the last that works, did the work instead.
	Fallback bool

	// Tainted is set if the mount is being removed or moved.
	Tainted bool

	// Proof is what IMS said of the pending secret in this run.
	Proof proof

	// Rotated is set once this run has made a pending secret the current one.
	Rotated bool

	// Removed are the uuids of the secrets that this run has removed.
	Removed []string
}

// proof is what came of proving a pending secret. The zero value is that nobody
// has tried in this run.
type proof struct {
	Accepted bool
	Refusals int       // how often IMS refused it
	First    time.Time // when it did so first
	Last     time.Time // when it did so last
	Err      error     // its refusal
}

const (
	// provingTime is how long a rotation waits for IMS to accept the new secret.
	// Adobe does not say how soon it does. The background goes on.
	provingTime = 30 * time.Second

	// provingPeriod is how long a secret that IMS does not accept is tried before
	// it is given up.
	provingPeriod = time.Hour

	minProvingPause = time.Second
	maxProvingPause = 8 * time.Second
)

// retryAt is when IMS is asked again; zero if not in a run with this goal.
func (p proof) retryAt(g goal) time.Time {
	pause := min(minProvingPause<<min(p.Refusals-1, 10), maxProvingPause)
	at := p.Last.Add(pause)
	if g < rotate || at.After(p.First.Add(provingTime)) {
		return time.Time{}
	}
	return at
}

// currentUUID finds the current secret among those listed: by its uuid if that
// is known, else as the only one that is not known to be another.
func (s state) currentUUID() (string, error) {
	if s.Config.UUID != "" {
		if !lists(s.Listing, s.Config.UUID) {
			return "", s.currentNotListed()
		}
		return s.Config.UUID, nil
	}
	var candidates []string
	for _, listed := range s.Listing.Secrets {
		if !isRetired(s.Config, listed.UUID) {
			candidates = append(candidates, listed.UUID)
		}
	}
	if len(candidates) != 1 {
		return "", s.currentNotKnown()
	}
	return candidates[0], nil
}

// mayBePending are the listed secrets of which each could be the pending one,
// whose uuid is not known.
func (s state) mayBePending() (found []console.ClientSecret) {
	i := slices.IndexFunc(s.Intents, func(in intent) bool { return in.broughtPending(s.Config) })
	for _, listed := range s.Listing.Secrets {
		switch {
		case slices.Contains(s.Config.Pending.ListedBefore, listed.UUID), knows(s.Config, listed.UUID):
		case i >= 0 && !listed.Created.IsZero() && !s.Intents[i].encloses(listed):
		default:
			found = append(found, listed)
		}
	}
	return found
}

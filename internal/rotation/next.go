// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
)

// Action is what a step does.
type Action string

// The actions. The package's documentation has the table of when each is taken.
const (
	// Look: ask the console for its list.
	Look Action = "look"

	// RemoveLost: remove a secret that an interrupted request added, and whose
	// value nobody knows.
	RemoveLost Action = "remove lost"

	// CloseIntent: forget an intent. What it brought about is known, or nothing
	// can come of it any more.
	CloseIntent Action = "close intent"

	// NarrowIntent: put on record that the request ended, so that a secret that
	// somebody adds from now on is not taken for its effect.
	NarrowIntent Action = "narrow intent"

	// NameCurrent, NamePending: store the secret's uuid, which the list told.
	NameCurrent Action = "name current"
	NamePending Action = "name pending"

	// Prove: ask IMS for a token with the pending secret.
	Prove Action = "prove"

	// Wait: do nothing until a moment.
	Wait Action = "wait"

	// Promote: make the pending secret the current one, and retire that.
	Promote Action = "promote"

	// GiveUp: remove a pending secret that IMS does not accept.
	GiveUp Action = "give up"

	// MakeRoom: remove a retired secret, before its time if need be, because
	// Adobe lets a credential have two.
	MakeRoom Action = "make room"

	// Add: add a secret, and store it as the pending one.
	Add Action = "add"

	// RemoveRetired: remove a retired secret whose time has come.
	RemoveRetired Action = "remove retired"

	// Keep: forget that a secret was retired. It is the current one.
	Keep Action = "keep"

	// AskOperator: somebody has to put something right first.
	AskOperator Action = "ask operator"

	// Postpone: nobody can do anything now, so the run ends without having
	// reached its goal.
	Postpone Action = "postpone"

	// Done: the goal is reached.
	Done Action = "done"
)

// step is an action and what goes with it.
type step struct {
	Action Action
	Intent intent    // to RemoveLost, CloseIntent or NarrowIntent
	UUID   string    // of the secret; empty if it is to be removed and Adobe has it no more
	Until  time.Time // to Wait
	Err    error     // to AskOperator or Postpone
}

func (s step) isNone() bool { return s.Action == "" }

// next decides what a run does in a state.
func next(s state) step {
	parts := []func(state) step{intentStep}
	if s.Goal >= tidy {
		parts = append(parts, pendingStep)
	}
	if s.Goal >= rotate && !s.Rotated {
		parts = append(parts, newSecretStep)
	}
	if s.Goal >= tidy {
		parts = append(parts, retiredStep)
	}
	for _, part := range parts {
		if step := part(s); !step.isNone() {
			return step
		}
	}
	return step{Action: Done}
}

// intentStep clears up after requests to add a secret. It leaves those alone of
// which something can still come.
func intentStep(s state) step {
	for _, in := range s.Intents {
		if in.broughtPending(s.Config) {
			if s.Config.Pending.UUID != "" {
				return step{Action: CloseIntent, Intent: in}
			}
			continue // it tells which of the listed secrets is the pending one
		}
		if s.Listing == nil {
			return step{Action: Look}
		}
		switch found := in.lost(s.Listing, s.Config); {
		case len(found) > 1:
			return step{Action: AskOperator, Err: s.lostNotTold(found)}
		case len(found) == 1 && s.Config.UUID == "" && !s.Config.Set.Before(in.started()):
			// The operator has written a secret since: it could be this very one.
			return s.nameCurrent()
		case len(found) == 1:
			return step{Action: RemoveLost, Intent: in, UUID: found[0].UUID}
		case in.over(s.Listing, s.Now):
			return step{Action: CloseIntent, Intent: in}
		case in.canNarrow(s.Listing):
			return step{Action: NarrowIntent, Intent: in}
		}
	}
	return step{}
}

// pendingStep proves a pending secret, or gives it up.
func pendingStep(s state) step {
	if s.Config.Pending == nil {
		return step{}
	}
	switch {
	case s.Proof.Accepted:
		return s.promote()
	case s.Proof.Refusals == 0:
		return s.firstProof()
	}
	age := s.Now.Sub(s.Config.Pending.Added)
	switch retryAt := s.Proof.retryAt(s.Goal); {
	case age > provingPeriod:
		return s.giveUp()
	case age > listingLag && s.Config.Pending.UUID != "" && s.Listing == nil:
		return step{Action: Look}
	case age > listingLag && s.Config.Pending.UUID != "" && !lists(s.Listing, s.Config.Pending.UUID):
		return step{Action: GiveUp} // somebody has removed it
	case retryAt.IsZero():
		return step{Action: Postpone, Err: s.notProven(s.Proof.Err)}
	case s.Now.Before(retryAt):
		return step{Action: Wait, Until: retryAt}
	}
	return step{Action: Prove}
}

// firstProof is the step before the pending secret is proven. Its uuid is found
// out as early as can be: once it is used, it cannot be told from somebody
// else's.
func (s state) firstProof() step {
	if s.Config.Pending.UUID != "" {
		return step{Action: Prove}
	}
	if s.Listing == nil {
		return step{Action: Look}
	}
	if found := s.mayBePending(); len(found) == 1 {
		return step{Action: NamePending, UUID: found[0].UUID}
	}
	return step{Action: Prove}
}

// promote is the step after IMS accepted the pending secret. Which one it is at
// Adobe has to be known first: it is removed there one day.
func (s state) promote() step {
	if s.Config.Pending.UUID != "" {
		return step{Action: Promote}
	}
	if s.Listing == nil {
		return step{Action: Look}
	}
	found := s.mayBePending()
	switch {
	case len(found) == 1:
		return step{Action: NamePending, UUID: found[0].UUID}
	case len(found) == 0 && s.Now.Sub(s.Config.Pending.Added) <= listingLag:
		return step{Action: Postpone, Err: s.pendingNotListed()}
	}
	return step{Action: AskOperator, Err: s.pendingNotTold()}
}

func (s state) giveUp() step {
	if uuid := s.Config.Pending.UUID; uuid != "" {
		return step{Action: GiveUp, UUID: uuid}
	}
	if s.Listing == nil {
		return step{Action: Look}
	}
	var unused []string // since IMS never accepted it
	for _, listed := range s.mayBePending() {
		if listed.LastUsed.IsZero() {
			unused = append(unused, listed.UUID)
		}
	}
	switch len(unused) {
	case 0:
		return step{Action: GiveUp} // somebody has removed it
	case 1:
		return step{Action: GiveUp, UUID: unused[0]}
	}
	return step{Action: AskOperator, Err: s.pendingNotTold()}
}

// newSecretStep makes room for another secret, and adds it.
func newSecretStep(s state) step {
	switch {
	case s.Fallback:
		return step{Action: AskOperator, Err: s.currentRefused()}
	case s.Tainted:
		return step{Action: AskOperator, Err: s.tainted()}
	case s.Listing == nil:
		return step{Action: Look}
	case s.Config.UUID == "" || !lists(s.Listing, s.Config.UUID):
		return s.nameCurrent()
	case len(s.Listing.Secrets) < maxSecrets:
		return step{Action: Add}
	}
	for _, uuid := range s.Removed {
		if lists(s.Listing, uuid) {
			return step{Action: Postpone, Err: s.stillListed(uuid)}
		}
	}
	for _, old := range s.Config.Retired {
		switch {
		case old.UUID == s.Config.UUID:
			return step{Action: Keep, UUID: old.UUID}
		case lists(s.Listing, old.UUID):
			return step{Action: MakeRoom, UUID: old.UUID}
		}
	}
	return step{Action: AskOperator, Err: s.noRoom()}
}

func (s state) nameCurrent() step {
	uuid, err := s.currentUUID()
	if err != nil {
		return step{Action: AskOperator, Err: err}
	}
	return step{Action: NameCurrent, UUID: uuid}
}

// retiredStep removes retired secrets whose time has come.
func retiredStep(s state) step {
	due := s.Config.DueForRemoval(s.Now)
	switch {
	case len(due) == 0:
		return step{}
	case due[0].UUID == s.Config.UUID:
		return step{Action: Keep, UUID: due[0].UUID}
	case s.Fallback:
		return step{Action: AskOperator, Err: s.currentRefused()}
	case s.mayBeCurrent(due[0]):
		return step{Action: AskOperator, Err: s.currentMayBe(due[0].UUID)}
	case s.Listing == nil:
		// To a removal the console answers 404 for a secret that is gone, and
		// perhaps for a credential that it does not know. The list tells.
		return step{Action: Look}
	}
	return step{Action: RemoveRetired, UUID: due[0].UUID}
}

// mayBeCurrent reports whether a retired secret could be the current one:
// neither the values nor the uuids of both are known.
func (s state) mayBeCurrent(old credential.Secret) bool {
	return s.Config.UUID == "" && old.Value == ""
}

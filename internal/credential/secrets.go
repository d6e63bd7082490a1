// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"fmt"
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// Secrets are the client secrets of a credential. One is current. A rotation
// adds a pending one, which is proven before it becomes current, and retires
// the one before, which goes on working until it is removed at Adobe.
//
// The methods return other Secrets and share nothing that is changed.
type Secrets struct {
	Current secret.Secret `json:"client_secret"`
	UUID    string        `json:"client_secret_uuid,omitempty"` // of the current secret, if known
	Added   bool          `json:"secret_added,omitempty"`       // a rotation added the current secret
	Set     time.Time     `json:"secret_set"`                   // when the current secret was written or rotated in
	Pending *Secret       `json:"pending_secret,omitempty"`
	Retired []Secret      `json:"retired_secrets,omitempty"` // oldest first
	Former  []Former      `json:"former_secrets,omitempty"`  // oldest first
}

// Format implements fmt.Formatter, also for a Credential: fmt does not find the
// Formatter of a secret behind a pointer with every verb.
func (Secrets) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[client secrets]")) }

// Secret is a client secret beside the current one.
type Secret struct {
	// Value is empty if it must not be used any more.
	Value secret.Secret `json:"value"`
	// UUID names the secret in the Developer Console; empty if its answer did
	// not have it.
	UUID string `json:"uuid,omitempty"`
	// ListedBefore are the uuids that were listed before the secret was added.
	ListedBefore []string `json:"known,omitempty"`
	// Added is when the engine added it.
	Added time.Time `json:"added,omitzero"`
	// Ours is set if the engine added it.
	Ours bool `json:"ours,omitempty"`
	// Rotated is when a rotation put another in its place; zero if none did.
	Rotated time.Time `json:"rotated,omitzero"`
	// RemoveAt is when a retired secret is removed at Adobe.
	RemoveAt time.Time `json:"remove_at,omitzero"`
}

// Values are the secrets that may be good, in the order in which they are
// tried.
func (s Secrets) Values() []secret.Secret {
	values := []secret.Secret{s.Current}
	if s.Pending != nil && s.Pending.Value != "" {
		values = append(values, s.Pending.Value)
	}
	for _, retired := range slices.Backward(s.Retired) {
		if retired.Value != "" {
			values = append(values, retired.Value)
		}
	}
	return values
}

// Replaced makes a secret current that an operator gave. Those that the engine
// had added must not be left behind at Adobe: the current one is retired, and a
// pending one. One that the operator takes back must not be removed there.
func (s Secrets) Replaced(value secret.Secret, now time.Time, previousTTL time.Duration) Secrets {
	if value == s.Current {
		return s
	}
	others := slices.Clone(s.Retired)
	if p := s.Pending; p != nil && (p.UUID != "" || p.Value == value) {
		others = append(others, Secret{Value: p.Value, UUID: p.UUID, Ours: true, RemoveAt: now})
	}
	if s.Added && s.UUID != "" {
		others = append(others, s.retired(now, previousTTL))
	}
	next := Secrets{Current: value, Set: now}
	for _, other := range others {
		if other.Value == value {
			next.UUID, next.Added = other.UUID, other.Ours
		} else {
			next.Retired = append(next.Retired, other)
		}
	}
	next.Former = slices.DeleteFunc(slices.Clone(s.Former), func(f Former) bool { return f.is(value) })
	return next
}

// Promoted makes the pending secret current and retires the one before.
func (s Secrets) Promoted(now time.Time, previousTTL time.Duration) Secrets {
	old := s.retired(now, previousTTL)
	old.Rotated = now
	s.Retired = append(slices.Clone(s.Retired), old)
	s.Current, s.UUID, s.Added, s.Set = s.Pending.Value, s.Pending.UUID, true, now
	s.Pending = nil
	return s
}

// retired is the current secret as the one before.
func (s Secrets) retired(now time.Time, previousTTL time.Duration) Secret {
	return Secret{Value: s.Current, UUID: s.UUID, Ours: s.Added, RemoveAt: now.Add(previousTTL)}
}

// OnlyCurrent drops all that is known of the secrets but the current one's
// value: the credential is replaced by another.
func (s Secrets) OnlyCurrent() Secrets { return Secrets{Current: s.Current, Set: s.Set} }

// WithoutOtherValues makes sure that no secret that was given for one server,
// or obtained from it, gets to another. The secrets beside the current one are
// still to be removed, but are not tried any more.
func (s Secrets) WithoutOtherValues(now time.Time) Secrets {
	retired := slices.Clone(s.Retired)
	if s.Pending != nil && s.Pending.UUID != "" {
		retired = append(retired, Secret{UUID: s.Pending.UUID, RemoveAt: now})
	}
	for i := range retired {
		s.Former = withFormer(s.Former, retired[i])
		retired[i].Value = ""
	}
	s.Retired, s.Pending = retired, nil
	return s
}

// DueForRemoval are the retired secrets whose time has come.
func (s Secrets) DueForRemoval(now time.Time) (due []Secret) {
	for _, retired := range s.Retired {
		if !now.Before(retired.RemoveAt) {
			due = append(due, retired)
		}
	}
	return due
}

// Without leaves a retired secret out that was removed at Adobe. What a
// rotation retired is recognised from then on.
func (s Secrets) Without(uuid string) Secrets {
	var left []Secret
	for _, retired := range s.Retired {
		if retired.UUID == uuid {
			s.Former = withFormer(s.Former, retired)
		} else {
			left = append(left, retired)
		}
	}
	s.Retired = left
	return s
}

// OtherUUIDs are those of the secrets beside the current one.
func (s Secrets) OtherUUIDs() (uuids []string) {
	for _, retired := range s.Retired {
		uuids = append(uuids, retired.UUID)
	}
	if s.Pending != nil {
		uuids = append(uuids, s.Pending.UUID)
	}
	return uuids
}

// LostTrackOf names the secrets that were known before and are no more: nobody
// removes them at Adobe now.
func (s Secrets) LostTrackOf(before Secrets) (lost []string) {
	known := append(s.OtherUUIDs(), s.UUID)
	for _, uuid := range before.OtherUUIDs() {
		if uuid != "" && !slices.Contains(known, uuid) {
			lost = append(lost, uuid)
		}
	}
	if p := before.Pending; p != nil && p.UUID == "" && s.Pending == nil && s.Current != p.Value {
		lost = append(lost, "one whose uuid is not known")
	}
	return lost
}

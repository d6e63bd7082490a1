// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// A config's client secrets. One is current. A rotation adds a pending one,
// which is proven before it becomes current, and retires the one before, which
// goes on working until it is removed at Adobe.

// clientSecret is a client secret beside the current one.
type clientSecret struct {
	Value ims.Secret `json:"value"`
	// UUID names the secret in the Developer Console; empty if its answer did
	// not have it.
	UUID string `json:"uuid,omitempty"`
	// Known are the uuids that were listed before the secret was added.
	Known []string `json:"known,omitempty"`
	// Added is when the engine added it.
	Added time.Time `json:"added,omitzero"`
	// Ours tells that the engine added it.
	Ours bool `json:"ours,omitempty"`
	// RemoveAt is when a retired secret is removed at Adobe.
	RemoveAt time.Time `json:"remove_at,omitzero"`
}

// credential is the config's credential with its current client secret.
func (c *config) credential() ims.Credential { return c.credentialWith(c.ClientSecret) }

func (c *config) credentialWith(secret ims.Secret) ims.Credential {
	return ims.Credential{ClientID: c.ClientID, ClientSecret: secret, OrgID: c.OrgID}
}

// withCredential calls IMS with the current client secret and, where IMS does
// not accept that, with the others that may be good: the pending one and the
// retired ones. The error is that of the current one.
func (c *config) withCredential(call func(ims.Credential) error) error {
	err := call(c.credential())
	if !isInvalidClient(err) {
		return err
	}
	others := slices.Clone(c.Retired)
	if c.Pending != nil {
		others = append(others, *c.Pending)
	}
	for _, other := range slices.Backward(others) {
		if other.Value == "" {
			continue
		}
		if otherErr := call(c.credentialWith(other.Value)); !isInvalidClient(otherErr) {
			return otherErr
		}
	}
	return err
}

func isInvalidClient(err error) bool {
	var failed *ims.Error
	return errors.As(err, &failed) && failed.Code == ims.CodeInvalidClient
}

// setSecret takes over a client secret that an operator gave. Those that the
// engine had added must not be left behind at Adobe: the current one is retired,
// and a pending one. One that the operator takes back must not be removed there.
func (c *config) setSecret(secret ims.Secret, now time.Time) {
	if secret == c.ClientSecret {
		return
	}
	others := slices.Clone(c.Retired)
	if p := c.Pending; p != nil && (p.UUID != "" || p.Value == secret) {
		others = append(others, clientSecret{Value: p.Value, UUID: p.UUID, Ours: true, RemoveAt: now})
	}
	if c.SecretAdded && c.SecretUUID != "" {
		others = append(others, c.retired(now))
	}
	taken := clientSecret{}
	c.Retired, c.Pending = nil, nil
	for _, other := range others {
		if other.Value == secret {
			taken = other
		} else {
			c.Retired = append(c.Retired, other)
		}
	}
	c.ClientSecret, c.SecretUUID, c.SecretAdded, c.SecretSet = secret, taken.UUID, taken.Ours, now
}

// promote makes the pending secret current and retires the one before.
func (c *config) promote(now time.Time) {
	c.Retired = append(slices.Clone(c.Retired), c.retired(now))
	c.ClientSecret, c.SecretUUID, c.SecretAdded, c.SecretSet = c.Pending.Value, c.Pending.UUID, true, now
	c.Pending = nil
}

// retired is the current secret as the one before.
func (c *config) retired(now time.Time) clientSecret {
	return clientSecret{Value: c.ClientSecret, UUID: c.SecretUUID, Ours: c.SecretAdded, RemoveAt: now.Add(c.PreviousSecretTTL)}
}

// forgetSecrets drops what is known of the secrets of a credential that is
// replaced by another.
func (c *config) forgetSecrets() {
	c.SecretUUID, c.SecretAdded, c.Pending, c.Retired, c.RotationFailure = "", false, nil, nil, nil
}

// keepSecretsHere makes sure that no secret that was given for one server, or
// obtained from it, gets to another. The secrets beside the current one are still
// to be removed, but are not tried any more.
func (c *config) keepSecretsHere(now time.Time) {
	c.Retired = slices.Clone(c.Retired)
	if c.Pending != nil && c.Pending.UUID != "" {
		c.Retired = append(c.Retired, clientSecret{UUID: c.Pending.UUID, RemoveAt: now})
	}
	c.Pending = nil
	for i := range c.Retired {
		c.Retired[i].Value = ""
	}
}

// dueToRetire are the retired secrets whose time has come.
func (c *config) dueToRetire(now time.Time) (due []clientSecret) {
	for _, r := range c.Retired {
		if !now.Before(r.RemoveAt) {
			due = append(due, r)
		}
	}
	return due
}

// without leaves a retired secret out.
func (c *config) without(uuid string) *config {
	next := *c
	next.Retired = slices.DeleteFunc(slices.Clone(c.Retired), func(r clientSecret) bool { return r.UUID == uuid })
	return &next
}

// rotates tells whether the config has what a rotation needs.
func (c *config) rotates() bool {
	return c.CredentialType == serverToServer && c.ConsoleOrgID != "" && c.CredentialID != ""
}

// rotationDue is when the current secret is rotated by period; zero for never.
func (c *config) rotationDue() time.Time {
	if c.RotationPeriod == 0 || !c.rotates() {
		return time.Time{}
	}
	return c.SecretSet.Add(c.RotationPeriod)
}

// leftovers are the uuids of the secrets beside the current one.
func (c *config) leftovers() (uuids []string) {
	for _, r := range c.Retired {
		uuids = append(uuids, r.UUID)
	}
	if c.Pending != nil {
		uuids = append(uuids, c.Pending.UUID)
	}
	return uuids
}

// forgot tells whether the config has lost sight of secrets that it knew before.
func (c *config) forgot(before *config) bool {
	return len(before.leftovers()) > 0 && len(c.leftovers()) == 0
}

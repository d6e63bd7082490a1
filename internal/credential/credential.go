// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// Credential is one credential of the Developer Console, as stored under
// config/<name>. It is never changed in place: a write stores another.
type Credential struct {
	Settings
	Secrets

	// RotationFailure is the last rotation, if that failed.
	RotationFailure *Failure `json:"rotation_failure,omitempty"`
}

// Failure is a rotation that failed.
type Failure struct {
	At    time.Time `json:"at"`
	Count int       `json:"count"` // of failures in a row
	Text  string    `json:"text"`
}

// Check is Settings.Check, and refuses a credential without a client secret.
func (c *Credential) Check() error {
	if err := c.Settings.Check(); err != nil {
		return err
	}
	if c.Current == "" {
		return advice.Field("client_secret", "required; the Developer Console shows it on the page of the credential")
	}
	return nil
}

// InOrder are the credentials with which IMS can be asked, in the order in
// which they are tried: with the current secret, then with the pending and the
// retired ones that have a value, the newest first.
func (c *Credential) InOrder() []ims.Credential {
	values := c.Values()
	inOrder := make([]ims.Credential, 0, len(values))
	for _, value := range values {
		inOrder = append(inOrder, c.With(value))
	}
	return inOrder
}

// With is the credential with one of its secrets.
func (c *Credential) With(value secret.Secret) ims.Credential {
	return ims.Credential{ClientID: c.ClientID, ClientSecret: value, OrgID: c.OrgID}
}

// AtConsole is what the Developer Console calls the credential.
func (c *Credential) AtConsole() console.Credential {
	return console.Credential{OrgID: c.ConsoleOrgID, CredentialID: c.CredentialID, ClientID: c.ClientID}
}

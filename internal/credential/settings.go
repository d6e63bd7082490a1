// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"fmt"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

// Type is a type of credential in the Developer Console.
type Type string

// The types that this engine obtains tokens for: the client's own, and a
// person's.
const (
	ServerToServer Type = "oauth_server_to_server"
	WebApp         Type = "oauth_web_app"
)

// title is what the Developer Console calls the type.
func (t Type) title() string {
	if t == WebApp {
		return "OAuth Web App"
	}
	return "OAuth Server-to-Server"
}

// Settings are what an operator writes of a credential, but for its secret.
type Settings struct {
	ClientID              string        `json:"client_id"`
	Type                  Type          `json:"credential_type"`
	OrgID                 string        `json:"org_id,omitempty"`       // ...@AdobeOrg
	RedirectURI           string        `json:"redirect_uri,omitempty"` // of a web app
	IMSURL                string        `json:"ims_url"`
	CACert                string        `json:"ca_cert,omitempty"`
	RequestTimeout        time.Duration `json:"request_timeout"`
	MaxRetries            int           `json:"max_retries"`
	AllowManagementScopes bool          `json:"allow_management_scopes,omitempty"`

	ConsoleOrgID string `json:"console_org_id,omitempty"` // the number in the console's URLs
	CredentialID string `json:"credential_id,omitempty"`  // the other one
	ConsoleURL   string `json:"console_url"`

	RotationPeriod    time.Duration `json:"rotation_period,omitempty"`   // 0 for none
	RotationSchedule  string        `json:"rotation_schedule,omitempty"` // cron in UTC; "" for none
	RotationWindow    time.Duration `json:"rotation_window,omitempty"`   // 0 without a schedule
	PreviousSecretTTL time.Duration `json:"previous_secret_ttl"`

	TechnicalAccountID    string `json:"technical_account_id,omitempty"`
	TechnicalAccountEmail string `json:"technical_account_email,omitempty"`

	// Scopes are those that an imported file has, for information.
	Scopes []string `json:"scopes,omitempty"`
}

// Defaults returns the Settings of a config of which nothing is given.
func Defaults() Settings {
	return Settings{
		Type:              ServerToServer,
		IMSURL:            ims.DefaultURL,
		RequestTimeout:    10 * time.Second,
		MaxRetries:        2,
		ConsoleURL:        console.DefaultURL,
		PreviousSecretTTL: time.Hour,
	}
}

// readerWait is how long a reader waits for IMS at most.
const readerWait = 50 * time.Second

// Warnings says what is allowed and hardly meant.
func (s *Settings) Warnings() (warnings []string) {
	if longest := time.Duration(s.MaxRetries+1) * s.RequestTimeout; longest > readerWait {
		warnings = append(warnings, fmt.Sprintf("max_retries=%d and request_timeout=%s: while IMS does not answer, a request goes on for %s, but nobody waits for it longer than %s: a reader without a living token gets an error before the last attempts are made",
			s.MaxRetries, advice.Span(s.RequestTimeout), advice.Span(longest), advice.Span(readerWait)))
	}
	if s.RotationSchedule != "" {
		if gap := shortestGap(s.RotationSchedule); gap < s.PreviousSecretTTL {
			warnings = append(warnings, fmt.Sprintf("rotation_schedule: comes round after %s, which is less than previous_secret_ttl (%s): the previous secret is then removed early, because Adobe allows two",
				advice.Span(gap), advice.Span(s.PreviousSecretTTL)))
		}
	}
	return warnings
}

// CanRotate reports whether the secret of the credential can be rotated:
// whether Adobe offers it, and the console's ids are known.
func (s *Settings) CanRotate() bool {
	return s.Type == ServerToServer && s.ConsoleOrgID != "" && s.CredentialID != ""
}

// SameServers reports whether the other Settings send the secret to the same
// places. A secret that was given for some must not get to others.
func (s *Settings) SameServers(other *Settings) bool {
	return s.IMSURL == other.IMSURL && s.ConsoleURL == other.ConsoleURL
}

// SameCredential reports whether the other Settings are of the same credential
// in the Developer Console, so that what is known of its secrets holds.
func (s *Settings) SameCredential(other *Settings) bool {
	return s.ClientID == other.ClientID && s.ConsoleOrgID == other.ConsoleOrgID && s.CredentialID == other.CredentialID
}

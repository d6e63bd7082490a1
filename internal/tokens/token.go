// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// Token is a token and what it was minted with. It is never changed in place.
type Token struct {
	AccessToken secret.Secret `json:"access_token"`
	Issued      time.Time     `json:"issued"`  // when the request for it was sent
	Expires     time.Time     `json:"expires"` // at the latest

	Identity
	Scopes []string `json:"scopes"` // asked for

	// Granted are the scopes that IMS granted; nil if it did not tell.
	Granted []string `json:"granted,omitempty"`

	// AccountID is whose token it is, by its own claims: of the technical account
	// or of a person. It may be empty.
	AccountID string `json:"account_id,omitempty"`

	// Condemned tokens are to be ended and are handed to nobody.
	Condemned bool `json:"condemned,omitempty"`
}

// Fits reports whether the token is what the spec would mint.
func (t *Token) Fits(s Spec) bool {
	return t.same(s.Identity) && slices.Equal(t.Scopes, s.Role.Scopes)
}

// Life is how long the token lives in all.
func (t *Token) Life() time.Duration { return t.Expires.Sub(t.Issued) }

// Remaining is how long the token has left to live.
func (t *Token) Remaining(now time.Time) time.Duration { return t.Expires.Sub(now) }

// HeldScopes are the scopes that the token has, as far as IMS told.
func (t *Token) HeldScopes() []string {
	if t.Granted != nil {
		return t.Granted
	}
	return t.Scopes
}

// MissingScopes are those that were asked for and not granted.
func (t *Token) MissingScopes() (missing []string) {
	held := t.HeldScopes()
	for _, scope := range t.Scopes {
		if !slices.Contains(held, scope) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// ScopesWarning names the scopes that are missing; empty if none is.
func (t *Token) ScopesWarning() string {
	missing := t.MissingScopes()
	if len(missing) == 0 {
		return ""
	}
	return "IMS granted fewer scopes than the role asks for. Missing: " + strings.Join(missing, ", ")
}

// String names the token without giving it away.
func (t *Token) String() string {
	return fmt.Sprintf("the token of %s (until %s)", t.Issued.UTC().Format(time.RFC3339), t.Expires.UTC().Format(time.RFC3339))
}

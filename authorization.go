// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

const (
	authorizationPrefix = "authorization/"
	statePrefix         = "state/"
)

// authorization is what a person granted to a role, as stored under
// authorization/<role>. It is local to the cluster, since a refresh token is
// good for one use.
type authorization struct {
	RefreshToken ims.Secret `json:"refresh_token"`
	Granted      time.Time  `json:"granted"`   // when the person consented
	Refreshed    time.Time  `json:"refreshed"` // when the refresh token was issued
	Expires      time.Time  `json:"expires"`   // when it lapses unless it is used

	Config   string   `json:"config"`
	ClientID string   `json:"client_id"`
	IMSURL   string   `json:"ims_url"`
	Scopes   []string `json:"scopes"`

	// Condemned ones are to be revoked and serve nobody.
	Condemned bool `json:"condemned,omitempty"`
}

func newAuthorization(g *ims.Grant, r *role, c *config, granted time.Time) *authorization {
	return &authorization{
		RefreshToken: g.RefreshToken,
		Granted:      granted,
		Refreshed:    g.Issued,
		Expires:      g.RefreshExpires,
		Config:       r.Config,
		ClientID:     c.ClientID,
		IMSURL:       c.IMSURL,
		Scopes:       r.Scopes,
	}
}

// keepAliveAt is when an authorization that nobody uses is refreshed: when half
// of the refresh token's life is over.
func (a *authorization) keepAliveAt() time.Time {
	return a.Refreshed.Add(a.Expires.Sub(a.Refreshed) / 2)
}

// authorizationError is a role that a person has to authorize, in words for the
// operator.
type authorizationError struct {
	role string
	why  string
	err  error // IMS's refusal, if it was asked
}

func (e *authorizationError) Error() string {
	return fmt.Sprintf("%s: role %q needs authorizing: read authorize/%s, and have the person open the authorize_url", e.why, e.role, e.role)
}

func (e *authorizationError) Unwrap() error { return e.err }

// usable returns an error if the role cannot be served with the authorization.
func (a *authorization) usable(name string, r *role, c *config) error {
	switch {
	case a == nil, a.Condemned:
		return &authorizationError{role: name, why: "nobody has authorized the role"}
	case !slices.Equal(a.Scopes, r.Scopes):
		return &authorizationError{role: name, why: "the role's scopes are not those that were authorized"}
	case a.ClientID != c.ClientID || a.IMSURL != c.IMSURL:
		return &authorizationError{role: name, why: "the role's config is not the one that was authorized"}
	}
	return nil
}

// revocable tells whether the config still has the credential that was
// authorized, without which IMS cannot be asked to revoke.
func (a *authorization) revocable(c *config) bool {
	return c != nil && c.ClientID == a.ClientID && c.IMSURL == a.IMSURL
}

// isRefusedGrant tells whether IMS refused a code or a refresh token. A wrong
// client secret is no fault of those.
func isRefusedGrant(err error) bool {
	var failed *ims.Error
	return errors.As(err, &failed) && failed.Kind == ims.Refused && !isInvalidClient(err) && failed.Code != ims.CodeUnauthorizedClient
}

// stateLife is how long a person has to sign in.
const stateLife = 10 * time.Minute

// maxStates limits how many sign-ins of a role can be under way.
const maxStates = 20

// signIn is a sign-in under way, as stored under the hash of its state: storage
// does not tell what a state is.
type signIn struct {
	Role     string     `json:"role"`
	Verifier ims.Secret `json:"verifier"`
	Expires  time.Time  `json:"expires"`
}

func stateKey(state string) string {
	hash := sha256.Sum256([]byte(state))
	return statePrefix + hex.EncodeToString(hash[:])
}

// errStaleState is a state that is unknown, used, too old, or for another role.
var errStaleState = errors.New("state: unknown, already used, older than ten minutes, or for another role; read authorize/<role> for a new one")

// beginSignIn keeps a sign-in until its state comes back.
func (b *backend) beginSignIn(ctx context.Context, s logical.Storage, state string, in signIn) error {
	b.signingIn.Lock()
	defer b.signingIn.Unlock()
	count, err := b.dropStaleSignIns(ctx, s, in.Role)
	if err != nil {
		return err
	}
	if count >= maxStates {
		return logical.CodedError(429, fmt.Sprintf("%d sign-ins of role %q are under way; they lapse after ten minutes", count, in.Role))
	}
	entry, err := logical.StorageEntryJSON(stateKey(state), in)
	if err != nil {
		return err
	}
	return s.Put(ctx, entry)
}

// takeSignIn returns the sign-in of a state, which cannot be used again. An
// empty role takes that of any.
func (b *backend) takeSignIn(ctx context.Context, s logical.Storage, state, role string) (*signIn, error) {
	const longest = 512
	if state == "" || len(state) > longest {
		return nil, errStaleState
	}
	b.signingIn.Lock()
	defer b.signingIn.Unlock()
	entry, err := s.Get(ctx, stateKey(state))
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, errStaleState
	}
	var in signIn
	if err := entry.DecodeJSON(&in); err != nil {
		return nil, err
	}
	if role != "" && in.Role != role {
		return nil, errStaleState
	}
	if err := s.Delete(ctx, entry.Key); err != nil {
		return nil, err
	}
	if !b.tokens.clock.Now().Before(in.Expires) {
		return nil, errStaleState
	}
	return &in, nil
}

// endSignIns deletes the sign-ins that nobody completed.
func (b *backend) endSignIns(ctx context.Context, s logical.Storage) error {
	b.signingIn.Lock()
	defer b.signingIn.Unlock()
	_, err := b.dropStaleSignIns(ctx, s, "")
	return err
}

// dropStaleSignIns deletes those whose time is over and counts the role's others.
// b.signingIn is held.
func (b *backend) dropStaleSignIns(ctx context.Context, s logical.Storage, role string) (count int, err error) {
	keys, err := s.List(ctx, statePrefix)
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		entry, err := s.Get(ctx, statePrefix+key)
		if err != nil {
			return 0, err
		}
		var in signIn
		if entry != nil && entry.DecodeJSON(&in) == nil && b.tokens.clock.Now().Before(in.Expires) {
			if in.Role == role {
				count++
			}
			continue
		}
		if err := s.Delete(ctx, statePrefix+key); err != nil {
			return 0, err
		}
	}
	return count, nil
}

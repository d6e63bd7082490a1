// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

const (
	// signInLife is how long a person has to sign in.
	signInLife = 10 * time.Minute

	// maxSignIns is how many sign-ins of a role can be under way.
	maxSignIns = 20

	// Limits of what comes back from Adobe, or from whoever calls the callback,
	// in bytes.
	maxState        = 512
	maxCode         = 8 << 10
	maxRefreshToken = 16 << 10
)

// SignIn is a sign-in under way, for the person who is to open its address.
type SignIn struct {
	URL     string
	State   string
	Expires time.Time
}

// signIn is a sign-in under way as stored under the hash of its state: storage
// does not tell what a state is.
type signIn struct {
	Role     string        `json:"role"`
	Verifier secret.Secret `json:"verifier"` // PKCE
	Expires  time.Time     `json:"expires"`
	Replace  bool          `json:"replace,omitempty"`

	// basis is what the sign-in began with.
	Basis basis `json:"basis"`
}

// same reports whether a consent for the one is a consent for the other.
func (b basis) same(other basis) bool {
	return b.Config == other.Config && b.ClientID == other.ClientID && b.IMSURL == other.IMSURL &&
		b.RedirectURI == other.RedirectURI && slices.Equal(b.Scopes, other.Scopes)
}

func hashOf(state string) string {
	hash := sha256.Sum256([]byte(state))
	return hex.EncodeToString(hash[:])
}

// Begin begins a sign-in for a role. A living authorization of another person is
// replaced by what comes of it only with replace.
func (s *Service) Begin(ctx context.Context, spec tokens.Spec, replace bool) (*SignIn, error) {
	p, err := s.person(ctx, spec)
	if err != nil {
		return nil, err
	}
	client, err := s.creds.IMS(p.credential)
	if err != nil {
		return nil, err
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	state := base64.RawURLEncoding.EncodeToString(random)
	in := &signIn{
		Role:     spec.Name,
		Verifier: ims.NewVerifier(),
		Expires:  s.host.Clock.Now().Add(signInLife),
		Replace:  replace,
		Basis:    p.basis,
	}
	if err := s.keepSignIn(ctx, hashOf(state), in); err != nil {
		return nil, err
	}
	return &SignIn{
		URL:     client.AuthorizeURL(p.basis.ClientID, p.basis.RedirectURI, p.basis.Scopes, state, in.Verifier),
		State:   state,
		Expires: in.Expires,
	}, nil
}

// Deny ends the sign-in of a state whose person did not consent, and returns its
// role.
func (s *Service) Deny(ctx context.Context, state string) (role string, err error) {
	in, err := s.takeSignIn(ctx, state, "")
	if err != nil {
		return "", err
	}
	return in.Role, nil
}

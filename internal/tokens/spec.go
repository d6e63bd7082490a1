// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"slices"
	"time"
)

// Role is what a policy grants: a set of scopes of a config. It is stored under
// role/<name>, and never changed in place.
type Role struct {
	Config    string        `json:"config"`
	Scopes    []string      `json:"scopes"`
	Exclusive bool          `json:"exclusive,omitempty"`
	Leased    bool          `json:"leased"`
	MinTTL    time.Duration `json:"min_ttl,omitempty"`
	MaxTTL    time.Duration `json:"max_ttl,omitempty"` // 0 for none
}

// Identity is what a token belongs to beside its scopes.
type Identity struct {
	Config   string `json:"config"` // its name
	ClientID string `json:"client_id"`
	IMSURL   string `json:"ims_url"`
	OrgID    string `json:"org_id,omitempty"`
}

// same reports whether tokens of the one are tokens of the other. The name of
// the config does not matter.
func (i Identity) same(other Identity) bool {
	return i.ClientID == other.ClientID && i.IMSURL == other.IMSURL && i.OrgID == other.OrgID
}

// Spec is what a role and its config are at a moment.
type Spec struct {
	Name string // of the role
	Role *Role
	Identity

	// Revision is higher for a later write of the role or the config.
	Revision uint64
}

// Yields reports whether the one's tokens are what the other would mint.
func (s Spec) Yields(other Spec) bool {
	return s.same(other.Identity) && slices.Equal(s.Role.Scopes, other.Role.Scopes)
}

// Lookup tells what a role and its config are now. A missing one is an error for
// which advice.IsMissing holds.
type Lookup func(ctx context.Context, role string) (Spec, error)

// Minter obtains tokens from IMS.
type Minter interface {
	// Mint obtains a token for the spec. It may return a token beside an error:
	// one that was obtained and must not be handed out.
	//
	// Waiting for a turn ends with the context. Once a request is sent, its
	// answer is waited for: a token must not be lost on the way.
	Mint(ctx context.Context, spec Spec, order Order) (*Token, error)
}

// Order is how a token is wanted.
type Order struct {
	// Background mints leave repeating a failed request to the role's backing
	// off.
	Background bool

	// Proceed is called when a request's turn has come, before it is sent: an
	// error ends the mint. It is never nil.
	Proceed func() error
}

// Ender ends tokens at IMS.
type Ender interface {
	// End returns nil only if the token is known to be dead: IMS said so, or it
	// has expired.
	End(ctx context.Context, token *Token) error
}

// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"cmp"
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// Grant is a refresh token, and what and whom it stands for.
type Grant struct {
	RefreshToken secret.Secret `json:"refresh_token"`
	Granted      time.Time     `json:"granted"`   // when the person consented
	Refreshed    time.Time     `json:"refreshed"` // when the refresh token was issued
	Expires      time.Time     `json:"expires"`   // when it lapses unless it is used

	Config   string   `json:"config"` // its name
	ClientID string   `json:"client_id"`
	IMSURL   string   `json:"ims_url"`
	Scopes   []string `json:"scopes,omitempty"` // none of what is only to be revoked

	// Subject is who granted it, as IMS told: sub or user_id. It may be empty.
	Subject string `json:"subject,omitempty"`
}

// Authorization is what is on record of a role. It is never changed in place.
type Authorization struct {
	Grant

	// Condemned ones serve nobody and are to be revoked.
	Condemned bool `json:"condemned,omitempty"`

	// Spending is when the refresh token was last about to be sent to IMS, if no
	// successor came of it.
	Spending time.Time `json:"spending,omitzero"`

	// Unrevoked are former refresh tokens that IMS is still to be asked to
	// revoke.
	Unrevoked []Grant `json:"unrevoked,omitempty"`
}

// newGrant is what IMS granted to a person of this basis. Where a refresh brought
// it, before is what the refresh token was that was used.
func newGrant(granted *ims.Grant, b basis, before Grant) Grant {
	g := Grant{
		RefreshToken: granted.RefreshToken,
		Granted:      before.Granted,
		Refreshed:    granted.Issued,
		Expires:      granted.RefreshExpires,
		Config:       b.Config,
		ClientID:     b.ClientID,
		IMSURL:       b.IMSURL,
		Scopes:       b.Scopes,
		Subject:      granted.UserID,
	}
	if g.Granted.IsZero() {
		g.Granted = granted.Issued
	}
	if g.Subject == "" {
		claims, _ := ims.ReadClaims(string(granted.RefreshToken))
		g.Subject = cmp.Or(claims.UserID, before.Subject)
	}
	return g
}

// lapsed reports whether IMS no longer takes the refresh token, by its time.
func (g Grant) lapsed(now time.Time) bool { return !now.Before(g.Expires) }

// former is the grant as far as revoking it needs.
func (g Grant) former() Grant {
	g.Scopes = nil
	return g
}

// KeepAliveAt is when an authorization that nobody uses is refreshed: when half
// of the refresh token's life is over.
func (g Grant) KeepAliveAt() time.Time {
	return g.Refreshed.Add(g.Expires.Sub(g.Refreshed) / 2)
}

// samePerson reports whether both are known to be one person's.
func (g Grant) samePerson(other Grant) bool {
	return g.Subject != "" && g.Subject == other.Subject
}

// Living reports whether there is an authorization that is not condemned.
func (a *Authorization) Living() bool { return a != nil && !a.Condemned }

// holds reports whether the refresh token is that of a living authorization.
func (a *Authorization) holds(token secret.Secret) bool {
	return a.Living() && a.RefreshToken == token
}

// usable returns an error if the role cannot be served with the authorization.
func (a *Authorization) usable(spec tokens.Spec) error {
	switch {
	case !a.Living():
		return unauthorized(spec.Name, "nobody has authorized it", nil)
	case !slices.Equal(a.Scopes, spec.Role.Scopes):
		return unauthorizedAgain(spec.Name, "its scopes are not those that were authorized", nil)
	case a.ClientID != spec.ClientID || a.IMSURL != spec.IMSURL:
		return unauthorizedAgain(spec.Name, "its config is not the one that was authorized", nil)
	}
	return nil
}

// condemned is the authorization as one that serves nobody.
func (a *Authorization) condemned() *Authorization {
	if !a.Living() {
		return a
	}
	next := *a
	next.Condemned = true
	return &next
}

// spending is the authorization as one whose refresh token is about to be used.
func (a *Authorization) spending(now time.Time) *Authorization {
	next := *a
	next.Spending = now
	return &next
}

// successor is what came in the place of a refresh token that was used.
type successor struct {
	Grant
	Of secret.Secret
}

// after is what is on record once a refresh token was used: the successor, if it
// was that of the living authorization. Otherwise the successor is to be revoked.
func (a *Authorization) after(n successor) *Authorization {
	switch {
	case a.holds(n.Of):
		return &Authorization{Grant: n.Grant, Unrevoked: a.Unrevoked}
	case a.holds(n.RefreshToken): // it became the role's in another way
		return a
	}
	return a.owing(n.Grant)
}

// replacedBy is what is on record once another consent has taken the place of the
// authorization, if there is one. The former refresh token is to be revoked,
// unless it is the one that was spent for this.
func (a *Authorization) replacedBy(g Grant, spent secret.Secret) *Authorization {
	next := &Authorization{Grant: g, Unrevoked: a.owed()}
	if a.Living() && a.RefreshToken != spent {
		next.Unrevoked = append(next.Unrevoked, a.former())
	}
	next.Unrevoked = slices.DeleteFunc(next.Unrevoked, func(f Grant) bool { return f.RefreshToken == g.RefreshToken })
	return next
}

// owed are the grants that IMS is still to be asked to revoke, oldest first.
func (a *Authorization) owed() []Grant {
	if a == nil {
		return nil
	}
	owed := slices.Clone(a.Unrevoked)
	if a.Condemned {
		owed = append(owed, a.former())
	}
	return owed
}

// owing is what is on record once the grant is to be revoked too.
func (a *Authorization) owing(g Grant) *Authorization {
	has := func(f Grant) bool { return f.RefreshToken == g.RefreshToken }
	switch {
	case a == nil:
		return &Authorization{Grant: g.former(), Condemned: true}
	case has(a.Grant):
		return a.condemned()
	case slices.ContainsFunc(a.Unrevoked, has):
		return a
	}
	next := *a
	next.Unrevoked = append(slices.Clone(a.Unrevoked), g.former())
	return &next
}

// without is what is on record once IMS has ended these of the refresh tokens to
// be revoked; nil if nothing is left.
func (a *Authorization) without(ended []secret.Secret) *Authorization {
	if a == nil {
		return nil
	}
	isEnded := func(f Grant) bool { return slices.Contains(ended, f.RefreshToken) }
	next := *a
	next.Unrevoked = slices.DeleteFunc(slices.Clone(a.Unrevoked), isEnded)
	switch {
	case !a.Condemned || !isEnded(a.Grant):
		return &next
	case len(next.Unrevoked) == 0:
		return nil
	}
	// What is left of an authorization that has ended is kept as the next
	// condemned one.
	return &Authorization{Grant: next.Unrevoked[0], Condemned: true, Unrevoked: next.Unrevoked[1:]}
}

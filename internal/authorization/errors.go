// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

var (
	// ErrStale is the cause of the advice about a sign-in that cannot be
	// completed any more, or never could. Nothing was sent to IMS, or what came of
	// it was ended.
	ErrStale = errors.New("the sign-in is stale")

	// ErrAnotherPerson is the cause of the advice about an authorization that is
	// replaced only where the request says so.
	ErrAnotherPerson = errors.New("the role is authorized by somebody else")
)

// Unauthorized says that a role has no authorization that it could be served
// with, until a person gives one. It is an advice.Error too.
type Unauthorized struct{ Advice *advice.Error }

// Error implements error.
func (e *Unauthorized) Error() string { return e.Advice.Error() }

// Unwrap returns the advice, whose cause is IMS's refusal if it was asked.
func (e *Unauthorized) Unwrap() error { return e.Advice }

func unauthorized(role, why string, err error) error {
	return &Unauthorized{beginAgain(advice.New("role %q is not authorized: %s. "+
		"Begin a sign-in, and have the person open its authorize_url", role, why).Because(err), role)}
}

func unauthorizedAgain(role, why string, err error) error {
	return &Unauthorized{beginAgain(advice.New("role %q needs to be authorized again: %s. "+
		"Begin a sign-in, and have the person open its authorize_url", role, why).Because(err), role)}
}

// beginAgain adds the command that begins a sign-in.
func beginAgain(e *advice.Error, role string) *advice.Error {
	return e.Run("vault write -f %sauthorize/%s", advice.Mount, role)
}

// staleState is about a state that is of no use. What it was for is said to
// nobody who does not know.
func staleState(role string) error {
	if role == "" {
		role = "<role>"
	}
	return beginAgain(advice.Field("state", "unknown, already used, older than ten minutes, for another role, "+
		"or from before the role's authorization was revoked. Begin again").Because(ErrStale), role)
}

// changedMeanwhile is about a consent to what is no longer so, or from before the
// role was told to forget its authorization.
func changedMeanwhile(role string) error {
	return beginAgain(advice.New("this authorization is stale: role %q, its config, or what was granted to it was changed "+
		"after it began. Nothing came of it, and what was granted, if anything, was ended. Begin again",
		role).Because(ErrStale), role)
}

func anotherPerson(role string, g Grant) error {
	who := "somebody who is not known by name"
	if g.Subject != "" {
		who = g.Subject
	}
	e := advice.New("role %q is authorized by %s, and nothing shows that this is the same person. Nothing was changed, "+
		"and what was granted now was ended. To let another person take the place", role, who).Because(ErrAnotherPerson)
	return e.Run("vault write %sauthorize/%s replace=true", advice.Mount, role)
}

func tooManyUnrevoked(role string, count int) error {
	return advice.New("role %q: IMS could not be brought to revoke %d former authorizations yet, so none is added. "+
		"To ask it now, and to end the present one too", role, count).Run("vault delete %sauthorize/%s", advice.Mount, role)
}

func noRefreshToken(role string, scopes []string) error {
	return advice.Field("scopes", "IMS granted no refresh token for role %q, and nothing was changed. "+
		"Add offline_access, if the API allows it, and authorize the role again", role).
		Run("vault write %sroles/%s scopes=%s,offline_access", advice.Mount, role, strings.Join(scopes, ","))
}

// refusedGrant puts IMS's refusal of a code or a refresh token in words; another
// error is returned as it is.
func refusedGrant(err error, role, what string) error {
	if !isRefusedGrant(err) {
		return err
	}
	return beginAgain(advice.New("IMS does not accept the %s (%s). Nothing was changed. Begin a sign-in again",
		what, err).Because(err), role)
}

// isRefusedGrant reports whether IMS refused a code or a refresh token. A client
// or scopes that it does not accept are no fault of those.
func isRefusedGrant(err error) bool {
	if !ims.RefusedByCode(err) {
		return false
	}
	for _, other := range []string{ims.CodeInvalidClient, ims.CodeUnauthorizedClient, ims.CodeInvalidScope} {
		if ims.RefusedWith(err, other) {
			return false
		}
	}
	return true
}

// errChanged is about a mint whose authorization or config is another by now.
var errChanged = errors.New("the role's authorization or its config was changed after this mint began")

// RevokeError says that IMS could not be brought to revoke what a person granted.
// It stays on record, serves nobody, and is tried again.
type RevokeError struct {
	Role string
	Err  error // of IMS, or of the context
}

// Error implements error.
func (e *RevokeError) Error() string {
	why := e.Err.Error()
	if errors.Is(e.Err, context.DeadlineExceeded) {
		why = "IMS did not answer the revocation in time"
	}
	return fmt.Sprintf("%s. The authorization will not be used again and stays on record; revoking it is tried again "+
		"from time to time. To retry now: vault delete %sauthorize/%s", why, advice.Mount, e.Role)
}

// Unwrap returns why IMS did not revoke.
func (e *RevokeError) Unwrap() error { return e.Err }

// SPDX-License-Identifier: MPL-2.0

// Package fleet looks at all roles and configs of a mount at once: for the status of
// each, for the metrics, and for what somebody has found.
//
// It only reads. It knows nothing of requests, and changes nothing in the rooms that
// it looks into.
package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/roles"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// Fleet is what there is in a mount. None of its fields is ever nil.
type Fleet struct {
	Host           *host.Host
	Pool           *ims.Pool
	Credentials    *credential.Store
	Roles          *roles.Store
	Tokens         *tokens.Service
	Authorizations *authorization.Service
}

// Role is how a role is served, and what with.
type Role struct {
	tokens.Status
	Config        string // its name
	Credential    *credential.Credential
	Authorization *authorization.Authorization // nil for a role that is no person's
	Err           error                        // why nothing is known

	// ThrottledUntil is until when IMS is left alone with the credential, for any
	// of its roles; zero if it is not.
	ThrottledUntil time.Time
}

// Role looks at a role. A missing one is an error for which advice.IsMissing holds.
func (f *Fleet) Role(ctx context.Context, name string) (Role, error) {
	spec, err := f.Roles.Lookup(ctx, name)
	if err != nil {
		return Role{}, err
	}
	c, err := f.Credentials.Get(ctx, spec.Config)
	switch {
	case err != nil:
		return Role{}, err
	case c.Value == nil: // it went a moment ago
		return Role{}, advice.Missing("config %q of role %q does not exist", spec.Config, name)
	}
	s := Role{Config: spec.Config, Credential: c.Value}
	if until := f.Pool.Quiet(c.Value.IMSURL, c.Value.ClientID); until.After(f.Host.Clock.Now()) {
		s.ThrottledUntil = until
	}
	if c.Value.Type == credential.WebApp {
		if s.Authorization, err = f.Authorizations.Get(ctx, name); err != nil {
			return s, err
		}
	}
	s.Status, err = f.Tokens.Status(ctx, spec)
	return s, err
}

// unauthorized is the state of a person's role that no person has authorized.
const unauthorized = "unauthorized"

// State says in a word how the role is served, as status/ has it.
func (s Role) State() string {
	var refused *authorization.Unauthorized
	if s.Credential.Type == credential.WebApp && s.Current == nil &&
		(!s.Authorization.Living() || s.Failure != nil && errors.As(s.Failure.Err, &refused)) {
		return unauthorized
	}
	return string(s.Condition)
}

// NextAttempt is when IMS is asked again after a failure or a throttle; zero if
// there was none.
func (s Role) NextAttempt() time.Time {
	if s.Failure != nil && s.Failure.RetryAt.After(s.ThrottledUntil) {
		return s.Failure.RetryAt
	}
	return s.ThrottledUntil
}

// Account is the technical account whose rights the role's tokens have.
func (s Role) Account() string {
	switch {
	case s.Credential.Type == credential.WebApp:
		return ""
	case s.Credential.TechnicalAccountID != "":
		return s.Credential.TechnicalAccountID
	case s.Current != nil:
		return s.Current.AccountID
	}
	return ""
}

// maxLooking is how many roles are looked up at a time for the list: those that
// nobody has read since the mount was set up come from storage.
const maxLooking = 16

// AllRoles looks at every role. What is wrong with one does not take the others
// away.
func (f *Fleet) AllRoles(ctx context.Context) ([]string, []Role, error) {
	names, err := f.Roles.List(ctx)
	if err != nil {
		return nil, nil, err
	}
	statuses := make([]Role, len(names))
	next := make(chan int)
	var group sync.WaitGroup
	for range min(maxLooking, len(names)) {
		group.Go(func() {
			for i := range next {
				status, err := f.Role(ctx, names[i])
				status.Err = err
				statuses[i] = status
			}
		})
	}
	for i := range names {
		next <- i
	}
	close(next)
	group.Wait()
	return names, statuses, ctx.Err()
}

// SPDX-License-Identifier: MPL-2.0

package authorization

import (
	"context"
	"sync"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// Prefix is where authorizations are stored, and StatePrefix where sign-ins under
// way are. Both are local to the cluster.
const (
	Prefix      = "authorization/"
	StatePrefix = "state/"
)

// Tokens is the token store, as far as it is needed here.
type Tokens interface {
	// Adopt puts a token that came with an authorization on record, so that it is
	// the one that the role's readers get. One that it cannot keep it ends.
	Adopt(ctx context.Context, spec tokens.Spec, token *tokens.Token) error

	// EndStray ends a token that must not be handed out. What IMS does not end now
	// stays on record and is tried again.
	EndStray(ctx context.Context, role string, token *tokens.Token)

	// Renew has a newer token of the role minted in the background, whether
	// anybody reads the role or not.
	Renew(ctx context.Context, role string)
}

// Service has the authorizations of a mount. It is safe for concurrent use.
type Service struct {
	host   *host.Host
	creds  *credential.Store
	lookup tokens.Lookup
	tokens Tokens
	order  *entry.Order

	stored  *entry.Cache[Authorization]
	saving  entry.Locks
	uses    entry.Locks
	signing entry.Locks

	mu       sync.Mutex
	memories map[string]*memory // by role

	upkeep upkeep

	// revokeTimeout is how long IMS has for all revocations of a role together.
	revokeTimeout time.Duration
}

// New returns the service of a mount. It asks nobody anything.
func New(h *host.Host, creds *credential.Store, lookup tokens.Lookup, store Tokens, order *entry.Order) *Service {
	return &Service{
		host:     h,
		creds:    creds,
		lookup:   lookup,
		tokens:   store,
		order:    order,
		stored:   entry.New[Authorization](h.Storage, Prefix, order),
		memories: map[string]*memory{},

		revokeTimeout: defaultRevokeTimeout,
	}
}

// Get returns what is on record of a role; nil for nothing. It may be condemned.
func (s *Service) Get(ctx context.Context, role string) (*Authorization, error) {
	return s.load(ctx, role)
}

// List returns the roles of which there is something on record, in order.
func (s *Service) List(ctx context.Context) ([]string, error) { return s.stored.List(ctx) }

// Forget makes the next use of a role's record ask storage.
func (s *Service) Forget(role string) { s.stored.Forget(role) }

// basis is what a consent rests on: if any of it is another, so is what the
// person consented to, or who gets to know of it.
type basis struct {
	Config      string   `json:"config"` // its name
	ClientID    string   `json:"client_id"`
	IMSURL      string   `json:"ims_url"`
	RedirectURI string   `json:"redirect_uri"`
	Scopes      []string `json:"scopes"`
}

// person is a role that a person authorizes, as it is at a moment.
type person struct {
	spec       tokens.Spec
	credential *credential.Credential
	basis      basis
}

// person returns the role with the credential of its config. The error is advice
// if the role is none that a person authorizes.
func (s *Service) person(ctx context.Context, spec tokens.Spec) (*person, error) {
	found, err := s.creds.Get(ctx, spec.Config)
	if err != nil {
		return nil, err
	}
	c := found.Value
	switch {
	case c == nil:
		return nil, advice.Missing("config %q of role %q does not exist", spec.Config, spec.Name)
	case c.Type != credential.WebApp:
		return nil, advice.New("role %q needs no authorization: the credential_type of its config %q is %s",
			spec.Name, spec.Config, c.Type)
	}
	return &person{spec: spec, credential: c, basis: basis{
		Config:      spec.Config,
		ClientID:    c.ClientID,
		IMSURL:      c.IMSURL,
		RedirectURI: c.RedirectURI,
		Scopes:      spec.Role.Scopes,
	}}, nil
}

// now looks a role up again that a person authorizes.
func (s *Service) now(ctx context.Context, role string) (*person, error) {
	spec, err := s.lookup(ctx, role)
	if err != nil {
		return nil, err
	}
	return s.person(ctx, spec)
}

// ask makes a call to IMS in the name of the person's application.
func (s *Service) ask(ctx context.Context, p *person, call func(*ims.Client, ims.Credential) error) error {
	_, err := s.creds.Use(ctx, p.spec.Config, p.credential, call)
	return err
}

// token is the access token that came with a grant; nil if none did.
func (p *person) token(granted *ims.Grant) *tokens.Token {
	if granted == nil || granted.AccessToken == "" {
		return nil
	}
	expires := granted.Expires
	if !expires.After(granted.Issued) {
		expires = granted.Issued.Add(unknownLife)
	}
	return &tokens.Token{
		AccessToken: granted.AccessToken,
		Issued:      granted.Issued,
		Expires:     expires,
		Identity:    p.spec.Identity,
		Scopes:      p.spec.Role.Scopes,
		Granted:     granted.Scopes,
		AccountID:   granted.UserID,
	}
}

// unknownLife is how long an access token may live that does not tell. It is
// handed to nobody, but it has to be ended.
const unknownLife = 24 * time.Hour

// endStray has the token store end a token, if there is one.
func (s *Service) endStray(ctx context.Context, role string, token *tokens.Token) {
	if token != nil {
		s.tokens.EndStray(ctx, role, token)
	}
}

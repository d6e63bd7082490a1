// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxSecrets is how many client secrets a credential can have.
const maxSecrets = 2

var (
	errSecretLimit   = fmt.Errorf("the credential has %d client secrets already", maxSecrets)
	errUnknownSecret = errors.New("the credential has no such client secret")
	errUnknownClient = errors.New("no such client")
)

// Secret is a client secret of a credential.
type Secret struct {
	UUID          string // names it in the console's API
	Value         string
	CreatedAt     time.Time
	UsableAt      time.Time // from then on IMS accepts it
	LastUsedAt    time.Time // zero = never
	LastGrantType string    // "" = none
}

// SecretsOf returns the client's secrets, oldest first.
func (s *Server) SecretsOf(clientID string) []Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[clientID]; c != nil {
		return slices.Clone(c.secrets)
	}
	return nil
}

// AddSecret adds a client secret as somebody else would, on the console's
// pages. The limit of two holds there too.
func (s *Server) AddSecret(clientID string) (Secret, error) {
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[clientID]
	switch {
	case c == nil:
		return Secret{}, errUnknownClient
	case len(c.secrets) >= maxSecrets:
		return Secret{}, errSecretLimit
	}
	secret := Secret{UUID: newID(), Value: "p8e-" + newID(), CreatedAt: now, UsableAt: now.Add(s.opts.SecretDelay)}
	c.secrets = append(c.secrets, secret)
	return secret, nil
}

// RemoveSecret removes a client secret as somebody else would. Tokens obtained
// with it stay alive, as at Adobe.
func (s *Server) RemoveSecret(clientID, uuid string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[clientID]
	if c == nil {
		return errUnknownClient
	}
	i := slices.IndexFunc(c.secrets, func(secret Secret) bool { return secret.UUID == uuid })
	if i < 0 {
		return errUnknownSecret
	}
	c.secrets = slices.Delete(c.secrets, i, i+1)
	return nil
}

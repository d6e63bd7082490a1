// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"crypto/subtle"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// Standing is what a token on record is to its role.
type Standing string

// The standings.
const (
	Current   Standing = "current"   // the next reader gets it
	Former    Standing = "former"    // readers may hold it
	Condemned Standing = "condemned" // nobody gets it, and IMS has not ended it yet
)

// Found is a token on record.
type Found struct {
	Role     string
	Token    *Token
	Standing Standing
}

// Find looks an access token up on the records of all roles, also of roles that
// were deleted. It returns nil if it is on none: it may be exclusive, of another
// cluster, or not from here.
func (s *Service) Find(ctx context.Context, accessToken secret.Secret) (*Found, error) {
	names, err := s.host.Storage.List(ctx, Prefix)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		found, err := s.findIn(ctx, name, accessToken)
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, ctx.Err()
}

func (s *Service) findIn(ctx context.Context, name string, accessToken secret.Secret) (*Found, error) {
	tokens, err := s.outstandingOf(ctx, name)
	if err != nil {
		return nil, err
	}
	now := s.host.Clock.Now()
	for _, t := range tokens {
		if subtle.ConstantTimeCompare([]byte(t.AccessToken), []byte(accessToken)) != 1 || !t.Expires.After(now) {
			continue
		}
		found := &Found{Role: name, Token: t, Standing: Former}
		if t.Condemned {
			found.Standing = Condemned
			return found, nil
		}
		if spec, err := s.lookup(ctx, name); err == nil {
			err = s.locked(ctx, name, func(st *roleState) {
				if st.newest(spec, now) == t {
					found.Standing = Current
				}
			})
			if err != nil {
				return nil, err
			}
		}
		return found, nil
	}
	return nil, nil
}

// outstandingOf returns what is on record of a role, without keeping in memory what
// was not.
func (s *Service) outstandingOf(ctx context.Context, name string) (tokens []*Token, err error) {
	if value, ok := s.roles.Load(name); ok {
		st := value.(*roleState)
		st.mu.Lock()
		defer st.mu.Unlock()
		for _, t := range st.tokens {
			tokens = append(tokens, t.Token)
		}
		return tokens, nil
	}
	r, err := loadRecord(ctx, s.host.Storage, name)
	return r.Tokens, err
}

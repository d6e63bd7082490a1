// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"crypto/sha256"
	"strconv"
	"strings"
	"time"
)

// Types of token, as the type claim and the invalidation have them.
const (
	accessToken       = "access_token"
	refreshToken      = "refresh_token"
	authorizationCode = "authorization_code"
)

// tokenKey is a token's hash: tens of thousands of tokens are remembered, and
// each would be over a kilobyte.
type tokenKey [sha256.Size]byte

func keyOf(token string) tokenKey { return sha256.Sum256([]byte(token)) }

// issuedToken is what IMS remembers of a token. It is immutable but for dead,
// which the Server's mutex guards.
type issuedToken struct {
	grant
	kind    string // accessToken or refreshToken
	id      string
	created time.Time
	life    time.Duration
	dead    bool // invalidated, revoked or used up
}

// grant is what a token stands for.
type grant struct {
	clientID string
	userID   string
	scopes   []string
	// authorization is the ID of what a person consented to, which the tokens
	// of that consent share; "" for the client's own.
	authorization string
}

// issue makes a token for g and remembers it.
func (s *Server) issue(kind string, life time.Duration, g grant, extra map[string]any) (string, *issuedToken) {
	t := &issuedToken{grant: g, kind: kind, id: newID(), created: s.clock.Now(), life: life}
	claims := t.claims()
	for name, value := range extra {
		claims[name] = value
	}
	s.mu.Lock()
	alter := s.alterClaims
	s.mu.Unlock()
	if alter != nil {
		alter(claims)
	}
	keyID, header := accessKeyID, "at"
	if kind == refreshToken {
		keyID, header = otherKeyID, "rt"
	}
	token := s.sign(keyID, header, claims)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[keyOf(token)] = t
	return token, t
}

// claims are those of Adobe's tokens, which have neither exp nor iat nor iss.
// Of fg, moi and pba only the looks are known; they are there for the size.
func (t *issuedToken) claims() map[string]any {
	return map[string]any{
		"id":         t.id,
		"type":       t.kind,
		"client_id":  t.clientID,
		"user_id":    t.userID,
		"aa_id":      t.userID,
		"as":         "ims-na1",
		"ctp":        "0",
		"fg":         strings.ToUpper(newID()),
		"moi":        newID()[:8],
		"pba":        "",
		"sid":        newID(),
		"scope":      strings.Join(t.scopes, ","),
		"created_at": millis(t.created),
		"expires_in": strconv.FormatInt(t.life.Milliseconds(), 10),
	}
}

// state says why t is no good, or "". It wants the mutex held.
func (t *issuedToken) state(now time.Time) string {
	switch {
	case t.dead:
		return "revoked"
	case !now.Before(t.created.Add(t.life)):
		return "expired"
	}
	return ""
}

// living returns a token that was issued and is alive, or nil. It wants the
// mutex held.
func (s *Server) living(token string) *issuedToken {
	if t := s.tokens[keyOf(token)]; t != nil && t.state(s.clock.Now()) == "" {
		return t
	}
	return nil
}

// Valid reports whether token is an access or refresh token that was issued
// here and is neither expired nor invalidated.
func (s *Server) Valid(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.living(token) != nil
}

// kill ends t and, if it is a refresh token, the access tokens of its
// authorization. It wants the mutex held.
func (s *Server) kill(t *issuedToken) {
	t.dead = true
	if t.kind == refreshToken {
		s.killAll(func(other *issuedToken) bool {
			return other.kind == accessToken && other.authorization == t.authorization
		})
	}
}

// killAll wants the mutex held.
func (s *Server) killAll(which func(*issuedToken) bool) {
	for _, t := range s.tokens {
		if which(t) {
			t.dead = true
		}
	}
}

// millis is how Adobe writes a time: milliseconds since 1970, as a string.
func millis(t time.Time) string {
	return strconv.FormatInt(t.UnixMilli(), 10)
}

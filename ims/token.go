// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// maxLife is the longest life of an access token that is believed. Adobe's live
// for a day at most. A number of seconds beyond it is taken for milliseconds,
// which older endpoints of IMS answer.
const maxLife = 31 * 24 * time.Hour

// Token is an access token as IMS granted it.
type Token struct {
	AccessToken Secret

	// Issued is when the request for the token was sent, by the Pool's clock.
	// IMS cannot have counted the token's life from before that.
	Issued time.Time

	// Expires is when the token ends, at the latest: the earlier of what the
	// answer and what the token's own claims say, and later than Issued.
	Expires time.Time

	// Scopes are those that IMS granted, which may be fewer than were asked
	// for; nil if neither the answer nor the token tells.
	Scopes []string

	// UserID is whose token it is: a person's account, or the technical account
	// of a server-to-server credential. Empty if neither the answer nor the
	// token tells.
	UserID string
}

// answer is a token endpoint's, so far as it is used. Any field may be of any
// type: one that is odd must not cost the others.
type answer struct {
	AccessToken  any `json:"access_token"`
	RefreshToken any `json:"refresh_token"`
	ExpiresIn    any `json:"expires_in"`
	Scope        any `json:"scope"`
	Sub          any `json:"sub"`
	UserID       any `json:"user_id"`
	OldUserID    any `json:"userId"` // of /ims/token/v2
}

// readAnswer reads an answer that is known to be a JSON object.
func readAnswer(body []byte) (a answer) {
	_ = json.Unmarshal(body, &a) // a number out of range is left out
	return a
}

// refreshToken returns the answer's refresh token, or "".
func (a answer) refreshToken() Secret {
	if s, ok := a.RefreshToken.(string); ok && len(s) <= maxToken {
		return Secret(s)
	}
	return ""
}

// token returns the answer's access token. With an error, it is one that cannot
// be used: its Expires is zero, and its AccessToken may be empty.
func (a answer) token(sent time.Time) (Token, error) {
	// The wall clock: a monotonic one stands still while a machine sleeps.
	t := Token{Issued: sent.Round(0)}
	value, _ := a.AccessToken.(string)
	switch {
	case value == "":
		return t, errors.New("the answer has no access_token; check the URL")
	case len(value) > maxToken:
		return t, fmt.Errorf("the access_token is longer than %d bytes", maxToken)
	case !visible(value):
		return t, errors.New("the access_token has characters that no token has")
	}
	claims, _ := ReadClaims(value)
	t.AccessToken = Secret(value)
	t.UserID = cmp.Or(name(a.Sub), name(a.UserID), name(a.OldUserID), claims.UserID)
	if t.Scopes = readScopes(a.Scope); t.Scopes == nil {
		t.Scopes = claims.Scopes
	}
	expires, err := tokenEnd(t.Issued, a.ExpiresIn, claims)
	if err != nil {
		return t, err
	}
	t.Expires = expires
	return t, nil
}

// tokenEnd decides when an access token ends that was asked for at a time: by
// the answer's expires_in, in seconds, and by the token's claims, the earlier
// counts.
func tokenEnd(sent time.Time, expiresIn any, claims Claims) (time.Time, error) {
	var life time.Duration
	switch {
	case expiresIn != nil:
		var err error
		if life, err = answeredLife(expiresIn); err != nil {
			return time.Time{}, err
		}
	case !claims.Expires.IsZero():
		// Not the end alone: the clock here may be behind Adobe's.
		life = min(claims.Expires.Sub(claims.Created), maxLife)
	default:
		return time.Time{}, errors.New("the answer has no expires_in, nor has the token")
	}
	end := sent.Add(life)
	if !claims.Expires.IsZero() && claims.Expires.Before(end) {
		end = claims.Expires
	}
	if !end.After(sent) {
		return time.Time{}, fmt.Errorf("by its own claims the token expired at %s, before it was asked for; compare the clock of this machine",
			end.UTC().Format(time.RFC3339))
	}
	return end, nil
}

func answeredLife(expiresIn any) (time.Duration, error) {
	n, err := number(expiresIn)
	switch {
	case err != nil:
		return 0, errors.New("expires_in is not a number")
	case n < 1:
		return 0, fmt.Errorf("expires_in is %v, which is not a positive number of seconds", n)
	case n > maxLife.Seconds():
		return min(span(n, time.Millisecond), maxLife), nil
	}
	return span(n, time.Second), nil
}

// withoutEchoes drops the IDs and scopes that repeat a part of the client's
// secret, or a long one of the access token or of the other tokens and codes that
// came with the request or the answer: they come from outside, and are shown and
// logged.
func (t *Token) withoutEchoes(clientSecret Secret, others ...Secret) {
	others = append(others, t.AccessToken)
	echoes := func(word string) bool {
		return adobehttp.Quote(word, clientSecret) != word ||
			slices.ContainsFunc(others, func(s Secret) bool { return repeats(word, string(s)) })
	}
	if echoes(t.UserID) {
		t.UserID = ""
	}
	if t.Scopes = slices.DeleteFunc(t.Scopes, echoes); len(t.Scopes) == 0 {
		t.Scopes = nil
	}
}

// longEcho is how long a part of a token must not be shown, in bytes. A token that
// is not a JWT may have a scope or a name in it, which are shorter.
const longEcho = 24

// repeats reports whether a word has a long part of a token in it, or is the token.
func repeats(word, token string) bool {
	for i := range len(token) - longEcho + 1 {
		if strings.Contains(word, token[i:i+longEcho]) {
			return true
		}
	}
	return word != "" && word == token
}

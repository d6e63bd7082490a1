// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// maxToken is how long a token may be, in bytes. Adobe publishes no
	// maximum; tokens of one to two kilobytes have been seen.
	maxToken = 64 << 10

	// maxName is how long an ID or a scope may be, in bytes.
	maxName = 200

	// maxScopes is how many scopes are believed. Adobe's longest lists have
	// some ten.
	maxScopes = 500
)

// maxSpan keeps the arithmetic of nonsensical lives and times within range.
const maxSpan = 10 * 365 * 24 * time.Hour

// maxCreated is ten years before the end of the year 9999, the last that RFC
// 3339 can express, in milliseconds since 1970.
const maxCreated = 253402300799999 - float64(maxSpan/time.Millisecond)

// Claims are what a token says of itself. Its signature is not verified: claims
// may shorten what IMS says of a token, and never prove anything.
//
// A claim that is missing, or not of the shape that IMS gives it, is empty or
// zero.
type Claims struct {
	// ClientID is the client that the token was issued to.
	ClientID string

	// UserID is whose token it is: a person's account, or the technical account
	// of a server-to-server credential ("...@techacct.adobe.com").
	UserID string

	// Type is TypeAccessToken, TypeRefreshToken or another of IMS's.
	Type string

	// Scopes are those granted.
	Scopes []string

	// Created is when the token was issued, by Adobe's clock.
	Created time.Time

	// Expires is when the token ends, by Adobe's clock.
	Expires time.Time
}

// ReadClaims returns the claims of an access token or refresh token of IMS, and
// reports whether it found any: other tokens need not be JWTs, and tell
// nothing.
//
// IMS writes times as strings of milliseconds ("created_at", "expires_in"), not
// as RFC 7519 has them. Numbers are accepted too, and base64 of either
// alphabet, padded or not. A token of more than 64 KiB is not read.
func ReadClaims(token string) (Claims, bool) {
	if len(token) > maxToken {
		return Claims{}, false
	}
	parts := strings.SplitN(token, ".", 4)
	if len(parts) != 3 {
		return Claims{}, false
	}
	payload, err := decodeSegment(parts[1])
	if err != nil {
		return Claims{}, false
	}
	var raw struct {
		ClientID  any `json:"client_id"`
		UserID    any `json:"user_id"`
		Type      any `json:"type"`
		Scope     any `json:"scope"`
		CreatedAt any `json:"created_at"`
		ExpiresIn any `json:"expires_in"`
	}
	if json.Unmarshal(payload, &raw) != nil {
		return Claims{}, false
	}
	c := Claims{ClientID: name(raw.ClientID), UserID: name(raw.UserID), Type: name(raw.Type), Scopes: readScopes(raw.Scope)}
	if created, err := number(raw.CreatedAt); err == nil && created >= 0 && created <= maxCreated {
		c.Created = time.UnixMilli(int64(created)).UTC()
		if life, err := number(raw.ExpiresIn); err == nil {
			c.Expires = c.Created.Add(span(life, time.Millisecond))
		}
	}
	found := c.ClientID != "" || c.UserID != "" || c.Type != "" || c.Scopes != nil || !c.Created.IsZero()
	return c, found
}

// decodeSegment decodes the base64 of a JWT's segment, as RFC 7515 has it or in
// the standard alphabet, as some of Adobe's libraries write it.
func decodeSegment(segment string) ([]byte, error) {
	segment = strings.TrimRight(segment, "=")
	if strings.ContainsAny(segment, "+/") {
		return base64.RawStdEncoding.DecodeString(segment)
	}
	return base64.RawURLEncoding.DecodeString(segment)
}

// readScopes reads a list of scopes, or a string of them with commas or spaces.
// It returns nil if there are none, or more than anybody has.
func readScopes(value any) []string {
	scopes := splitScopes(value)
	if len(scopes) > maxScopes {
		return nil
	}
	return scopes
}

func splitScopes(value any) (scopes []string) {
	switch v := value.(type) {
	case string:
		for _, scope := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
			if scope = name(scope); scope != "" {
				scopes = append(scopes, scope)
			}
		}
	case []any:
		for _, item := range v {
			if s, ok := item.(string); ok {
				scopes = append(scopes, splitScopes(s)...)
			}
		}
	}
	return scopes
}

// name returns a string that can be an ID or a scope, or "" for anything else:
// it comes from outside, and is shown, logged and stored.
func name(value any) string {
	if s, ok := value.(string); ok && len(s) <= maxName && visible(s) {
		return s
	}
	return ""
}

// visible reports whether a string consists of visible ASCII characters, as
// tokens, IDs and scopes do (RFC 6749 appendix A).
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
}

// number reads a JSON number, or a string that holds one: Adobe's services and
// their documentation use both.
func number(value any) (float64, error) {
	switch v := value.(type) {
	case float64:
		return v, nil
	case string:
		v = strings.TrimSpace(v)
		if strings.Trim(v, "+-.0123456789") != "" { // ParseFloat takes words and hexadecimals, too
			break
		}
		return strconv.ParseFloat(v, 64)
	}
	return 0, errors.New("neither a number nor a string of one")
}

// span is a number of units, at most maxSpan in either direction.
func span(n float64, unit time.Duration) time.Duration {
	most := float64(maxSpan / unit)
	return time.Duration(math.Max(-most, math.Min(n, most)) * float64(unit))
}

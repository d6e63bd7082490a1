// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Token is an access token as IMS granted it.
type Token struct {
	AccessToken Secret

	// Issued is when the request for the token was sent. IMS cannot have
	// counted the token's life from before that.
	Issued time.Time

	// Expires is when the token ends, at the latest.
	Expires time.Time
}

// maxLife keeps the arithmetic of a nonsensical life within range.
const maxLife = 10 * 365 * 24 * time.Hour

// newToken takes the token's life from expires_in, in seconds, and from the
// token's own claims where it is a JWT: the earlier end counts.
func newToken(granted *oauth2.Token, sent time.Time) (*Token, error) {
	life, err := lifeFromAnswer(granted.Extra("expires_in"))
	if err != nil {
		return nil, err
	}
	// The wall clock: a monotonic one stands still while a machine sleeps.
	sent = sent.Round(0)
	token := &Token{AccessToken: Secret(granted.AccessToken), Issued: sent, Expires: sent.Add(life)}
	if expires, ok := expiryFromClaims(granted.AccessToken); ok && expires.Before(token.Expires) {
		token.Expires = expires
	}
	if !token.Expires.After(sent) {
		return nil, fmt.Errorf("but by its own claims the token expired at %s, before it was asked for: compare the clock of this machine",
			token.Expires.UTC().Format(time.RFC3339))
	}
	return token, nil
}

func lifeFromAnswer(value any) (time.Duration, error) {
	if value == nil {
		return 0, errors.New("but the answer has no expires_in")
	}
	seconds, err := number(value)
	if err != nil {
		return 0, errors.New("but expires_in is not a number")
	}
	if seconds <= 0 {
		return 0, fmt.Errorf("but expires_in is %v, not a positive number of seconds", seconds)
	}
	return seconds.times(time.Second), nil
}

// expiryFromClaims reads created_at and expires_in of an IMS token, which are
// milliseconds written as strings. A token without them tells nothing.
func expiryFromClaims(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		CreatedAt any `json:"created_at"`
		ExpiresIn any `json:"expires_in"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return time.Time{}, false
	}
	created, err := number(claims.CreatedAt)
	if err != nil {
		return time.Time{}, false
	}
	life, err := number(claims.ExpiresIn)
	if err != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(created)).UTC().Add(life.times(time.Millisecond)), true
}

type quantity float64

// number reads a JSON number or a string that holds one: Adobe's services and
// their documentation use both.
func number(value any) (quantity, error) {
	switch v := value.(type) {
	case float64:
		return quantity(v), nil
	case int64:
		return quantity(v), nil
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return quantity(n), err
	}
	return 0, errors.New("neither a number nor a string")
}

func (q quantity) times(unit time.Duration) time.Duration {
	if float64(q) >= float64(maxLife/unit) {
		return maxLife
	}
	return time.Duration(float64(q) * float64(unit))
}

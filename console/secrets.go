// SPDX-License-Identifier: MPL-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// ClientSecret is a client secret as the console lists it: never its value.
type ClientSecret struct {
	// UUID names the secret in this API: 1 to 64 letters, digits and hyphens.
	UUID string

	// Created is to the millisecond, by Adobe's clock; zero if the console
	// does not tell.
	Created time.Time

	// LastUsed is when a token was last obtained with the secret; zero means
	// never or unknown. Adobe does not document how long it lags behind.
	LastUsed time.Time
}

// NewSecret is a client secret that was just added. Adobe shows its value this
// once. UUID and Created may be missing from the answer: they are then zero,
// and List has them.
type NewSecret struct {
	ClientSecret
	Value Secret
}

// Listing is what the console told of a credential's client secrets.
type Listing struct {
	// Secrets are two at most, in the console's order.
	Secrets []ClientSecret

	// Time is when the console answered, to the second, by its own clock, the
	// one that Created is of; zero if it does not tell.
	Time time.Time
}

// List returns the client secrets of the credential.
//
// The error is an *Error, unless ctx ended first. It is of kind Refused where
// the credential turns out to be that of another client than cred.ClientID:
// whose secrets those are is not for the caller to change.
func (c *Client) List(ctx context.Context, accessToken Secret, cred Credential) (*Listing, error) {
	call := newCall("listing of client secrets", accessToken, cred)
	answer, err := c.do(ctx, call, http.MethodGet, cred)
	if err != nil {
		return nil, err
	}
	clientID, secrets, err := readListing(answer.Body, accessToken)
	if err != nil {
		return nil, c.http.NewError(call, Malformed, err)
	}
	if clientID != "" && clientID != cred.ClientID {
		return nil, c.http.NewError(call, Refused, fmt.Errorf("credential %s belongs to client %q, not to %q",
			cred.CredentialID, adobehttp.Quote(clientID, accessToken), cred.ClientID))
	}
	listing := &Listing{Secrets: secrets}
	if answered, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		listing.Time = answered
	}
	return listing, nil
}

// Add adds a client secret to the credential. It works for IMS at once or, as
// Adobe does not document that, soon after.
//
// The request is sent once and never repeated. Once it is sent, its answer is
// waited for even if ctx ends. The error is an *Error, unless ctx ended first.
// A secret may have been added all the same, and its value lost, if
// MayHaveTakenEffect says so of the error: List tells.
func (c *Client) Add(ctx context.Context, accessToken Secret, cred Credential) (*NewSecret, error) {
	call := newCall("adding of a client secret", accessToken, cred)
	call.Once, call.Finish = true, true
	answer, err := c.do(ctx, call, http.MethodPost, cred)
	if err != nil {
		return nil, err
	}
	added, err := readAdded(answer.Body, accessToken)
	if err != nil {
		return nil, c.http.NewError(call, Malformed, err)
	}
	return added, nil
}

// Remove removes the client secret with the uuid for good; tokens obtained with
// it live on. It returns nil only where the secret is known to be gone: the
// console confirmed the removal with an empty answer, or after any other one, a
// 404 included, lists the credential's secrets without it.
//
// The error is an *Error, unless ctx ended first. Since the request is
// repeated, the secret may be gone despite any error.
func (c *Client) Remove(ctx context.Context, accessToken Secret, cred Credential, uuid string) error {
	call := newCall("removal of a client secret", accessToken, cred)
	call.EmptyOK = true
	if !validUUID(uuid, accessToken) {
		return c.http.NewError(call, Refused, errors.New("the secret to remove is not named by a uuid"))
	}
	answer, err := c.do(ctx, call, http.MethodDelete, cred, uuid)
	switch {
	case err == nil && adobehttp.IsEmpty(answer.Body):
		return nil
	case err != nil && !isNotFound(err):
		return err
	}
	listing, listed := c.List(ctx, accessToken, cred)
	switch {
	case listed == nil && !listing.has(uuid):
		return nil
	case err == nil:
		err = c.http.NewError(call, Malformed, errors.New("the answer is JSON that the console is not known to give; check the URL and HTTPS_PROXY"))
	}
	return err
}

func (l *Listing) has(uuid string) bool {
	return slices.ContainsFunc(l.Secrets, func(s ClientSecret) bool { return s.UUID == uuid })
}

func isNotFound(err error) bool {
	var failed *Error
	return errors.As(err, &failed) && failed.Kind == Refused && failed.Status == http.StatusNotFound
}

// SPDX-License-Identifier: MPL-2.0

package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// ClientSecret is a client secret as the console lists it: never its value.
type ClientSecret struct {
	// UUID names the secret in this API.
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

	// Time is when the console answered, by its own clock, the one that Created
	// is of; zero if it does not tell.
	Time time.Time
}

// List returns the client secrets of the credential.
//
// The error is an *Error, unless ctx ended first. It is of kind Refused where
// the credential turns out to be that of another client than cred.ClientID:
// whose secrets those are is not for the caller to change.
func (c *Client) List(ctx context.Context, accessToken Secret, cred Credential) (*Listing, error) {
	r := call{op: "listing of client secrets", method: http.MethodGet, Token: accessToken, cred: cred}
	a, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	var listed struct {
		ClientID string       `json:"client_id"`
		Secrets  []secretJSON `json:"client_secrets"`
	}
	// The words of encoding/json may quote the answer, so they stay here.
	if json.Unmarshal(a.body, &listed) != nil || listed.Secrets == nil {
		return nil, r.malformed(a, errors.New("the answer is not a list of client_secrets in JSON"))
	}
	if listed.ClientID != "" && listed.ClientID != cred.ClientID {
		return nil, &Error{Kind: Refused, Op: r.op, Status: a.status, RequestID: requestID(a.header, r.Token),
			Err: fmt.Errorf("credential %s belongs to client %q, not to %q", cred.CredentialID,
				adobehttp.Quote(listed.ClientID, r.Token), cred.ClientID)}
	}
	listing := &Listing{Secrets: make([]ClientSecret, 0, len(listed.Secrets))}
	if answered, err := http.ParseTime(a.header.Get("Date")); err == nil {
		listing.Time = answered
	}
	for _, s := range listed.Secrets {
		if s.UUID == "" {
			return nil, r.malformed(a, errors.New("the answer lists a client secret without uuid"))
		}
		listing.Secrets = append(listing.Secrets, s.clientSecret())
	}
	return listing, nil
}

// Add adds a client secret to the credential. It works for IMS at once or, as
// Adobe does not document that, soon after.
//
// The request is sent once and never repeated. The error is an *Error, unless
// ctx ended first. A secret may have been added all the same, and its value
// lost, if ctx ended or the Error says MayHaveTakenEffect: List tells.
func (c *Client) Add(ctx context.Context, accessToken Secret, cred Credential) (*NewSecret, error) {
	r := call{op: "adding of a client secret", method: http.MethodPost, Token: accessToken, cred: cred}
	a, err := c.do(adobehttp.Once(ctx), r)
	if err != nil {
		return nil, err
	}
	var added struct {
		secretJSON
		Value string `json:"client_secret"`
	}
	// The value counts even if some other part of the answer is odd: nobody
	// will ever get it again.
	_ = json.Unmarshal(a.body, &added)
	if added.Value == "" {
		return nil, r.malformed(a, errors.New("the answer is not JSON with the client_secret"))
	}
	return &NewSecret{ClientSecret: added.clientSecret(), Value: Secret(added.Value)}, nil
}

// Remove removes the client secret with the uuid for good; tokens obtained with
// it live on. A 404 counts as success, as the secret is gone. The console may
// answer the same about a credential that it does not know: List tells the
// two apart.
//
// The error is an *Error, unless ctx ended first. Since the request is repeated,
// the secret may be gone despite any error.
func (c *Client) Remove(ctx context.Context, accessToken Secret, cred Credential, uuid string) error {
	r := call{op: "removal of a client secret", method: http.MethodDelete, Token: accessToken, cred: cred, uuid: []string{uuid}}
	a, err := c.do(ctx, r)
	var failed *Error
	switch {
	case errors.As(err, &failed) && failed.Status == http.StatusNotFound:
		return nil
	case err != nil:
		return err
	}
	// A page says that something else than the console answered, and that the
	// secret may still be there. What Adobe sends with its 200 is not known.
	if body := bytes.TrimSpace(a.body); len(body) > 0 && !json.Valid(body) {
		return r.malformed(a, errors.New("the answer is neither empty nor JSON"))
	}
	return nil
}

// secretJSON is a client secret in the API's answers. Of "expires_at", nothing
// but "PERMANENT" is known.
type secretJSON struct {
	UUID    string `json:"uuid"`
	Created millis `json:"created_at"`
	Usages  []struct {
		Last millis `json:"last_used_at"`
	} `json:"secret_usages"` // one for each grant type, or null
}

func (s *secretJSON) clientSecret() ClientSecret {
	c := ClientSecret{UUID: s.UUID, Created: s.Created.Time}
	for _, usage := range s.Usages {
		if usage.Last.After(c.LastUsed) {
			c.LastUsed = usage.Last.Time
		}
	}
	return c
}

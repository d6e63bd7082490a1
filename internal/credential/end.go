// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"context"
	"fmt"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// almostOver is what a token has left at most that is not worth ending.
const almostOver = 2 * time.Second

// Issued is an access token and where it came from.
type Issued struct {
	Config   string // its name
	ClientID string
	IMSURL   string
	Token    secret.Secret
	Expires  time.Time // zero if not known
}

// end is when the token expires, in words.
func (t Issued) end() string {
	if t.Expires.IsZero() {
		return "it expires"
	}
	return t.Expires.UTC().Format(time.RFC3339)
}

// Unendable is a token that IMS cannot be asked to end, because the secret of
// its client is known no more.
type Unendable struct {
	Issued

	// Err is what came of asking without it.
	Err error
}

// Error implements error.
func (e *Unendable) Error() string {
	return fmt.Sprintf("a token of client_id %s at %s cannot be ended any more, and lives until %s: config/%s has another client or is gone, and with it the client_secret; IMS was asked without it: %s",
		e.ClientID, e.IMSURL, e.end(), e.Config, e.Err)
}

// Unwrap returns the cause.
func (e *Unendable) Unwrap() error { return e.Err }

// End ends an access token at its IMS. It returns nil only where the token is
// dead: IMS said so of it, or it has expired, or does so within two seconds; or
// where its credential was deleted at Adobe, so that nobody can be asked.
//
// The config may have been written or deleted since. The token goes to the IMS
// that it came from, and only its own client's secrets with it. An *Unendable
// says that trying again is of no use.
func (s *Store) End(ctx context.Context, t Issued) error {
	if !t.Expires.IsZero() && t.Expires.Sub(s.host.Clock.Now()) <= almostOver {
		return nil
	}
	stored, err := s.Get(ctx, t.Config)
	if err != nil {
		return err
	}
	c := stored.Value
	known := c != nil && c.ClientID == t.ClientID && c.IMSURL == t.IMSURL
	if known {
		_, err = s.Use(ctx, t.Config, c, func(client *ims.Client, credential ims.Credential) error {
			return client.Invalidate(ctx, credential, t.Token)
		})
	} else {
		err = s.endWithoutSecret(ctx, c, t)
	}
	switch {
	case err == nil:
		return nil
	case ims.ClientUnknown(err):
		s.host.Log.Warn("a token could not be ended because its credential was deleted at Adobe; it counts as ended",
			"config", t.Config, "client_id", t.ClientID, "expire_time", t.end(), "answer", err)
		return nil
	case c == nil && kindOf(err) != "", !known && kindOf(err) == ims.Refused:
		return &Unendable{Issued: t, Err: err}
	}
	return err
}

// endWithoutSecret asks the token's own IMS, which is reached as the config
// says if there is one.
func (s *Store) endWithoutSecret(ctx context.Context, c *Credential, t Issued) error {
	if c == nil {
		c = &Credential{Settings: Defaults()}
	}
	client, err := s.IMSAt(c, t.IMSURL)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Invalidate(ctx, ims.Credential{ClientID: t.ClientID}, t.Token)
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// accessTokenType is in every lease: it must never change.
const accessTokenType = "adobeims_access_token"

// What a lease keeps for its revocation beside the answer's own data.
const (
	leaseExclusive = "exclusive"
	leaseConfig    = "config"
	leaseIMSURL    = "ims_url"
)

// accessToken is the secret under lease. It cannot be renewed: the life of a
// token cannot be extended.
func (b *backend) accessToken() *framework.Secret {
	return &framework.Secret{
		Type:   accessTokenType,
		Fields: tokenAnswerFields(),
		Revoke: b.revokeAccessToken,
	}
}

// lease puts an answer under a lease as long as the token's life, or the role's
// max_ttl. Vault keeps the answer's data, the token included, with it.
func (b *backend) lease(data map[string]any, a tokens.Answer, now time.Time) *logical.Response {
	// Time has gone on since the token was chosen, and a TTL of 0 would be
	// Vault's default.
	ttl := max(a.Token.Remaining(now).Truncate(time.Second), tokens.MinLife)
	if a.Role.MaxTTL > 0 {
		ttl = min(ttl, a.Role.MaxTTL)
	}
	resp := b.Secret(accessTokenType).Response(data, map[string]any{
		leaseExclusive: a.Role.Exclusive,
		leaseConfig:    a.Token.Config,
		leaseIMSURL:    a.Token.IMSURL,
	})
	resp.Secret.TTL, resp.Secret.MaxTTL = ttl, ttl
	return resp
}

// revokeAccessToken ends a lease. A shared token stays as it is: others hold it.
// An exclusive one is invalidated at IMS. An error makes Vault try again.
func (b *backend) revokeAccessToken(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	if exclusive, _ := req.Secret.InternalData[leaseExclusive].(bool); !exclusive {
		return nil, nil
	}
	token, err := leasedToken(req, d)
	if err != nil {
		b.Logger().Error("a lease holds no token that could be invalidated; it counts as revoked", "lease", req.Secret.LeaseID, "error", err)
		return nil, nil
	}
	tainted := b.host.Node.Tainted()
	if tainted && b.upstreamFailing() {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tokens.EndLimit)
	defer cancel()
	if tainted {
		// The mount is being removed: one try, since Vault waits for all leases.
		ctx = ims.WithoutRetries(ctx)
	}
	err = b.End(ctx, token)
	var unendable *credential.Unendable
	if errors.As(err, &unendable) {
		b.Logger().Error("an exclusive token cannot be invalidated any more; its lease counts as revoked", "lease", req.Secret.LeaseID, "error", err)
		return nil, nil
	}
	if err != nil && tainted {
		b.noteUpstreamFailed()
		b.Logger().Warn("the mount is removed or moved while IMS fails: exclusive tokens live until they expire", "error", err)
		return nil, nil
	}
	return nil, err
}

// upstreamFailedFor is how long a failure counts for the other leases of a mount
// that is being removed. A move taints a mount as well, and is over some time.
const upstreamFailedFor = time.Minute

func (b *backend) upstreamFailing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.upstreamFailed.IsZero() && b.host.Clock.Since(b.upstreamFailed) < upstreamFailedFor
}

func (b *backend) noteUpstreamFailed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.upstreamFailed = b.host.Clock.Now()
}

// leasedToken is the token that a lease was given for.
func leasedToken(req *logical.Request, d *framework.FieldData) (*tokens.Token, error) {
	expires, err := time.Parse(time.RFC3339, d.Get("expire_time").(string))
	if err != nil {
		return nil, fmt.Errorf("expire_time: %w", err)
	}
	token := &tokens.Token{AccessToken: secret.Secret(d.Get("access_token").(string)), Expires: expires}
	token.ClientID = d.Get("client_id").(string)
	token.Config, _ = req.Secret.InternalData[leaseConfig].(string)
	token.IMSURL, _ = req.Secret.InternalData[leaseIMSURL].(string)
	if token.AccessToken == "" || token.ClientID == "" || token.Config == "" || token.IMSURL == "" {
		return nil, fmt.Errorf("it is incomplete")
	}
	return token, nil
}

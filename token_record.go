// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// tokenPrefix is where the shared tokens of each role are on record: local to
// the cluster, seal-wrapped, written once for each mint.
const tokenPrefix = "token/"

// record holds the shared tokens of a role that have not expired, oldest first.
// It is never changed in place.
type record struct {
	Tokens []*mintedToken `json:"tokens"`
}

// mintedToken is a token and what it was minted with. It is never changed in
// place.
type mintedToken struct {
	AccessToken ims.Secret `json:"access_token"`
	Issued      time.Time  `json:"issued"`
	Expires     time.Time  `json:"expires"`

	Config   string   `json:"config"`
	ClientID string   `json:"client_id"`
	IMSURL   string   `json:"ims_url"`
	OrgID    string   `json:"org_id,omitempty"`
	Scopes   []string `json:"scopes"`

	// Condemned tokens are to be invalidated and are handed to nobody.
	Condemned bool `json:"condemned,omitempty"`
}

func newMintedToken(t *ims.Token, r *role, c *config) *mintedToken {
	return &mintedToken{
		AccessToken: t.AccessToken,
		Issued:      t.Issued,
		Expires:     t.Expires,
		Config:      r.Config,
		ClientID:    c.ClientID,
		IMSURL:      c.IMSURL,
		OrgID:       c.OrgID,
		Scopes:      r.Scopes,
	}
}

// fits tells whether the token is what the role would mint today.
func (t *mintedToken) fits(r *role, c *config) bool {
	return t.ClientID == c.ClientID && t.IMSURL == c.IMSURL && t.OrgID == c.OrgID && slices.Equal(t.Scopes, r.Scopes)
}

// String names the token without giving it away.
func (t *mintedToken) String() string {
	return fmt.Sprintf("the token of %s (until %s)", timestamp(t.Issued), timestamp(t.Expires))
}

// newest returns the token to hand out, or nil.
func (r record) newest() *mintedToken {
	if len(r.Tokens) == 0 || r.Tokens[len(r.Tokens)-1].Condemned {
		return nil
	}
	return r.Tokens[len(r.Tokens)-1]
}

// living leaves out what has expired.
func (r record) living(now time.Time) record {
	var kept record
	for _, t := range r.Tokens {
		if t.Expires.After(now) {
			kept.Tokens = append(kept.Tokens, t)
		}
	}
	return kept
}

func (r record) with(t *mintedToken) record {
	return record{Tokens: append(slices.Clone(r.Tokens), t)}
}

// condemned marks every token of the record.
func (r record) condemned() record {
	var all record
	for _, t := range r.Tokens {
		c := *t
		c.Condemned = true
		all.Tokens = append(all.Tokens, &c)
	}
	return all
}

func loadRecord(ctx context.Context, s logical.Storage, role string) (record, error) {
	var r record
	entry, err := s.Get(ctx, tokenPrefix+role)
	if err != nil || entry == nil {
		return r, err
	}
	if err := entry.DecodeJSON(&r); err != nil {
		return r, fmt.Errorf("the stored entry %s%s cannot be read: %w", tokenPrefix, role, err)
	}
	return r, nil
}

// saveRecord stores the record, or deletes it if it is empty.
func saveRecord(ctx context.Context, s logical.Storage, role string, r record) error {
	if len(r.Tokens) == 0 {
		return s.Delete(ctx, tokenPrefix+role)
	}
	entry, err := logical.StorageEntryJSON(tokenPrefix+role, r)
	if err != nil {
		return err
	}
	return s.Put(ctx, entry)
}

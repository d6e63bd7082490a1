// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/metrics"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// metrics
func (b *backend) pathMetrics() *framework.Path {
	return &framework.Path{
		Pattern:         "metrics$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "Metrics of the mount in Prometheus' text format.",
		HelpDescription: pathMetricsHelpDesc,
		Operations: map[logical.Operation]framework.OperationHandler{
			// Only the active node mints, so only it knows.
			logical.ReadOperation: onActive(operation(b.readMetrics, "Read the metrics of the mount.", "read", "metrics",
				map[int][]framework.Response{http.StatusOK: {{Description: "Prometheus' text format.", MediaType: "text/plain"}}})),
		},
	}
}

func (b *backend) readMetrics(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	var text bytes.Buffer
	if err := b.metrics.Write(ctx, &text); err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		logical.HTTPContentType: metrics.ContentType,
		logical.HTTPStatusCode:  http.StatusOK,
		logical.HTTPRawBody:     text.Bytes(),
	}}, nil
}

// source is the metrics.Source of a backend.
type source struct{ b *backend }

// Roles implements metrics.Source.
func (s source) Roles(ctx context.Context) ([]metrics.Role, error) {
	names, statuses, err := s.b.allStatus(ctx)
	if err != nil {
		return nil, err
	}
	roles := make([]metrics.Role, 0, len(names))
	for i, status := range statuses {
		if status.err == nil {
			roles = append(roles, roleMetrics(names[i], status))
			continue
		}
		// One that was deleted meanwhile is no news.
		if r, err := s.b.roles.Get(ctx, names[i]); err != nil || r.Value != nil {
			roles = append(roles, metrics.Role{Name: names[i], State: metrics.Unknown})
		}
	}
	return roles, nil
}

func roleMetrics(name string, status roleStatus) metrics.Role {
	r := metrics.Role{
		Name: name, Config: status.config, State: status.state(),
		Outstanding: status.Outstanding, Uninvalidated: status.Uninvalidated,
		Reads: status.Reads, Mints: status.Mints, MintFailures: status.MintFailures,
		Unrevoked: unrevoked(status.authorization),
	}
	if status.Current != nil {
		r.Minted, r.Expires = status.Current.Issued, status.Current.Expires
	}
	if status.Failure != nil {
		r.Failures = status.Failure.Count
	}
	if status.authorization.Living() {
		r.AuthorizationExpires = status.authorization.Expires
	}
	return r
}

// unrevoked is how many refresh tokens on a record are still to be revoked.
func unrevoked(a *authorization.Authorization) int {
	switch {
	case a == nil:
		return 0
	case a.Condemned:
		return 1 + len(a.Unrevoked)
	}
	return len(a.Unrevoked)
}

// Leftovers implements metrics.Source. What is on record and of no role was left by
// one that was deleted.
func (s source) Leftovers(ctx context.Context) ([]metrics.Leftover, error) {
	recorded, err := s.b.host.Storage.List(ctx, tokens.Prefix)
	if err != nil {
		return nil, err
	}
	granted, err := s.b.authorizations.List(ctx)
	if err != nil {
		return nil, err
	}
	names, err := s.b.roles.List(ctx)
	if err != nil {
		return nil, err
	}
	left := slices.Concat(recorded, granted)
	slices.Sort(left)
	left = slices.DeleteFunc(slices.Compact(left), func(name string) bool {
		_, isRole := slices.BinarySearch(names, name)
		return isRole
	})
	var leftovers []metrics.Leftover
	for _, name := range left {
		l, err := s.leftover(ctx, name)
		if err != nil {
			return nil, err
		}
		if l.Uninvalidated+l.Unrevoked > 0 {
			leftovers = append(leftovers, l)
		}
	}
	return leftovers, nil
}

func (s source) leftover(ctx context.Context, name string) (metrics.Leftover, error) {
	outstanding, err := s.b.tokens.Outstanding(ctx, name)
	if err != nil {
		return metrics.Leftover{}, err
	}
	a, err := s.b.authorizations.Get(ctx, name)
	return metrics.Leftover{Role: name, Uninvalidated: outstanding, Unrevoked: unrevoked(a)}, err
}

// Configs implements metrics.Source.
func (s source) Configs(ctx context.Context) ([]metrics.Config, error) {
	names, err := s.b.credentials.List(ctx)
	if err != nil {
		return nil, err
	}
	configs := make([]metrics.Config, 0, len(names))
	for _, name := range names {
		stored, err := s.b.credentials.Get(ctx, name)
		if err == nil && stored.Value != nil {
			configs = append(configs, s.config(name, stored.Value))
		}
	}
	return configs, ctx.Err()
}

func (s source) config(name string, c *credential.Credential) metrics.Config {
	told := metrics.Config{
		Name: name, SecretSet: c.Set, NextRotation: c.NextRotation(s.b.host.Clock.Now()),
		Secrets: 1 + len(c.OtherUUIDs()), ThrottledUntil: s.b.pool.Quiet(c.IMSURL, c.ClientID),
	}
	told.RotationDue, told.RotationPeriod = planned(c)
	if c.RotationFailure != nil {
		told.RotationFailures = c.RotationFailure.Count
	}
	return told
}

// planned is when the current secret was or is to be rotated for the first time,
// and how long after that the next rotation is planned.
func planned(c *credential.Credential) (due time.Time, period time.Duration) {
	plan := *c
	plan.RotationWindow = 0
	if due = plan.NextRotation(plan.Set); due.IsZero() {
		return due, 0
	}
	plan.Set = due
	return due, plan.NextRotation(due).Sub(due)
}

// Requests implements metrics.Source.
func (s source) Requests() metrics.Requests {
	underWay, waiting := s.b.pool.Load()
	return metrics.Requests{UnderWay: underWay, Waiting: waiting}
}

const pathMetricsHelpDesc = `
Prometheus scrapes it with a Vault token whose policy may read this path:

  $ curl -H "Authorization: Bearer $VAULT_TOKEN" $VAULT_ADDR/v1/adobeims/metrics

The answer is the active node's, whichever node is asked. It holds no secret and no
token.
`

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"bytes"
	"context"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/metrics"
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

// Roles implements metrics.Source. A role that cannot be looked at now is left out.
func (s source) Roles(ctx context.Context) ([]metrics.Role, error) {
	names, statuses, err := s.b.allStatus(ctx)
	if err != nil {
		return nil, err
	}
	roles := make([]metrics.Role, 0, len(names))
	for i, status := range statuses {
		if status.err != nil {
			continue
		}
		r := metrics.Role{
			Name: names[i], Config: status.config, State: status.state(),
			Outstanding: status.Outstanding, Uninvalidated: status.Uninvalidated,
			Reads: status.Reads, Mints: status.Mints, MintFailures: status.MintFailures,
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
		roles = append(roles, r)
	}
	return roles, nil
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
		Name: name, SecretSet: c.Set, NextRotation: c.NextRotation(s.b.host.Clock.Now()), Secrets: 1 + len(c.OtherUUIDs()),
	}
	if c.RotationFailure != nil {
		told.RotationFailures = c.RotationFailure.Count
	}
	return told
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

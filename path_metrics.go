// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"bytes"
	"context"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

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

const pathMetricsHelpDesc = `
Prometheus scrapes it with a Vault token whose policy may read this path:

  $ curl -H "Authorization: Bearer $VAULT_TOKEN" $VAULT_ADDR/v1/adobeims/metrics

The answer is the active node's, whichever node is asked. It holds no secret and no
token.
`

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// event tells Vault's event system of something that happened at a path of the
// mount, such as adobeims/token-mint. Servers without events ignore it.
func (b *backend) event(ctx context.Context, kind, path string, metadata ...string) {
	metadata = append(metadata, logical.EventMetadataPath, path)
	if !strings.HasSuffix(kind, "-fail") {
		metadata = append(metadata, logical.EventMetadataModified, "true")
	}
	err := logical.SendEvent(ctx, b, "adobeims/"+kind, metadata...)
	if err != nil && !errors.Is(err, framework.ErrNoEvents) {
		b.Logger().Debug("an event was not sent", "event", kind, "path", path, "error", err)
	}
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
)

// BenchmarkCachedRead is what a read of a token in memory costs, the SDK's
// framework included.
func BenchmarkCachedRead(b *testing.B) {
	for name, leased := range map[string]bool{"leased": true, "leaseless": false} {
		b.Run(name, func(b *testing.B) {
			m := newServingMount(b)
			m.write("roles/firefly", map[string]any{"leased": leased})
			m.token("firefly")
			req := &logical.Request{Operation: logical.ReadOperation, Path: "token/firefly", Storage: m.storage, MountPoint: "adobeims/"}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.backend.HandleRequest(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"maps"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// A value of the wrong type may be a secret in the wrong place.
func TestWhatAFieldCannotBeIsNotRepeated(t *testing.T) {
	m := newServingMount(t)
	const stray = "p8e-in-the-wrong-place"
	for path, fields := range map[string][]string{
		"config/default": {
			"client_id", "client_secret", "verify", "max_retries", "request_timeout", "allow_management_scopes",
			"rotation_period", "rotation_window", "previous_secret_ttl",
		},
		"roles/firefly":     {"scopes", "exclusive", "leased", "verify", "min_ttl", "max_ttl"},
		"authorize/firefly": {"replace", "code"},
		"lookup":            {"token"},
	} {
		for _, name := range fields {
			for kind, value := range map[string]any{
				"an object": map[string]any{stray: stray},
				"a list":    []any{map[string]any{"a": stray}},
				"a text":    stray,
			} {
				t.Run(path+" "+name+" "+kind, func(t *testing.T) {
					data := maps.Clone(m.validConfig())
					if path != "config/default" {
						data = map[string]any{}
					}
					data[name] = value
					resp, err := m.handle(logical.UpdateOperation, path, data)
					require.NoError(t, err)
					if kind == "a text" && (resp == nil || !resp.IsError()) {
						return // it can be one
					}
					require.NotContains(t, resp.Error().Error(), stray)
					if kind != "a text" {
						require.Contains(t, resp.Error().Error(), name+": must be ")
					}
				})
			}
		}
	}
	for name, value := range map[string]any{"max_retries": "many", "verify": "perhaps", "rotation_period": "-5s"} {
		text := m.refused(400, logical.UpdateOperation, "config/default", map[string]any{name: value})
		require.Contains(t, text, name+": must be ")
	}
}

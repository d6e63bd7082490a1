// SPDX-License-Identifier: MPL-2.0

package metrics

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
)

// mount is a Source with everything set.
type mount struct{ roles []Role }

var start = time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)

func (m mount) Roles(context.Context) ([]Role, error) { return m.roles, nil }

func (mount) Leftovers(context.Context) ([]Leftover, error) {
	return []Leftover{{Role: "gone", Uninvalidated: 2, Unrevoked: 1}}, nil
}

func (mount) Configs(context.Context) ([]Config, error) {
	return []Config{{
		Name: "default", SecretSet: start, RotationDue: start, NextRotation: start, RotationPeriod: time.Hour,
		RotationFailures: 3, Secrets: 2, ThrottledUntil: start,
	}}, nil
}

func (mount) Requests() Requests { return Requests{UnderWay: 3, Waiting: 7} }

func roles(n int) (all []Role) {
	for i := range n {
		all = append(all, Role{
			Name: fmt.Sprintf("role-%06d", i), Config: "default", State: "ready", Minted: start, Expires: start.Add(time.Hour),
			Outstanding: 1, Reads: uint64(i), Mints: 2, MintFailures: 1, AuthorizationExpires: start,
		})
	}
	return all
}

// All that there is, with names, units and help as Prometheus' linter wants them.
func TestWrite(t *testing.T) {
	m := New(Build{Version: "v1", Commit: "c"}, mount{append(roles(1), Role{Name: "broken", State: Unknown})})
	m.Observe("IMS", "token", "success", 300*time.Millisecond)
	var text bytes.Buffer
	require.NoError(t, m.Write(t.Context(), &text))
	for _, line := range []string{
		`adobeims_role_state{config="",role="broken",state="unknown"} 1`,
		`adobeims_role_token_expire_timestamp_seconds{config="default",role="role-000000"} 1.7953416e+09`,
		`adobeims_role_uninvalidated_tokens{config="",role="gone"} 2`,
		`adobeims_authorization_unrevoked_refresh_tokens{config="",role="gone"} 1`,
		`adobeims_config_rotation_period_seconds{config="default"} 3600`,
		`adobeims_config_throttled_until_timestamp_seconds{config="default"}`,
		`adobeims_requests_waiting 7`,
		`adobeims_request_duration_seconds_bucket{endpoint="token",outcome="success",service="IMS",le="0.5"} 1`,
	} {
		require.Contains(t, text.String(), line)
	}
	require.NotContains(t, text.String(), `adobeims_role_reads_total{config="",role="broken"}`)
	problems, err := promlint.New(&text).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

// BenchmarkWrite is what a scrape costs the plugin, the looking at the roles not
// included.
func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprintf("roles=%d", n), func(b *testing.B) {
			m := New(Build{}, mount{roles(n)})
			var text bytes.Buffer
			require.NoError(b, m.Write(b.Context(), &text))
			b.ReportMetric(float64(text.Len()), "B/scrape")
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, m.Write(b.Context(), io.Discard))
			}
		})
	}
}

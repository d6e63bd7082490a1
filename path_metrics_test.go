// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func (m *mount) metrics() string {
	m.t.Helper()
	resp := m.read("metrics")
	require.Equal(m.t, "text/plain; version=0.0.4; charset=utf-8", resp.Data[logical.HTTPContentType])
	return string(resp.Data[logical.HTTPRawBody].([]byte))
}

func TestMetrics(t *testing.T) {
	m := newAuthorizedMount(t)
	token := m.token("firefly")
	m.token("firefly")
	text := m.metrics()
	for _, line := range []string{
		`adobeims_role_reads_total{config="default",role="firefly"} 2`,
		`adobeims_role_mints_total{config="default",outcome="success",role="firefly"} 1`,
		`adobeims_role_mints_total{config="default",outcome="failure",role="firefly"} 0`,
		`adobeims_role_state{config="default",role="firefly",state="ready"} 1`,
		`adobeims_role_outstanding_tokens{config="default",role="firefly"} 1`,
		`adobeims_role_consecutive_failures{config="default",role="firefly"} 0`,
		`adobeims_config_secrets{config="default"} 1`,
		`adobeims_requests_in_flight 0`,
		`adobeims_request_duration_seconds_count{endpoint="token",outcome="success",service="IMS"}`,
		`adobeims_build_info{commit="unknown",version="v0.1.0"} 1`,
		`go_goroutines`,
	} {
		require.Contains(t, text, line)
	}
	require.Contains(t, text, `adobeims_authorization_expire_timestamp_seconds{config="person",role="designer"}`)
	for _, secret := range []string{token, testClientSecret, m.refreshToken()} {
		require.NotContains(t, text, secret)
	}
	problems, err := promlint.New(bytes.NewReader([]byte(text))).Lint()
	require.NoError(t, err)
	require.Empty(t, problems, "Prometheus' own linter")
}

// The alert comes while tokens live, long before applications notice.
func TestMetricsInAnOutage(t *testing.T) {
	m := newServingMount(t)
	m.token("firefly")
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 503})
	m.clock.Advance(tokenLife / 2)
	m.eventually(func() bool { return m.read("status/firefly").Data["failures"] != 0 }, "a failure")
	text := m.metrics()
	require.Contains(t, text, `adobeims_role_state{config="default",role="firefly",state="degraded"} 1`)
	require.Contains(t, text, `adobeims_request_duration_seconds_count{endpoint="token",outcome="unavailable",service="IMS"}`)
	m.clock.Advance(tokenLife/2 + time.Minute)
	m.refused(503, logical.ReadOperation, "token/firefly", nil)
	require.Contains(t, m.metrics(), `adobeims_role_state{config="default",role="firefly",state="failing"} 1`)
}

// What a deleted role left alive is a kill switch unfinished as much as a living
// role's.
func TestMetricsOfWhatADeletedRoleLeft(t *testing.T) {
	m := newAuthorizedMount(t)
	m.token("firefly")
	require.NotContains(t, m.metrics(), `adobeims_role_uninvalidated_tokens{config=""`)
	require.Contains(t, m.metrics(), `adobeims_authorization_unrevoked_refresh_tokens{config="person",role="designer"} 0`)

	removeInvalidate := m.ims.Inject(emulator.Fault{Path: emulator.InvalidatePath, Status: 503})
	m.ims.Inject(emulator.Fault{Path: emulator.RevokePath, Status: 503})
	for _, role := range []string{"firefly", "designer"} {
		resp, err := m.delete("roles/" + role)
		require.NoError(t, err)
		require.NotEmpty(t, resp.Warnings)
	}
	text := m.metrics()
	require.Contains(t, text, `adobeims_role_uninvalidated_tokens{config="",role="firefly"} 1`)
	require.Contains(t, text, `adobeims_authorization_unrevoked_refresh_tokens{config="",role="designer"} 1`)
	require.NotContains(t, text, `adobeims_role_state{`)

	removeInvalidate()
	_, err := m.delete("token/firefly")
	require.NoError(t, err)
	require.NotContains(t, m.metrics(), `role="firefly"`)
}

// A role that cannot be looked at does not vanish, which would end its alerts.
func TestMetricsOfARoleThatCannotBeRead(t *testing.T) {
	m := newServingMount(t)
	m.write("roles/other", map[string]any{"scopes": "openid", "verify": false})
	require.NoError(t, m.storage.Put(t.Context(), &logical.StorageEntry{Key: "role/broken", Value: []byte("{")}))
	text := m.metrics()
	require.Contains(t, text, `adobeims_role_state{config="",role="broken",state="unknown"} 1`)
	require.NotContains(t, text, `adobeims_role_reads_total{config="",role="broken"}`)
	require.Contains(t, text, `adobeims_role_state{config="default",role="other",state="unproven"} 1`)
}

func TestMetricsOfRotation(t *testing.T) {
	m := newRotatingMount(t)
	text := m.metrics()
	for _, name := range []string{"rotation_due_timestamp", "next_rotation_timestamp", "rotation_period", "throttled_until_timestamp"} {
		require.NotContains(t, text, "adobeims_config_"+name, "none is planned")
	}

	m.write("config/default", map[string]any{"rotation_period": "720h", "verify": false})
	set := m.stored().Set
	m.clock.Advance(721 * time.Hour)
	text = m.metrics()
	require.Contains(t, text, sample("config_rotation_due_timestamp_seconds", set.Add(720*time.Hour)))
	require.Contains(t, text, sample("config_next_rotation_timestamp_seconds", set.Add(720*time.Hour)))
	require.Contains(t, text, `adobeims_config_rotation_period_seconds{config="default"} 2.592e+06`)

	// A window that goes by moves the next rotation on, and not when it was due.
	m.write("config/default", map[string]any{
		"rotation_period": 0, "rotation_schedule": "0 3 * * *", "rotation_window": "1h", "verify": false,
	})
	due := time.Date(set.Year(), set.Month(), set.Day(), 3, 0, 0, 0, time.UTC)
	if !due.After(set) {
		due = due.AddDate(0, 0, 1)
	}
	text = m.metrics()
	require.Contains(t, text, sample("config_rotation_due_timestamp_seconds", due))
	require.Contains(t, text, sample("config_next_rotation_timestamp_seconds", m.stored().NextRotation(m.clock.Now())))
	require.NotContains(t, text, sample("config_next_rotation_timestamp_seconds", due))
	require.Contains(t, text, `adobeims_config_rotation_period_seconds{config="default"} 86400`)

	m.rotate()
	require.NotContains(t, m.metrics(), sample("config_rotation_due_timestamp_seconds", due))
}

// sample is a line of config/default's, with a time.
func sample(name string, at time.Time) string {
	return fmt.Sprintf(`adobeims_%s{config="default"} %s`, name, strconv.FormatFloat(float64(at.UnixMilli())/1000, 'g', -1, 64))
}

// IMS may ask for an hour of quiet, of which no request tells any more.
func TestMetricsOfAThrottle(t *testing.T) {
	m := newServingMount(t)
	m.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 429, RetryAfter: "3600", Times: 1})
	m.refused(429, logical.ReadOperation, "token/firefly", nil)
	require.Contains(t, m.metrics(), sample("config_throttled_until_timestamp_seconds", m.clock.Now().Add(time.Hour)))
	m.clock.Advance(61 * time.Minute)
	require.NotContains(t, m.metrics(), "adobeims_config_throttled_until_timestamp_seconds{")
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"bytes"
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
	for _, secret := range []string{token, testClientSecret, m.refreshToken("designer")} {
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

// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// BenchmarkRead reads tokens that are in memory: with a lease for each reader
// and without, from this engine and from one that answers a constant.
func BenchmarkRead(b *testing.B) {
	vault, _ := start(b)
	mounts := append(engines(), constant)
	answers := map[string]any{}
	for _, mount := range engines() {
		for _, role := range []string{"leaseless", "leased"} {
			vault.Write(b, path(mount, "roles/"+role), vaulttest.Data{
				"scopes": "openid,AdobeID,firefly_api", "leased": role == "leased",
			})
			answers[role] = vault.Read(b, path(mount, "token/"+role)).Data
		}
	}
	encoded, err := json.Marshal(answers)
	require.NoError(b, err)
	vault.MountBeside(b, constant, "CONSTANT_ANSWERS="+string(encoded))

	m := newMeter(b, vault)
	// The leases come last: they pile up in Vault.
	for _, role := range []string{"leaseless", "leased"} {
		for round := range setting(b, "BENCH_ROUNDS", 6) {
			for turn := range mounts {
				mount := mounts[(round+turn)%len(mounts)] // each comes first in its turn
				at := path(mount, "token/"+role)
				if mount == constant {
					at = path(mount, role)
				}
				b.Run(fmt.Sprintf("role=%s/mount=%s/round=%d", role, short(mount), round), func(b *testing.B) {
					m.measure(b, mount, func(int) string { return at })
				})
			}
		}
	}
}

// short is how a benchmark names a mount.
func short(mount string) string {
	if mount == engine {
		return "engine"
	}
	return mount
}

// meter reads with many clients at once and takes the processor time for it.
type meter struct {
	vault   *vaulttest.Server
	client  *http.Client
	clients int
}

func newMeter(b *testing.B, vault *vaulttest.Server) *meter {
	b.Helper()
	clients := setting(b, "BENCH_CLIENTS", 32)
	transport := &http.Transport{MaxIdleConns: clients, MaxIdleConnsPerHost: clients}
	b.Cleanup(transport.CloseIdleConnections)
	return &meter{vault: vault, client: &http.Client{Transport: transport}, clients: clients}
}

// measure reads at(0) to at(b.N-1), from a mount of the plugin.
func (m *meter) measure(b *testing.B, plugin string, at func(i int) string) {
	b.Helper()
	vaultPID, pluginPID := m.vault.PID(), pluginPID(b, m.vault, plugin)
	vaultBefore, pluginBefore := processorTime(b, vaultPID), processorTime(b, pluginPID)
	b.ResetTimer()
	m.each(b, b.N, func(i int) error { return m.drain(at(i)) })
	b.StopTimer()
	if runtime.GOOS != "linux" {
		return
	}
	perRead := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(b.N) }
	inVault, inPlugin := processorTime(b, vaultPID)-vaultBefore, processorTime(b, pluginPID)-pluginBefore
	b.ReportMetric(perRead(inVault+inPlugin), "cpu-us/op")
	b.ReportMetric(perRead(inPlugin), "plugin-us/op")
}

// each does something with 0 to n-1, as many at once as there are clients.
func (m *meter) each(b *testing.B, n int, do func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var group errgroup.Group
	for range m.clients {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(b, group.Wait())
}

// drain reads a secret and does no more than a client has to.
func (m *meter) drain(path string) error {
	req, err := http.NewRequest(http.MethodGet, m.vault.Addr+"/v1/"+path, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", m.vault.RootToken)
	resp, err := m.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// SPDX-License-Identifier: MPL-2.0

package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// BenchmarkRoles has many roles in one mount, each with a token of its own. An
// operation is the read of a cached token of any of them. What can happen only
// once to a role was timed before:
//
//	write-us/role    writing it
//	mint-us/role     its first read, which has its token minted
//	load-us/role     its first read after a restart of the plugin
//	KiB/role         memory of the plugin after the first reads
//	loaded-KiB/role  the same, after the reads upon the restart
//	scrape-ms        a read of the metrics, one client and nothing else going on
//	scrape-KiB       what it answers
func BenchmarkRoles(b *testing.B) {
	vault, ims := start(b)
	m, n := newMeter(b, vault), setting(b, "BENCH_ROLES", 10_000)
	for _, mount := range engines() {
		r := &manyRoles{meter: m, ims: ims, mount: mount, n: n}
		first := r.first(b)
		b.Run(fmt.Sprintf("roles=%d/mount=%s", n, short(mount)), func(b *testing.B) {
			r.measure(b, mount, func(int) string { return r.token(rand.IntN(n)) })
			for unit, value := range first {
				b.ReportMetric(value, unit)
			}
		})
	}
}

// manyRoles are n roles in a mount.
type manyRoles struct {
	*meter
	ims   *emulator.Server
	mount string
	n     int
}

func (r *manyRoles) name(i int) string  { return fmt.Sprintf("role-%06d", i) }
func (r *manyRoles) token(i int) string { return path(r.mount, "token/"+r.name(i)) }

// first takes the times of what can happen only once, by the names of their
// units.
func (r *manyRoles) first(b *testing.B) map[string]float64 {
	b.Helper()
	mints := func() int { return r.ims.Count(emulator.TokenPath) }
	client := r.vault.Client(b).Logical()
	write := func(i int) error {
		// Without leases, whose memory is Vault's.
		_, err := client.Write(path(r.mount, "roles/"+r.name(i)), vaulttest.Data{
			"scopes": "openid,AdobeID," + r.name(i), "leased": false,
		})
		return err
	}
	read := func(i int) error { return r.drain(r.token(i)) }

	taken, empty, before := map[string]float64{}, r.memory(b), mints()
	taken["write-us/role"] = r.perRole(b, write)
	taken["mint-us/role"] = r.perRole(b, read)
	taken["KiB/role"] = (r.memory(b) - empty) / float64(r.n)
	require.GreaterOrEqual(b, mints()-before, r.n, "each role has a token of its own")

	before = mints()
	r.vault.Write(b, "sys/plugins/reload/backend", vaulttest.Data{"plugin": r.mount})
	taken["load-us/role"] = r.perRole(b, read)
	taken["loaded-KiB/role"] = (r.memory(b) - empty) / float64(r.n)
	require.Equal(b, before, mints(), "the tokens came from storage")
	if r.mount == engine { // the one from before may have no metrics
		taken["scrape-ms"], taken["scrape-KiB"] = r.scrape(b)
	}
	return taken
}

// scrape reads the metrics as Prometheus does, and returns the least time that
// took, in milliseconds, and the size of the answer in KiB.
func (r *manyRoles) scrape(b *testing.B) (took, size float64) {
	b.Helper()
	client := r.vault.Client(b).Logical()
	for range 5 {
		began := time.Now()
		response, err := client.ReadRaw(path(r.mount, "metrics"))
		require.NoError(b, err)
		n, err := io.Copy(io.Discard, response.Body)
		require.NoError(b, err)
		require.NoError(b, response.Body.Close())
		if ms := float64(time.Since(began).Microseconds()) / 1000; took == 0 || ms < took {
			took, size = ms, float64(n)/1024
		}
	}
	return took, size
}

// perRole does the same with each role and returns the time that took.
func (r *manyRoles) perRole(b *testing.B, do func(i int) error) float64 {
	b.Helper()
	began := time.Now()
	r.each(b, r.n, do)
	return float64(time.Since(began).Microseconds()) / float64(r.n)
}

// memory is the resident memory of the plugin, in KiB.
func (r *manyRoles) memory(b *testing.B) float64 {
	b.Helper()
	return residentMemory(b, pluginPID(b, r.vault, r.mount))
}

// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"context"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/host"
)

// newCachedRead returns a read of a role whose token, of the size of Adobe's, is
// in memory. The lookup is given: what it allocates is not this package's.
func newCachedRead(tb testing.TB) (read func() (Answer, error), storage *fakeStorage) {
	tb.Helper()
	spec := testSpec(1)
	clock := clockwork.NewRealClock()
	storage = &fakeStorage{Storage: &logical.InmemStorage{}, calls: map[string]int{}}
	node := &fakeNode{}
	node.mayWriteLocal.Store(true)
	ctx, stop := context.WithCancel(context.Background())
	tb.Cleanup(stop)
	h := &host.Host{Context: ctx, Clock: clock, Log: hclog.NewNullLogger(), Storage: storage, Node: node, Events: &fakeEvents{}}
	s := New(h, &entry.Order{}, func(context.Context, string) (Spec, error) { return spec, nil }, nil, nil)
	tb.Cleanup(s.Close)
	token := testToken(strings.Repeat("eyJhbGci", 150), spec, clock.Now(), day)
	require.NoError(tb, s.Adopt(ctx, spec, token))
	read = func() (Answer, error) { return s.Read(ctx, role) }
	answer, err := read()
	require.NoError(tb, err)
	require.Same(tb, token, answer.Token)
	return read, storage
}

// A cached read costs this package one allocation at most, and no storage.
func TestCachedRead(t *testing.T) {
	read, storage := newCachedRead(t)
	before := storage.total()
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { _, _ = read() }), 1.0)
	require.Equal(t, before, storage.total())
}

func BenchmarkCachedRead(b *testing.B) {
	read, _ := newCachedRead(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := read(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCachedReadParallel(b *testing.B) {
	read, _ := newCachedRead(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := read(); err != nil {
				b.Error(err)
			}
		}
	})
}

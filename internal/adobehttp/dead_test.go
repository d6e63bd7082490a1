// SPDX-License-Identifier: MPL-2.0

package adobehttp_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

// A burst leaves many HTTP/1 connections behind, and what swallows one swallows
// them all: attempts must not find that out one connection at a time.
func TestManyDeadConnectionsAreFoundOutAtOnce(t *testing.T) {
	const burst = 5
	var arrived sync.WaitGroup
	var first atomic.Int32
	arrived.Add(burst)
	url, _ := service(t, func(w http.ResponseWriter, r *http.Request) {
		if first.Add(1) <= burst {
			arrived.Done()
			arrived.Wait() // so that each takes a connection of its own
		}
		good(w, r)
	})
	r := newRelay(t, strings.TrimPrefix(url, "http://"))
	o := adobehttp.Options{URL: "http://" + r.Addr().String(), Timeout: time.Second, MaxRetries: 1}
	c := client(t, o)
	errs := make(chan error, burst)
	for range burst {
		go func() {
			_, err := post(t.Context(), c, newCall(), o.URL)
			errs <- err
		}()
	}
	for range burst {
		require.NoError(t, <-errs)
	}
	require.Equal(t, int32(burst), r.passed.Load())

	r.goDead()
	_, err := post(t.Context(), c, newCall(), o.URL)
	require.NoError(t, err)
}

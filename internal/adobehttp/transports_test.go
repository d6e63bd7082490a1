// SPDX-License-Identifier: MPL-2.0

package adobehttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

var (
	silent = log.New(io.Discard, "", 0)
	oldTLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
)

func gzipped(b []byte) []byte {
	var to bytes.Buffer
	w := gzip.NewWriter(&to)
	_, _ = w.Write(b)
	_ = w.Close()
	return to.Bytes()
}

// secureServer speaks HTTP/2.
func secureServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = silent
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func authority(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// counted is a server that counts its connections.
type counted struct {
	*httptest.Server
	opened atomic.Int32
	mu     sync.Mutex
	open   map[net.Conn]bool
}

func newCounted(t *testing.T, h http.HandlerFunc, secure bool) *counted {
	t.Helper()
	s := &counted{Server: httptest.NewUnstartedServer(h), open: map[net.Conn]bool{}}
	s.Config.ErrorLog = silent
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch state {
		case http.StateNew:
			s.opened.Add(1)
			s.open[c] = true
		case http.StateClosed, http.StateHijacked:
			delete(s.open, c)
		}
	}
	if s.EnableHTTP2 = secure; secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *counted) options() adobehttp.Options {
	if strings.HasPrefix(s.URL, "https:") {
		return adobehttp.Options{URL: s.URL, CACert: authority(s.Server)}
	}
	return adobehttp.Options{URL: s.URL}
}

func (s *counted) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// settles waits until as many connections are open at the server.
func (s *counted) settles(t *testing.T, want int) {
	t.Helper()
	require.Eventually(t, func() bool { return s.connections() == want }, 5*time.Second, 5*time.Millisecond)
}

func TestClientsShareConnections(t *testing.T) {
	for name, secure := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			s := newCounted(t, good, secure)
			p := newPool(t, newClock())
			clients := make([]*adobehttp.Client, 0, 50)
			for range 50 {
				c, err := p.Client(ims, s.options())
				require.NoError(t, err)
				clients = append(clients, c)
				_, err = post(t.Context(), c, newCall(), s.URL)
				require.NoError(t, err)
			}
			other := s.options()
			other.Timeout = time.Minute
			c := newClient(t, p, other)
			_, err := post(t.Context(), c, newCall(), s.URL)
			require.NoError(t, err)
			require.Equal(t, int32(2), s.opened.Load(), "one for each way to reach the server")

			for _, c := range clients[1:] {
				c.Close()
				c.Close()
			}
			_, err = post(t.Context(), clients[0], newCall(), s.URL)
			require.NoError(t, err)
			require.Equal(t, int32(2), s.opened.Load(), "closing twice counts once")
			clients[0].Close()
			s.settles(t, 1)
			c.Close()
			s.settles(t, 0)
		})
	}
}

func TestRequestsUnderWayFinish(t *testing.T) {
	for name, secure := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		for end, closing := range map[string]func(*adobehttp.Pool, *adobehttp.Client){
			"client": func(_ *adobehttp.Pool, c *adobehttp.Client) { c.Close() },
			"pool":   func(p *adobehttp.Pool, _ *adobehttp.Client) { p.Close() },
		} {
			t.Run(name+", "+end, func(t *testing.T) {
				g := newGate(good)
				s := newCounted(t, g.serve, secure)
				p := newPool(t, newClock())
				c := newClient(t, p, s.options())
				result := make(chan error, 1)
				go func() {
					_, err := post(context.Background(), c, newCall(), s.URL)
					result <- err
				}()
				<-g.came
				closing(p, c)
				close(g.answer)
				require.NoError(t, <-result)
				s.settles(t, 0)

				_, err := post(t.Context(), c, newCall(), s.URL)
				require.NoError(t, err, "who was given a client that was closed meanwhile may use it")
				s.settles(t, 0)
			})
		}
	}
}

// A config that is written again and again leaves nothing behind.
func TestClientsLeaveNothingBehind(t *testing.T) {
	s, slow := newCounted(t, good, false), newCounted(t, hang, true)
	p := newPool(t, newClock())
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(entries)
	}
	round := func(i int) {
		o := s.options()
		o.Timeout = time.Minute + time.Duration(i)
		c, err := p.Client(ims, o)
		require.NoError(t, err)
		_, err = post(t.Context(), c, newCall(), s.URL)
		require.NoError(t, err)
		c.Close()
		if i%10 > 0 {
			return
		}
		o = slow.options()
		o.Timeout = 20*time.Millisecond + time.Duration(i)
		c, err = p.Client(ims, o)
		require.NoError(t, err)
		_, err = post(t.Context(), c, newCall(), slow.URL)
		require.Error(t, err)
		c.Close()
	}
	round(0)
	s.settles(t, 0)
	slow.settles(t, 0)
	goroutines, files := runtime.NumGoroutine(), descriptors()
	for i := range 300 {
		round(i)
	}
	s.settles(t, 0)
	slow.settles(t, 0)
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+5 }, 5*time.Second, 10*time.Millisecond)
	require.LessOrEqual(t, descriptors(), files+5)
	transports, servers := p.Sizes()
	require.Zero(t, transports)
	require.Zero(t, servers)
}

// relay passes bytes between clients and a server until it is told to swallow
// those of the connections that it has by then, without closing them.
type relay struct {
	net.Listener
	mu      sync.Mutex
	swallow *atomic.Bool // of the connections from now on
	passed  atomic.Int32 // connections
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &relay{Listener: listener, swallow: &atomic.Bool{}}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			r.passed.Add(1)
			onward, err := net.Dial("tcp", to)
			if err != nil {
				_ = from.Close()
				continue
			}
			t.Cleanup(func() { _ = from.Close(); _ = onward.Close() })
			r.mu.Lock()
			swallow := r.swallow
			r.mu.Unlock()
			go pass(onward, from, swallow)
			go pass(from, onward, swallow)
		}
	}()
	return r
}

func pass(to, from net.Conn, swallow *atomic.Bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if !swallow.Load() {
			_, _ = to.Write(buffer[:n])
		}
	}
}

func (r *relay) goDead() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.swallow.Store(true)
	r.swallow = &atomic.Bool{}
}

func TestDeadConnectionIsFoundOut(t *testing.T) {
	server := secureServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			good(w, r)
		}
	})
	for name, test := range map[string]struct {
		retries int
		failing int // requests
	}{"the next attempt": {1, 0}, "the next request": {0, 1}} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t, server.Listener.Addr().String())
			o := adobehttp.Options{
				URL: "https://" + r.Addr().String(), CACert: authority(server), Timeout: 600 * time.Millisecond, MaxRetries: test.retries,
			}
			c := client(t, o)
			for range 3 {
				_, err := post(t.Context(), c, newCall(), o.URL)
				require.NoError(t, err)
			}
			require.Equal(t, int32(1), r.passed.Load())
			r.goDead()
			for range test.failing {
				_, err := post(t.Context(), c, newCall(), o.URL)
				require.Equal(t, adobehttp.Unreachable, failed(t, err).Kind)
			}
			_, err := post(t.Context(), c, newCall(), o.URL)
			require.NoError(t, err)
			require.Equal(t, int32(2), r.passed.Load())
		})
	}
}

// A server that takes its time still answers pings.
func TestSlowAnswerIsNoDeadConnection(t *testing.T) {
	server := secureServer(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(900 * time.Millisecond)
		good(w, r)
	})
	o := adobehttp.Options{URL: server.URL, CACert: authority(server), Timeout: time.Second}
	_, err := post(t.Context(), client(t, o), newCall(), o.URL)
	require.NoError(t, err)
}

func TestProxyIsHonored(t *testing.T) {
	// ProxyFromEnvironment reads the environment once in a process, and never
	// sends loopback addresses through a proxy: that it is asked is what
	// counts.
	require.NotNil(t, adobehttp.ProxyOf(client(t, adobehttp.Options{URL: "https://ims.example"})))
}

// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-cleanhttp"
)

const (
	// maxHeader is how much of an answer's header is read, in bytes.
	maxHeader = 64 << 10

	// maxIdle is how many connections to a server are kept: as many as it may
	// be sent requests at once.
	maxIdle = askingTurns + endingTurns

	keepAlive = 30 * time.Second
)

// connections are those to one server, and the transport that opens them. It
// knows them because a transport cannot close all of its own: it passes over
// one that was still being set up when its request timed out, and an HTTP/2 one
// from which such a request has not been removed yet.
type connections struct {
	base   *http.Transport
	dialer net.Dialer

	mu     sync.Mutex // guards what follows; nothing else is locked under it
	open   map[*connection]bool
	closed bool
}

type connection struct {
	net.Conn
	of *connections
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// newConnections opens no connection yet. HTTPS_PROXY, HTTP_PROXY and NO_PROXY
// of the environment apply. Idle connections close by themselves after 90
// seconds.
func newConnections(timeout time.Duration, authorities *x509.CertPool) *connections {
	base := cleanhttp.DefaultPooledTransport()
	// A connection is set up for whichever request needs one by then, so it is
	// not given up with the request that began it, but when no request of that
	// time can still be waiting.
	c := &connections{
		base:   base,
		dialer: net.Dialer{Timeout: timeout, KeepAlive: keepAlive},
		open:   map[*connection]bool{},
	}
	base.DialContext = c.dial
	base.TLSHandshakeTimeout = timeout
	base.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities}
	base.MaxIdleConnsPerHost = maxIdle
	base.MaxResponseHeaderBytes = maxHeader

	// An HTTP/2 connection carries many requests, so it outlives one that timed
	// out. If its other end is gone, that shows within one attempt, while the
	// attempt still waits: the next one opens another.
	base.ForceAttemptHTTP2 = true
	base.HTTP2 = &http.HTTP2Config{SendPingTimeout: timeout / 3, PingTimeout: timeout / 3}
	return c
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	dialed := &connection{Conn: conn, of: c}
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.open[dialed] = true
	}
	c.mu.Unlock()
	if closed {
		_ = conn.Close() // nobody waits for it any more
		return nil, net.ErrClosed
	}
	return dialed, nil
}

// close closes all connections, of which none may be in use.
func (c *connections) close() {
	c.base.CloseIdleConnections()
	c.mu.Lock()
	open := c.open
	c.open, c.closed = nil, true
	c.mu.Unlock()
	for conn := range open {
		_ = conn.Conn.Close() // what it carried is over
	}
}

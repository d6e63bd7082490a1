// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"time"
)

// transportKey is what clients have to have in common to share connections.
type transportKey struct {
	url, caCert string
	timeout     time.Duration
}

// transport is a way to reach a server. Its users are the clients that are open
// and the requests under way. All that changes is guarded by Pool.mu.
type transport struct {
	key         transportKey
	authorities *x509.CertPool // nil means the system's
	users       int
	connections *connections // nil if there are no users
}

// serverURL is a URL as servers and transports are told apart by it.
func serverURL(url string) string { return strings.TrimRight(url, "/") }

// openTransport counts a client in, at its transport and at its server.
func (p *Pool) openTransport(o Options) (*transport, error) {
	key := transportKey{url: o.URL, caCert: o.CACert, timeout: o.Timeout}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.transports[key]
	if t == nil {
		t = &transport{key: key}
		if o.CACert != "" {
			t.authorities = x509.NewCertPool()
			if !t.authorities.AppendCertsFromPEM([]byte(o.CACert)) {
				return nil, errors.New("the PEM bundle holds no certificate")
			}
		}
		p.transports[key] = t
	}
	t.enter()
	p.server(o.URL).clients++
	return t, nil
}

// closeTransport counts a client out.
func (p *Pool) closeTransport(t *transport) {
	p.mu.Lock()
	p.server(t.key.url).clients--
	p.dropServer(t.key.url)
	p.mu.Unlock()
	p.leaveTransport(t)
}

// useTransport counts a request in. That its client is closed already does not
// matter.
func (p *Pool) useTransport(t *transport) *http.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.enter()
	return t.connections.base
}

func (t *transport) enter() {
	if t.users == 0 {
		t.connections = newConnections(t.key.timeout, t.authorities)
	}
	t.users++
}

// leaveTransport counts a client or a request out. The last one closes the
// connections.
func (p *Pool) leaveTransport(t *transport) {
	p.mu.Lock()
	t.users--
	unused, last, closed := t.connections, t.users == 0, p.closed
	if last {
		t.connections = nil
		if p.transports[t.key] == t {
			delete(p.transports, t.key)
		}
	}
	p.mu.Unlock()
	switch {
	case last:
		unused.close()
	case closed:
		unused.base.CloseIdleConnections()
	}
}

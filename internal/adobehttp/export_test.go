// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"net/http"
	"net/url"
)

// Sizes is how many transports and servers the pool holds.
func (p *Pool) Sizes() (transports, servers int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.transports), len(p.servers)
}

// Waiting is how many requests wait at a server in either lane.
func (p *Pool) Waiting(url string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.servers[url]; s != nil {
		return s.asking.waiting + s.ending.waiting
	}
	return 0
}

// Shares is how many shares a server has in either lane.
func (p *Pool) Shares(url string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.servers[url]; s != nil {
		return len(s.asking.shares) + len(s.ending.shares)
	}
	return 0
}

// ProxyOf is how a client finds its proxy.
func ProxyOf(c *Client) func(*http.Request) (*url.URL, error) {
	return c.transport.connections.base.Proxy
}

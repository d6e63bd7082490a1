// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"sync"
	"time"
)

// Pool is what the clients of one mount share: connections, and the turns at
// each server. It is safe for concurrent use.
type Pool struct {
	userAgent string
	now       func() time.Time

	mu         sync.Mutex
	transports map[transportKey]*transport
	servers    map[string]*server // by URL
	closed     bool

	observe func(service, endpoint, outcome string, took time.Duration)
}

// Observe has every attempt of a request told to a function when it ends: whose
// service, which endpoint, "success" or the Kind that its answer was of by its
// status, and how long it took. It is called before the first request.
func (p *Pool) Observe(f func(service, endpoint, outcome string, took time.Duration)) { p.observe = f }

// Load returns how many requests are under way and how many wait for their turn.
func (p *Pool) Load() (underWay, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.servers {
		for _, l := range []*lane{s.asking, s.ending} {
			u, w := l.load()
			underWay, waiting = underWay+u, waiting+w
		}
	}
	return underWay, waiting
}

// NewPool returns a Pool. The user agent is sent with every request.
func NewPool(userAgent string, now func() time.Time) *Pool {
	return &Pool{
		userAgent:  userAgent,
		now:        now,
		transports: map[transportKey]*transport{},
		servers:    map[string]*server{},
		observe:    func(string, string, string, time.Duration) {},
	}
}

// Close closes the connections that no request uses, and the others as soon as
// their requests have finished.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	open := make([]*connections, 0, len(p.transports))
	for _, t := range p.transports {
		open = append(open, t.connections)
	}
	p.mu.Unlock()
	for _, c := range open {
		c.base.CloseIdleConnections()
	}
}

// Quiet returns until when a server asked to be left alone by the share; zero
// if it did not, or if that is over. With the last client of the server, it is
// forgotten.
func (p *Pool) Quiet(url, share string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.servers[serverURL(url)]; s != nil {
		if t := s.throttles[share]; t != nil && t.until.After(p.now()) {
			return t.until
		}
	}
	return time.Time{}
}

// EndQuiet lets the share ask the server again at once: for when an operator
// changed what it asks with.
func (p *Pool) EndQuiet(url, share string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.servers[serverURL(url)]; s != nil {
		delete(s.throttles, share)
	}
}

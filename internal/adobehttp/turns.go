// SPDX-License-Identifier: MPL-2.0

package adobehttp

import (
	"context"
	"fmt"
)

// server is the turns at one server, and the throttles of its shares. It exists
// as long as there are clients or requests of it, and is guarded by Pool.mu.
type server struct {
	clients        int
	asking, ending *lane
	throttles      map[string]*throttle // by share, of the asking lane
}

func (s *server) lane(call *Call) *lane {
	if call.Ending {
		return s.ending
	}
	return s.asking
}

// server returns the server at a URL; the caller holds Pool.mu.
func (p *Pool) server(url string) *server {
	s := p.servers[url]
	if s == nil {
		s = &server{
			asking:    newLane(askingTurns, maxWaitingAsking),
			ending:    newLane(endingTurns, maxWaitingEnding),
			throttles: map[string]*throttle{},
		}
		p.servers[url] = s
	}
	return s
}

// dropServer forgets a server that nobody uses; the caller holds Pool.mu.
func (p *Pool) dropServer(url string) {
	if s := p.servers[url]; s != nil && s.clients == 0 && s.asking.idle() && s.ending.idle() {
		delete(p.servers, url)
	}
}

// takeTurn waits until it is the request's turn, for as long as the caller
// does. The error is the context's own, or an *Error if the share is throttled
// or too many wait. Whoever took a turn gives it back.
func (c *Client) takeTurn(ctx context.Context, call *Call) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w, err := c.enter(call)
	if w == nil {
		return err
	}
	select {
	case throttled := <-w.result:
		if throttled != nil {
			return throttled.held(call.Op, c.pool.now())
		}
		return nil
	case <-ctx.Done():
		c.giveUpTurn(call, w)
		return ctx.Err()
	}
}

// enter takes a turn, or returns a waiter or an error.
func (c *Client) enter(call *Call) (*waiter, error) {
	p, url := c.pool, c.options.URL
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.server(url)
	defer p.dropServer(url)
	if !call.Ending {
		if t := s.throttles[call.Share]; t != nil && t.until.After(p.now()) {
			return nil, t.held(call.Op, p.now())
		}
	}
	w, full := s.lane(call).enter(call.Share)
	if full != "" {
		return nil, &Error{Service: c.service.Name, Op: call.Op, Kind: Throttled, Err: fmt.Errorf("%s %s", full, url)}
	}
	return w, nil
}

func (c *Client) giveUpTurn(call *Call, w *waiter) {
	p, url := c.pool, c.options.URL
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.server(url).lane(call)
	if !l.giveUp(call.Share, w) && <-w.result == nil {
		l.leave(call.Share) // the turn came while the caller went
	}
	p.dropServer(url)
}

func (c *Client) giveTurnBack(call *Call) {
	p, url := c.pool, c.options.URL
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server(url).lane(call).leave(call.Share)
	p.dropServer(url)
}

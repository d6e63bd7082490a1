// SPDX-License-Identifier: MPL-2.0

package faulty

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// maxRequests bounds the requests kept in full; the counters go on beyond it.
const maxRequests = 10_000

// Request is one that the Server was asked. It is shared: read it only.
type Request struct {
	Method string
	Path   string
	Header http.Header
	Form   url.Values // parameters in the body
	Query  url.Values // parameters in the URL
	Body   []byte
	Time   time.Time // of arrival, by the Server's clock
}

// journal records what the Server is asked.
type journal struct {
	mu       sync.Mutex
	total    counter
	paths    map[string]*counter
	requests []Request // the last maxRequests, as a ring once it is full
	oldest   int       // where the ring begins
}

type counter struct {
	requests int
	underway int
	peak     int
}

func (c *counter) begin() {
	c.requests++
	c.underway++
	c.peak = max(c.peak, c.underway)
}

// begin records r as arrived; the function it returns records that it was
// answered.
func (j *journal) begin(r Request) (end func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.paths == nil {
		j.paths = map[string]*counter{}
	}
	path := j.paths[r.Path]
	if path == nil {
		path = &counter{}
		j.paths[r.Path] = path
	}
	path.begin()
	j.total.begin()
	if len(j.requests) < maxRequests {
		j.requests = append(j.requests, r)
	} else {
		j.requests[j.oldest] = r
		j.oldest = (j.oldest + 1) % maxRequests
	}
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		path.underway--
		j.total.underway--
	}
}

// Requests returns what was asked at path, oldest first: "" is any path, and
// one that ends in * a prefix. It knows the last 10,000 requests of all paths
// together; [Server.Count] knows them all.
func (s *Server) Requests(path string) []Request {
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []Request
	for i := range j.requests {
		r := j.requests[(j.oldest+i)%len(j.requests)]
		if matchPath(path, r.Path) {
			found = append(found, r)
		}
	}
	return found
}

// Count returns how many requests there were at path: "" is any path, and one
// that ends in * a prefix.
func (s *Server) Count(path string) int {
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for p, c := range j.paths {
		if matchPath(path, p) {
			n += c.requests
		}
	}
	return n
}

// Peak returns the most requests that were under way at once at path, or at all
// paths together if it is "".
func (s *Server) Peak(path string) int {
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	if path == "" {
		return j.total.peak
	}
	if c := j.paths[path]; c != nil {
		return c.peak
	}
	return 0
}

// ResetCounters forgets all requests but those under way.
func (s *Server) ResetCounters() {
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	j.requests, j.oldest = nil, 0
	j.total.reset()
	for _, c := range j.paths {
		c.reset()
	}
}

// reset leaves the requests under way as the peak to start from; they are not
// counted again.
func (c *counter) reset() {
	c.requests, c.peak = 0, c.underway
}

// matchPath is how paths are named throughout: "" matches any, and an ending *
// any rest.
func matchPath(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == "" || pattern == path
}

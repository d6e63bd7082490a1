// SPDX-License-Identifier: MPL-2.0

// Package faulty wraps an [http.Handler] into a server that can be made to
// misbehave, and that remembers what it was asked. It knows nothing of what the
// handler does.
//
// # Usage
//
//	// Any handler will do. It is served from the loopback address until Stop.
//	server := faulty.New(handler, faulty.Options{})
//	url, err := server.Start("")
//	...
//	defer server.Stop()
//
//	// The third request from now on gets a proxy's page for an answer.
//	server.Inject(faulty.Fault{
//	  Skip: 2, Times: 1,
//	  Status: 403, ContentType: "text/html", Body: "<h1>Blocked",
//	  Header: map[string]string{"Via": "1.1 proxy.example.com"},
//	})
//
//	// Two requests for /things are answered, the others hang until the end
//	// of the fault.
//	remove := server.Inject(faulty.Fault{
//	  Path: "/things", Skip: 2, Hang: true,
//	})
//	...
//	remove()
//
//	// A call takes effect, and its client never learns so.
//	server.Inject(faulty.Fault{
//	  Method: http.MethodPost, Times: 1, After: true, Drop: true,
//	})
//
//	// What was asked, and how much of it at once.
//	server.Count("/things")
//	server.Peak("/things")
//	server.Requests("/things")[0].Form.Get("name")
//
// [Server.EnableControl] offers the same over HTTP, for people and scripts.
package faulty

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxRequestBody is more than any call needs; the rest of a longer body is cut
// off.
const maxRequestBody = 1 << 20

// Options are what a Server does beside its handler. All may be left out.
type Options struct {
	// Now is the time of arrival in a Request. nil = time.Now.
	Now func() time.Time
	// Latency is asked for each request: how long the answer is kept after the
	// handler has made it, in real time. nil = none.
	Latency func() time.Duration
	// Header sets the headers that every answer has, those of faults included.
	Header func(header http.Header, r *http.Request)
	// Error writes the answer to a Fault that has a Code; nil = as plain text.
	Error func(w http.ResponseWriter, r *http.Request, status int, code, description string)
}

// Server serves a handler. Its methods may be called at any time, from any
// goroutine.
type Server struct {
	handler http.Handler
	options Options

	control       http.Handler // nil unless EnableControl was called
	controlPrefix string

	journal  journal
	faults   faultList
	listener listener
}

// New returns a Server that is not listening yet.
func New(handler http.Handler, o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Latency == nil {
		o.Latency = func() time.Duration { return 0 }
	}
	if o.Header == nil {
		o.Header = func(http.Header, *http.Request) {}
	}
	if o.Error == nil {
		o.Error = func(w http.ResponseWriter, _ *http.Request, status int, code, description string) {
			http.Error(w, code+" "+description, status)
		}
	}
	return &Server{handler: handler, options: o}
}

// ServeHTTP records the request, lets it take effect, waits for the latency and
// answers, unless a fault strikes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.control != nil && strings.HasPrefix(r.URL.Path, s.controlPrefix) {
		s.control.ServeHTTP(w, r)
		return
	}
	defer s.journal.begin(readRequest(w, r, s.options.Now()))()
	s.options.Header(w.Header(), r)

	fault := s.faults.claim(r)
	answer := recorder{header: http.Header{}}
	if fault == nil || fault.After {
		s.handler.ServeHTTP(&answer, r)
	}
	if !s.waitLatency(r) {
		return
	}
	if fault != nil {
		s.strike(w, r, fault)
		return
	}
	answer.send(w)
}

// readRequest reads the whole body, without which net/http would not notice
// that the client went away, and parses the form.
func readRequest(w http.ResponseWriter, r *http.Request, now time.Time) Request {
	// A body that is too long or breaks off is taken as far as it came: the
	// call then lacks parameters.
	body, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	r.Body = io.NopCloser(bytes.NewReader(body))
	// Any body that is no form leaves the form with the query's parameters.
	_ = r.ParseMultipartForm(maxRequestBody)
	return Request{
		Method: r.Method,
		Path:   r.URL.Path,
		Header: r.Header.Clone(),
		Form:   r.PostForm,
		Query:  r.URL.Query(),
		Body:   body,
		Time:   now,
	}
}

// waitLatency reports whether the client is still there afterwards.
func (s *Server) waitLatency(r *http.Request) bool {
	d := s.options.Latency()
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// recorder holds an answer back until it is known whether it will be sent.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recorder) Header() http.Header { return a.header }

func (a *recorder) WriteHeader(status int) { a.status = status }

func (a *recorder) Write(b []byte) (int, error) { return a.body.Write(b) }

func (a *recorder) send(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(cmp.Or(a.status, http.StatusOK))
	_, _ = w.Write(a.body.Bytes()) // the client may be gone
}

// SPDX-License-Identifier: MPL-2.0

package faulty

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

const contentTypeJSON = "application/json;charset=UTF-8"

// Fault makes requests go wrong: those that Method, Path and Match all match.
//
// What it does instead of answering is the first of Drop, Redirect, a body, a
// Code that is set. With none of them, the answer is Status with no body. Hang
// alone answers nothing; with a body, it is the rest of the answer that never
// comes.
type Fault struct {
	Method string                   `json:"method,omitempty"` // "" matches any
	Path   string                   `json:"path,omitempty"`   // "" matches any; an ending * matches any rest
	Match  func(*http.Request) bool `json:"-"`                // nil matches any; the form is already parsed

	Skip  int  `json:"skip,omitempty"`  // how many matching requests it lets pass first
	Times int  `json:"times,omitempty"` // how often it strikes; 0 = until it is removed
	After bool `json:"after,omitempty"` // the call takes effect first, and only its answer is lost

	Status int               `json:"status,omitempty"` // 0 = 200 with a body, 302, 400 with a Code, otherwise 500
	Header map[string]string `json:"header,omitempty"` // of any kind of answer; "" leaves that header out
	// RetryAfter is the header of that name, for short.
	RetryAfter string `json:"retry_after,omitempty"`

	// An error answer of the kind that Options.Error writes.
	Code        string `json:"code,omitempty"`
	Description string `json:"description,omitempty"`

	// A body, sent as it is. Size or ContentType alone makes one, too.
	Body        string `json:"body,omitempty"`
	ContentType string `json:"content_type,omitempty"` // "" = JSON
	Size        int    `json:"size,omitempty"`         // Body is filled up with spaces to that many bytes
	Truncate    bool   `json:"truncate,omitempty"`     // promise a longer one than is sent

	Drop     bool   `json:"drop,omitempty"`     // close the connection without an answer
	Redirect string `json:"redirect,omitempty"` // to there
	// Hang lasts until the client goes away, the fault is removed or the Server
	// stops.
	Hang bool `json:"hang,omitempty"`
}

func (f *Fault) hasBody() bool {
	return f.Body != "" || f.ContentType != "" || f.Size > 0 || f.Truncate
}

// activeFault is a Fault from Inject until its removal.
type activeFault struct {
	Fault
	passed, struck int           // guarded by the list's mutex
	removed        chan struct{} // closed upon removal
}

// faultList holds faults in the order they were injected. Spent ones stay,
// because their requests may still hang.
type faultList struct {
	mu       sync.Mutex
	faults   []*activeFault
	released chan struct{} // closed to end what hangs at that moment; nil until something does
}

// Inject makes f strike from now on, after the faults injected earlier had
// their turn. Requests it keeps hanging when it is removed lose their
// connection.
func (s *Server) Inject(f Fault) (remove func()) {
	l := &s.faults
	active := &activeFault{Fault: f, removed: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, active)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if i := slices.Index(l.faults, active); i >= 0 {
			l.faults = slices.Delete(l.faults, i, i+1)
			close(active.removed)
		}
	}
}

// ClearFaults removes every fault.
func (s *Server) ClearFaults() {
	l := &s.faults
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.faults {
		close(f.removed)
	}
	l.faults = nil
}

// spent wants the list's mutex held.
func (f *activeFault) spent() bool { return f.Times > 0 && f.struck >= f.Times }

// claim returns the fault that strikes r, or nil.
func (l *faultList) claim(r *http.Request) *activeFault {
	l.mu.Lock()
	active := slices.DeleteFunc(slices.Clone(l.faults), (*activeFault).spent)
	l.mu.Unlock()
	for _, f := range active {
		// Unlocked, so that Match may call the Server.
		if f.matches(r) && l.take(f) {
			return f
		}
	}
	return nil
}

func (f *Fault) matches(r *http.Request) bool {
	return (f.Method == "" || f.Method == r.Method) && matchPath(f.Path, r.URL.Path) && (f.Match == nil || f.Match(r))
}

// take counts a matching request against f and reports whether f strikes it.
func (l *faultList) take(f *activeFault) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case f.spent(), !slices.Contains(l.faults, f):
		return false
	case f.passed < f.Skip:
		f.passed++
		return false
	}
	f.struck++
	return true
}

// release ends the requests that hang at this moment; the faults stay.
func (l *faultList) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.released != nil {
		close(l.released)
		l.released = nil
	}
}

// hang waits for the client to go away, for the fault's removal, or for
// release.
func (l *faultList) hang(r *http.Request, f *activeFault) {
	l.mu.Lock()
	if l.released == nil {
		l.released = make(chan struct{})
	}
	released := l.released
	l.mu.Unlock()
	select {
	case <-r.Context().Done():
	case <-f.removed:
	case <-released:
	}
}

func (s *Server) strike(w http.ResponseWriter, r *http.Request, f *activeFault) {
	f.setHeader(w.Header())
	switch {
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Redirect != "":
		w.Header().Set("Location", f.Redirect)
		w.WriteHeader(cmp.Or(f.Status, http.StatusFound))
	case f.hasBody():
		f.sendBody(w)
		if f.Hang {
			_ = http.NewResponseController(w).Flush() // the client may be gone
		}
	case f.Hang:
	case f.Code != "":
		s.options.Error(w, r, cmp.Or(f.Status, http.StatusBadRequest), f.Code, f.Description)
	default:
		w.WriteHeader(cmp.Or(f.Status, http.StatusInternalServerError))
	}
	if f.Hang {
		s.faults.hang(r, f)
		panic(http.ErrAbortHandler)
	}
}

func (f *Fault) setHeader(header http.Header) {
	if f.hasBody() {
		header.Set("Content-Type", cmp.Or(f.ContentType, contentTypeJSON))
	}
	if f.RetryAfter != "" {
		header.Set("Retry-After", f.RetryAfter)
	}
	for name, value := range f.Header {
		if value == "" {
			header[http.CanonicalHeaderKey(name)] = nil // keeps net/http from making one up
			continue
		}
		header.Set(name, value)
	}
}

func (f *Fault) sendBody(w http.ResponseWriter) {
	size := max(f.Size, len(f.Body))
	promised := size
	if f.Truncate || f.Hang {
		promised += 1000 // net/http closes the connection of an answer that keeps less than its promise
	}
	w.Header().Set("Content-Length", strconv.Itoa(promised))
	w.WriteHeader(cmp.Or(f.Status, http.StatusOK))
	_, err := w.Write([]byte(f.Body))
	spaces := bytes.Repeat([]byte(" "), 64<<10)
	for missing := size - len(f.Body); missing > 0 && err == nil; missing -= len(spaces) {
		_, err = w.Write(spaces[:min(missing, len(spaces))]) // an error: the client has heard enough
	}
}

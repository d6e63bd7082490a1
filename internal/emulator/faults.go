// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// Fault makes requests go wrong: those that Method, Path and Match all match. What it does instead of answering is the first of
// Hang, Drop, Redirect, a body (Body, Size, Truncate) that is set; with none of them, an error answer.
type Fault struct {
	Method string                   `json:"method,omitempty"` // "" matches any
	Path   string                   `json:"path,omitempty"`   // "" matches any; an ending * matches any rest
	Match  func(*http.Request) bool `json:"-"`                // nil matches any; the form is already parsed

	Times int  `json:"times,omitempty"` // how often it strikes; 0 = until it is removed
	Skip  int  `json:"skip,omitempty"`  // how many matching requests it lets pass first
	After bool `json:"after,omitempty"` // the call takes effect first, and only its answer is lost

	// An error answer in the shape of the endpoint. Without Code it has no body; Status 0 is then 500, otherwise 400.
	Status      int    `json:"status,omitempty"`
	Code        string `json:"code,omitempty"`
	Description string `json:"description,omitempty"`
	RetryAfter  string `json:"retry_after,omitempty"` // the header of that name, on any kind of answer

	Body        string `json:"body,omitempty"`         // sent as it is with Status (0 = 200)
	ContentType string `json:"content_type,omitempty"` // "" = JSON
	Truncate    bool   `json:"truncate,omitempty"`     // promise a longer Body than is sent
	Size        int    `json:"size,omitempty"`         // Body is filled up with spaces to that many bytes

	Hang     bool   `json:"hang,omitempty"`     // answer nothing until the client goes away, the fault is removed or the Server stops
	Drop     bool   `json:"drop,omitempty"`     // close the connection without an answer
	Redirect string `json:"redirect,omitempty"` // to there, with Status (0 = 302)
}

// activeFault is a Fault from Inject until its removal.
type activeFault struct {
	Fault
	passed, struck int           // guarded by the list's mutex
	removed        chan struct{} // closed upon removal
}

// faultList holds faults in the order they were injected. Spent ones stay, because their requests may still hang.
type faultList struct {
	mu       sync.Mutex
	faults   []*activeFault
	released chan struct{} // closed to end what hangs at that moment; nil until something does
}

// Inject makes f strike from now on, after the faults injected earlier had their turn. Requests it keeps hanging when it is removed
// lose their connection.
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

// hang waits for the client to go away, for the fault's removal, or for release.
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
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	switch {
	case f.Hang:
		s.faults.hang(r, f)
		panic(http.ErrAbortHandler)
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Redirect != "":
		w.Header().Set("Location", f.Redirect)
		w.WriteHeader(orDefault(f.Status, http.StatusFound))
	case f.Body != "" || f.Size > 0 || f.Truncate:
		f.sendBody(w)
	case f.Code == "":
		w.WriteHeader(orDefault(f.Status, http.StatusInternalServerError))
	default:
		status := orDefault(f.Status, http.StatusBadRequest)
		if isConsole(r) {
			gatewayError{Status: status, Code: f.Code, Message: f.Description}.write(w)
		} else {
			imsError{status: status, Code: f.Code, Description: f.Description}.write(w)
		}
	}
}

func (f *Fault) sendBody(w http.ResponseWriter) {
	size := max(f.Size, len(f.Body))
	promised := size
	if f.Truncate {
		promised += 1000 // net/http closes the connection of an answer that keeps less than its promise
	}
	w.Header().Set("Content-Type", orDefault(f.ContentType, contentTypeJSON))
	w.Header().Set("Content-Length", strconv.Itoa(promised))
	w.WriteHeader(orDefault(f.Status, http.StatusOK))
	_, err := w.Write([]byte(f.Body))
	spaces := bytes.Repeat([]byte(" "), 64<<10)
	for missing := size - len(f.Body); missing > 0 && err == nil; missing -= len(spaces) {
		_, err = w.Write(spaces[:min(missing, len(spaces))]) // an error: the client has heard enough
	}
}

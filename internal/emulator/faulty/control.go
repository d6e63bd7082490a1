// SPDX-License-Identifier: MPL-2.0

package faulty

import (
	"encoding/json"
	"net/http"
)

// EnableControl lets whoever reaches the Server make it misbehave, at paths
// that begin with prefix, which ends in a slash:
//
//	POST   fault     adds a Fault, which is the body as JSON
//	DELETE fault     removes all faults
//	GET    counters  tells the requests at each path, and the most at once
//
// Answers are lines of JSON. Requests there are neither recorded nor struck by
// faults. It is to be called before the Server serves; the caller may add to
// the mux it returns until then.
func (s *Server) EnableControl(prefix string) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+prefix+"fault", s.controlInject)
	mux.HandleFunc("DELETE "+prefix+"fault", s.controlClear)
	mux.HandleFunc("GET "+prefix+"counters", s.controlCounters)
	s.controlPrefix, s.control = prefix, mux
	return mux
}

func (s *Server) controlInject(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if !ReadControl(w, r, &f) {
		return
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		http.Error(w, "status must be from 200 to 599", http.StatusBadRequest)
		return
	}
	s.Inject(f)
	WriteControl(w, http.StatusCreated, f)
}

func (s *Server) controlClear(w http.ResponseWriter, _ *http.Request) {
	s.ClearFaults()
	WriteControl(w, http.StatusOK, struct{}{})
}

func (s *Server) controlCounters(w http.ResponseWriter, _ *http.Request) {
	type count struct {
		Requests int `json:"requests"`
		Peak     int `json:"peak"`
	}
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	counts := map[string]count{}
	for path, c := range j.paths {
		counts[path] = count{Requests: c.requests, Peak: c.peak}
	}
	WriteControl(w, http.StatusOK, counts)
}

// ReadControl reads the body as JSON into v, whatever its Content-Type: that of
// curl -d is a form's. It answers what is wrong, and reports whether all is
// well.
func ReadControl(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		http.Error(w, "the body is not the JSON object that belongs here: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// WriteControl answers v as a line of JSON.
func WriteControl(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", contentTypeJSON)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // ends with a newline; the client may be gone
}

// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const controlPrefix = "/emulator/"

// EnableControl lets whoever reaches the Server make it misbehave, under /emulator/: see the program cmd/adobe-emulator. Call it
// before the Server serves.
func (s *Server) EnableControl() {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /emulator/fault", s.controlInject)
	mux.HandleFunc("DELETE /emulator/fault", s.controlClear)
	mux.HandleFunc("GET /emulator/counters", s.controlCounters)
	mux.HandleFunc("POST /emulator/token-life", s.controlTokenLife)
	s.control = mux
}

func (s *Server) controlInject(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if err := decode(w, r, &f, f.formFields()); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > 599) {
		http.Error(w, "status must be from 200 to 599", http.StatusBadRequest)
		return
	}
	s.Inject(f)
	writeJSON(w, http.StatusCreated, f)
}

func (s *Server) controlClear(w http.ResponseWriter, _ *http.Request) {
	s.ClearFaults()
	w.WriteHeader(http.StatusNoContent)
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
	writeJSON(w, http.StatusOK, counts)
}

func (s *Server) controlTokenLife(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Life string `json:"life"`
	}
	if err := decode(w, r, &body, map[string]any{"life": &body.Life}); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	life, err := time.ParseDuration(body.Life)
	if err != nil || life <= 0 {
		http.Error(w, "life must be a positive duration such as 90s or 1h", http.StatusBadRequest)
		return
	}
	s.SetTokenLife(life)
	w.WriteHeader(http.StatusNoContent)
}

// formFields are where the parameters of a form go, by the names that JSON has for them.
func (f *Fault) formFields() map[string]any {
	return map[string]any{
		"method": &f.Method, "path": &f.Path,
		"times": &f.Times, "skip": &f.Skip, "after": &f.After,
		"status": &f.Status, "code": &f.Code, "description": &f.Description, "retry_after": &f.RetryAfter,
		"body": &f.Body, "content_type": &f.ContentType, "truncate": &f.Truncate, "size": &f.Size,
		"hang": &f.Hang, "drop": &f.Drop, "redirect": &f.Redirect,
	}
}

// decode reads r's body as JSON into v, or as a form into fields.
func decode(w http.ResponseWriter, r *http.Request, v any, fields map[string]any) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBody)
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		if err := r.ParseForm(); err != nil {
			return err
		}
		return decodeForm(r.Form, fields)
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func decodeForm(form url.Values, fields map[string]any) error {
	for name, values := range form {
		var err error
		switch field := fields[name].(type) {
		case *string:
			*field = values[0]
		case *int:
			*field, err = strconv.Atoi(values[0])
		case *bool:
			*field, err = strconv.ParseBool(values[0])
		default:
			err = errors.New("no such parameter")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

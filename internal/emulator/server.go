// SPDX-License-Identifier: MPL-2.0

// Package emulator is Adobe's side of the wire, for tests and for the demo: the Identity Management System (IMS) that issues
// tokens, the page on which a person signs in and consents, and the Developer Console's API for client secrets.
//
// It keeps to what Adobe documents and to what Adobe's own open-source clients rely on. Where Adobe's behaviour is not publicly
// known, a field of [Options] sets it to either, and says which is the default. Every answer can be made to go wrong with a [Fault].
//
// A Server is an [http.Handler]; [Server.Start] serves it on an address of its own. It is no authorization server: anybody may sign
// in as anybody, secrets are kept in plain text, and what it was asked is recorded with its credentials.
package emulator

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
)

// Where IMS serves what. [SecretsPath] is the Developer Console's.
const (
	TokenPath      = "/ims/token/v3"
	AuthorizePath  = "/ims/authorize/v2"
	InvalidatePath = "/ims/invalidate_token/v2"
	RevokePath     = "/ims/revoke"
	ValidatePath   = "/ims/validate_token/v1"
	KeysPath       = "/ims/keys"
)

// maxRequestBody is more than any call needs; the rest of a longer body is cut off.
const maxRequestBody = 1 << 20

// Server emulates IMS and the Developer Console. Its methods may be called at any time, from any goroutine.
type Server struct {
	clock    clockwork.Clock
	key      *rsa.PrivateKey
	mux      *http.ServeMux
	control  http.Handler // nil unless EnableControl was called
	journal  journal
	faults   faultList
	listener listener

	mu          sync.Mutex // guards what follows
	opts        Options
	clients     map[string]*client
	codes       map[string]*authorization
	tokens      map[tokenKey]*issuedToken
	alterToken  func(map[string]any)
	alterClaims func(map[string]any)
}

// New returns a Server without clients, not yet listening. All Servers of a process sign with the same key.
func New(o Options) *Server {
	o.setDefaults()
	s := &Server{
		clock:   o.Clock,
		key:     signingKey(),
		mux:     http.NewServeMux(),
		opts:    o,
		clients: map[string]*client{},
		codes:   map[string]*authorization{},
		tokens:  map[tokenKey]*issuedToken{},
	}
	s.mux.HandleFunc("POST "+TokenPath, s.serveToken)
	s.mux.HandleFunc("GET "+AuthorizePath, s.serveSignIn)
	s.mux.HandleFunc("POST "+AuthorizePath, s.serveDecision)
	s.mux.HandleFunc("POST "+InvalidatePath, s.serveInvalidate)
	s.mux.HandleFunc("POST "+RevokePath, s.serveRevoke)
	s.mux.HandleFunc(ValidatePath, s.serveValidate)
	s.mux.HandleFunc("GET "+KeysPath, s.serveKeys)
	s.mux.HandleFunc("GET "+SecretsPath("{org}", "{credential}"), s.serveListSecrets)
	s.mux.HandleFunc("POST "+SecretsPath("{org}", "{credential}"), s.serveAddSecret)
	s.mux.HandleFunc("DELETE "+SecretsPath("{org}", "{credential}")+"/{uuid}", s.serveRemoveSecret)
	// Clients in the field end this one with a slash.
	s.mux.HandleFunc("DELETE "+SecretsPath("{org}", "{credential}")+"/{uuid}/{$}", s.serveRemoveSecret)
	return s
}

// ServeHTTP records the request, lets it take effect, waits for the latency and answers, unless a fault strikes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.control != nil && strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.control.ServeHTTP(w, r)
		return
	}
	defer s.journal.begin(readRequest(w, r, s.clock.Now()))()
	w.Header().Set("Date", s.clock.Now().UTC().Format(http.TimeFormat))
	if isConsole(r) {
		w.Header().Set("X-Request-Id", newID())
	} else {
		w.Header().Set("X-Debug-Id", newID())
	}

	fault := s.faults.claim(r)
	answer := recorder{header: http.Header{}}
	if fault == nil || fault.After {
		s.mux.ServeHTTP(&answer, r)
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

// readRequest reads the whole body, without which net/http would not notice that the client went away, and parses the form.
func readRequest(w http.ResponseWriter, r *http.Request, now time.Time) Request {
	// A body that is too long or breaks off is taken as far as it came: the call then lacks parameters.
	body, _ := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	r.Body = io.NopCloser(bytes.NewReader(body))
	// Adobe's JavaScript clients send multipart forms. Any other body leaves the form with the query's parameters.
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
	d := s.options().Latency
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
	w.WriteHeader(orDefault(a.status, http.StatusOK))
	_, _ = w.Write(a.body.Bytes()) // the client may be gone
}

// newID returns 32 random hexadecimal digits, the shape of most of Adobe's identifiers.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// orDefault returns v unless it is its type's zero value.
func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

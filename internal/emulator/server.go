// SPDX-License-Identifier: MPL-2.0

// Package emulator is Adobe's side of the wire, for tests and for the demo: the
// Identity Management System (IMS) that issues tokens, the page on which a
// person signs in and consents, and the Developer Console's API for client
// secrets.
//
// It keeps to what Adobe documents and to what Adobe's own open-source clients
// rely on, which work with it as they are. Where Adobe's behaviour is not
// publicly known, a field of [Options] sets it to either, and says which is the
// default. It is no authorization server: anybody may sign in as anybody,
// secrets are kept in plain text, and what it was asked is recorded with its
// credentials.
//
// # Usage
//
//	// Adobe with a credential that may be granted two scopes.
//	adobe := emulator.New(emulator.Options{})
//	adobe.AddClient(emulator.Client{
//	  ID:      "client",
//	  Secrets: []string{"secret"},
//	  Scopes:  []string{"openid", "AdobeID"},
//	})
//	url, err := adobe.Start("") // on a free port of the loopback address
//	...
//	defer adobe.Stop()
//
//	// What clients did: how often they asked for tokens, whether one lives.
//	adobe.Count(emulator.TokenPath)
//	adobe.Valid(token)
//
//	// Options can be changed while it runs.
//	adobe.Configure(func(o *emulator.Options) { o.TokenLife = time.Minute })
//
//	// Every answer can be made to go wrong: see package faulty.
//	remove := adobe.Inject(emulator.Fault{
//	  Path: emulator.TokenPath, Status: 503, RetryAfter: "2",
//	})
//	...
//	remove()
//
//	// A person signs in at a URL that an application made, and consents. The
//	// browser is then sent to redirect.
//	redirect, err := adobe.AllowAs(authorizeURL, "ann@example.com")
package emulator

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator/faulty"
)

// Where IMS serves what, in the versions that are current. Earlier ones and v4
// of the token endpoint are served too, and each path with a slash at its end.
// [SecretsPath] is the Developer Console's.
const (
	TokenPath      = "/ims/token/v3"
	AuthorizePath  = "/ims/authorize/v2"
	InvalidatePath = "/ims/invalidate_token/v2"
	RevokePath     = "/ims/revoke"
	ValidatePath   = "/ims/validate_token/v1"
	KeysPath       = "/ims/keys"
	DiscoveryPath  = "/ims/.well-known/openid-configuration"
)

// Fault makes requests go wrong.
type Fault = faulty.Fault

// Request is one that the Server was asked.
type Request = faulty.Request

// Server emulates IMS and the Developer Console. Its methods may be called at
// any time, from any goroutine. Those to start and stop it, to have faults and
// to look at requests are [faulty.Server]'s.
type Server struct {
	*faulty.Server
	clock clockwork.Clock
	key   *rsa.PrivateKey
	mux   *http.ServeMux

	mu          sync.Mutex // guards what follows
	opts        Options
	clients     map[string]*client
	codes       map[tokenKey]*authorization
	tokens      map[tokenKey]*issuedToken
	alterToken  func(map[string]any)
	alterClaims func(map[string]any)
}

// New returns a Server without clients, not yet listening. All Servers of a
// process sign with the same key.
func New(o Options) *Server {
	o.setDefaults()
	s := &Server{
		clock:   o.Clock,
		key:     signingKey(),
		mux:     http.NewServeMux(),
		opts:    o,
		clients: map[string]*client{},
		codes:   map[tokenKey]*authorization{},
		tokens:  map[tokenKey]*issuedToken{},
	}
	s.routes()
	s.Server = faulty.New(http.HandlerFunc(s.serve), faulty.Options{
		Now:     s.clock.Now,
		Latency: func() time.Duration { return s.options().Latency },
		Header:  s.setHeader,
		Error:   writeError,
	})
	return s
}

func (s *Server) routes() {
	s.mux.HandleFunc("POST /ims/token/v1", s.tokenEndpoint(tokenVersion{unit: time.Millisecond, userID: true}))
	s.mux.HandleFunc("POST /ims/token/v2", s.tokenEndpoint(tokenVersion{unit: time.Second, userID: true}))
	s.mux.HandleFunc("POST "+TokenPath, s.tokenEndpoint(tokenVersion{unit: time.Second}))
	s.mux.HandleFunc("POST /ims/token/v4", s.tokenEndpoint(tokenVersion{unit: time.Second}))
	for _, path := range []string{"/ims/authorize/v1", AuthorizePath} {
		s.mux.HandleFunc("GET "+path, s.serveSignIn)
		s.mux.HandleFunc("POST "+path, s.serveDecision)
	}
	s.mux.HandleFunc("POST "+InvalidatePath, s.serveInvalidate)
	s.mux.HandleFunc("POST "+RevokePath, s.serveRevoke)
	s.mux.HandleFunc(ValidatePath, s.serveValidate)
	s.mux.HandleFunc("GET "+KeysPath, s.serveKeys)
	s.mux.HandleFunc("GET "+DiscoveryPath, s.serveDiscovery)
	s.mux.HandleFunc("GET "+strings.TrimPrefix(DiscoveryPath, "/ims"), s.serveDiscovery)
	secrets := SecretsPath("{org}", "{credential}")
	s.mux.HandleFunc("GET "+secrets, s.serveListSecrets)
	s.mux.HandleFunc("POST "+secrets, s.serveAddSecret)
	s.mux.HandleFunc("DELETE "+secrets+"/{uuid}", s.serveRemoveSecret)
}

// serve answers r as if its path had no slash at its end, as some clients have
// it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if path, ok := strings.CutSuffix(r.URL.Path, "/"); ok && path != "" {
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = path, ""
	}
	s.mux.ServeHTTP(w, r)
}

// setHeader sets what each of Adobe's answers has.
func (s *Server) setHeader(header http.Header, r *http.Request) {
	header.Set("Date", s.clock.Now().UTC().Format(http.TimeFormat))
	id := "X-Debug-Id"
	if isConsole(r) {
		id = "X-Request-Id"
	}
	header.Set(id, newID())
}

// newID returns 32 random hexadecimal digits, the shape of most of Adobe's
// identifiers.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

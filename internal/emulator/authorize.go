// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// codeLife is the longest that RFC 6749 recommends; Adobe documents none.
	codeLife = 10 * time.Minute
	// maxState is the documented limit.
	maxState = 4096
	// defaultPerson signs in where nobody says who does.
	defaultPerson = "person@example.com"
	userIDSuffix  = "@AdobeID"
)

// authorization is what a person consented to, until its code is exchanged for
// tokens.
type authorization struct {
	grant
	asked           []string // scopes; those granted may be fewer
	challenge       string   // PKCE; "" = none
	challengeMethod string
	nonce           string
	expires         time.Time
}

// authorizeRequest is an application's request that a person authorize it.
type authorizeRequest struct {
	client      *client
	redirectURI *url.URL
	asked       []string   // scopes
	granted     []string   // those of them that the application may have; none: the request is refused
	params      url.Values // as they came
}

// Allow is [Server.AllowAs] for a person of no importance.
func (s *Server) Allow(authorizeURL string) (redirect string, err error) {
	return s.AllowAs(authorizeURL, defaultPerson)
}

// AllowAs signs in and consents as a person would on the page at authorizeURL,
// and returns where Adobe would send the browser: the redirect URI, with code
// and state or with error. The person is an e-mail address or a user ID, see
// [UserID].
//
// A browser, or anything that speaks HTTP, does the same with a POST of email
// and decision (allow or deny) to authorizeURL.
func (s *Server) AllowAs(authorizeURL, person string) (redirect string, err error) {
	return s.decide(authorizeURL, person, true)
}

// Deny is [Server.Allow] for a person who does not consent.
func (s *Server) Deny(authorizeURL string) (redirect string, err error) {
	return s.decide(authorizeURL, defaultPerson, false)
}

// UserID is the sub and user_id of a person: made from an e-mail address, the
// same one each time, unless the person is such an ID already.
func UserID(person string) string {
	if strings.HasSuffix(person, userIDSuffix) {
		return person
	}
	return accountID(person) + userIDSuffix
}

func (s *Server) decide(authorizeURL, person string, allow bool) (string, error) {
	u, err := url.Parse(authorizeURL)
	if err != nil {
		return "", err
	}
	a, err := s.parseAuthorize(u.Query())
	if err != nil {
		return "", err
	}
	return s.outcome(a, person, allow), nil
}

func (s *Server) serveSignIn(w http.ResponseWriter, r *http.Request) {
	a, err := s.parseAuthorize(r.Form)
	if err != nil {
		writeErrorPage(w, err)
		return
	}
	if code := a.refusal(); code != "" {
		http.Redirect(w, r, a.redirect("error", code), http.StatusFound)
		return
	}
	writeSignInPage(w, r.URL.Path, a)
}

// serveDecision takes the form of the page, which carries the parameters of the
// request along.
func (s *Server) serveDecision(w http.ResponseWriter, r *http.Request) {
	a, err := s.parseAuthorize(r.Form)
	if err != nil {
		writeErrorPage(w, err)
		return
	}
	person := cmp.Or(r.Form.Get("email"), defaultPerson)
	http.Redirect(w, r, s.outcome(a, person, r.Form.Get("decision") == "allow"), http.StatusFound)
}

// parseAuthorize fails where the browser cannot be sent back to the
// application.
func (s *Server) parseAuthorize(params url.Values) (*authorizeRequest, error) {
	s.mu.Lock()
	c, narrow := s.clients[params.Get("client_id")], s.opts.NarrowScopes
	s.mu.Unlock()
	switch {
	case c == nil:
		return nil, errors.New("no application has this client_id")
	case c.CredentialType != OAuthWebApp || len(c.RedirectURIs) == 0:
		return nil, errors.New("this application is not one that a person can authorize")
	case len(params.Get("state")) > maxState:
		return nil, errors.New("the state is longer than 4096 characters")
	}
	// A redirect URI that is missing or not registered is replaced by the
	// default one: that is documented.
	to := params.Get("redirect_uri")
	if !slices.Contains(c.RedirectURIs, to) {
		to = c.RedirectURIs[0]
	}
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	asked := splitScopes(params.Get("scope"))
	return &authorizeRequest{
		client: c, redirectURI: u, asked: asked, granted: c.grantable(asked, narrow), params: params,
	}, nil
}

// refusal is the error that the application is told without asking the person,
// or "".
func (a *authorizeRequest) refusal() string {
	switch {
	case cmp.Or(a.params.Get("response_type"), "code") != "code":
		return "unsupported_response_type"
	case len(a.granted) == 0:
		return "invalid_scope"
	}
	return ""
}

// outcome is where the browser goes after the person's decision.
func (s *Server) outcome(a *authorizeRequest, person string, allow bool) string {
	if code := a.refusal(); code != "" {
		return a.redirect("error", code)
	}
	if !allow {
		return a.redirect("error", "access_denied")
	}
	g := grant{clientID: a.client.ID, userID: UserID(person), scopes: a.granted, authorization: newID()}
	// Adobe's codes are tokens themselves, and clients tell them from refresh
	// tokens by the type in it.
	t := &issuedToken{grant: g, kind: authorizationCode, id: newID(), created: s.clock.Now(), life: codeLife}
	code := s.sign(otherKeyID, "", t.claims())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[keyOf(code)] = &authorization{
		grant:           g,
		asked:           a.asked,
		challenge:       a.params.Get("code_challenge"),
		challengeMethod: a.params.Get("code_challenge_method"),
		nonce:           a.params.Get("nonce"),
		expires:         t.created.Add(codeLife),
	}
	return a.redirect("code", code)
}

func (a *authorizeRequest) redirect(name, value string) string {
	u := *a.redirectURI
	q := u.Query()
	q.Set(name, value)
	if state := a.params.Get("state"); state != "" {
		q.Set("state", state)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

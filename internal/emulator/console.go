// SPDX-License-Identifier: MPL-2.0

package emulator

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const consolePrefix = "/console/"

// SecretsPath is where the Developer Console has the client secrets of a
// credential; a secret's uuid follows after a slash.
func SecretsPath(consoleOrgID, credentialID string) string {
	return consolePrefix + "organizations/" + consoleOrgID + "/credentials/" + credentialID + "/secrets"
}

func isConsole(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, consolePrefix) }

func (s *Server) serveListSecrets(w http.ResponseWriter, r *http.Request) {
	clientID, refusal := s.credential(r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	list := []map[string]any{}
	for _, secret := range s.SecretsOf(clientID) {
		list = append(list, secret.describe())
	}
	writeJSON(w, http.StatusOK, map[string]any{"client_id": clientID, "client_secrets": list})
}

func (s *Server) serveAddSecret(w http.ResponseWriter, r *http.Request) {
	clientID, refusal := s.credential(r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	o := s.options()
	secret, err := s.AddSecret(clientID)
	if err != nil {
		gatewayError{
			Status: o.SecretLimitStatus, Title: "ErrQuotaExceeded", Code: strconv.Itoa(o.SecretLimitStatus) + "000", Message: err.Error(),
		}.write(w)
		return
	}
	answer := secret.describe()
	answer["client_secret"] = secret.Value
	if o.BareNewSecret {
		for _, name := range []string{"uuid", "created_at", "created_at_str", "secret_usages"} {
			delete(answer, name)
		}
	}
	status := http.StatusCreated
	if o.ConsoleOK {
		status = http.StatusOK
	}
	writeJSON(w, status, answer)
}

func (s *Server) serveRemoveSecret(w http.ResponseWriter, r *http.Request) {
	clientID, refusal := s.credential(r)
	if refusal != nil {
		refusal.write(w)
		return
	}
	if err := s.RemoveSecret(clientID, r.PathValue("uuid")); err != nil {
		notFound(err).write(w)
		return
	}
	if s.options().ConsoleOK {
		w.WriteHeader(http.StatusOK)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// credential returns the ID of the client whose secrets r is about, once r
// proved that it may manage them.
func (s *Server) credential(r *http.Request) (clientID string, refusal *gatewayError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.living(bearerOf(r))
	if t == nil || t.kind != accessToken {
		return "", &gatewayError{
			Status: http.StatusUnauthorized, Title: "ErrInvalidOauthToken", Code: "401013", Message: "Oauth token is not valid",
		}
	}
	if r.Header.Get("X-Api-Key") != t.clientID {
		return "", &gatewayError{Status: http.StatusForbidden, Title: "ErrInvalidApiKey", Code: "403003", Message: "Api Key is invalid"}
	}
	caller := s.clients[t.clientID]
	if caller == nil || caller.ConsoleOrgID != r.PathValue("org") || !containsAll(t.scopes, s.opts.ConsoleScopes) {
		return "", &gatewayError{
			Status: http.StatusForbidden, Title: "ErrForbidden", Code: "403000", Message: "The token does not allow this operation",
		}
	}
	for id, c := range s.clients {
		if c.ConsoleOrgID == r.PathValue("org") && c.CredentialID == r.PathValue("credential") {
			return id, nil
		}
	}
	return "", notFound(errors.New("the organization has no such credential"))
}

func notFound(err error) *gatewayError {
	return &gatewayError{Status: http.StatusNotFound, Title: "ErrNotFound", Code: "404000", Message: err.Error()}
}

// describe is a secret as the console shows it: without its value.
func (secret Secret) describe() map[string]any {
	var usages []map[string]string // null unless used
	if !secret.LastUsedAt.IsZero() {
		usages = []map[string]string{{"last_used_at": millis(secret.LastUsedAt), "grant_type": secret.LastGrantType}}
	}
	return map[string]any{
		"uuid":           secret.UUID,
		"expires_at":     "PERMANENT",
		"expires_at_str": "PERMANENT",
		"created_at":     millis(secret.CreatedAt),
		"created_at_str": consoleTime(secret.CreatedAt),
		"secret_usages":  usages,
	}
}

// consoleTime is the console's own way to write a time.
func consoleTime(t time.Time) string {
	return t.UTC().Format("Mon, Jan 2 2006 15:04:05.000 MST")
}

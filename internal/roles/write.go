// SPDX-License-Identifier: MPL-2.0

package roles

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// Change is what is to become of a role.
type Change struct {
	// Apply merges what was given into the role; its error names the field. It may
	// be called more than once.
	Apply func(*tokens.Role) error

	// Verify has IMS grant the scopes before they are stored, where they or the
	// config change.
	Verify bool
}

// writeAttempts is how often a write begins again because the role or its config
// was written meanwhile.
const writeAttempts = 5

// Write changes a role. A change that changes nothing asks nobody and stores
// nothing. It returns what whoever asked should know. The error is advice that names
// the field, or an error of storage as it came.
func (s *Store) Write(ctx context.Context, name string, change Change) (warnings []string, err error) {
	w := &write{Change: change, name: name}
	for range writeAttempts {
		if err := s.readForWrite(ctx, w); err != nil {
			return nil, err
		}
		if err := w.Apply(&w.next); err != nil {
			return nil, err
		}
		if w.stored.Value != nil && reflect.DeepEqual(*w.stored.Value, w.next) {
			return nil, nil
		}
		if err := s.checkRole(ctx, w); err != nil {
			return nil, err
		}
		if err := s.proveScopes(ctx, w); err != nil {
			return nil, err
		}
		if stored, err := s.storeRole(ctx, w); stored || err != nil {
			return w.warnings, err
		}
	}
	return nil, advice.New("roles/%s is being written by others all the time; try again", name)
}

// write is a write of a role under way.
type write struct {
	Change
	name string

	stored   entry.Stored[tokens.Role]
	next     tokens.Role
	config   entry.Stored[credential.Credential]
	token    *tokens.Token // that proved the scopes; nil if there is none
	warnings []string
}

func (s *Store) readForWrite(ctx context.Context, w *write) (err error) {
	w.stored, err = s.cache.Get(ctx, w.name)
	w.next = tokens.Role{Config: "default", Leased: true}
	if w.stored.Value != nil {
		w.next = *w.stored.Value
	}
	w.warnings = nil
	return err
}

// checkRole holds the role against its config.
func (s *Store) checkRole(ctx context.Context, w *write) (err error) {
	if w.config, err = s.credentials.Get(ctx, w.next.Config); err != nil {
		return err
	}
	c := w.config.Value
	if c == nil {
		return advice.Field("config", "%q does not exist. Write it first", w.next.Config).
			Run("vault write %sconfig/%s client_id=... client_secret=@secret.txt", advice.Mount, w.next.Config)
	}
	if scope := credential.ManagementScope(w.next.Scopes); scope != "" && !c.AllowManagementScopes {
		return advice.Field("scopes", "a token with %s could create client secrets for its own credential. If readers of this role may do that", scope).
			Run("vault write %sconfig/%s allow_management_scopes=true", advice.Mount, w.next.Config)
	}
	if c.Type != credential.WebApp {
		return nil
	}
	if w.next.Exclusive {
		return advice.Field("exclusive", "config/%s is an %s, whose tokens are one person's and shared", w.next.Config, credential.WebApp)
	}
	if !slices.Contains(w.next.Scopes, "offline_access") {
		w.warnings = append(w.warnings, WithoutRefresh)
	}
	return nil
}

// proveScopes asks IMS for a token with the scopes, if they or the config are
// new. Not being able to ask is a warning.
func (s *Store) proveScopes(ctx context.Context, w *write) error {
	before, c := w.stored.Value, w.config.Value
	same := before != nil && before.Config == w.next.Config && slices.Equal(before.Scopes, w.next.Scopes)
	if !w.Verify || same || c.Type == credential.WebApp {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tokens.ReaderLimit)
	defer cancel()
	grants, err := s.credentials.Grants(ctx, w.next.Config, c, w.next.Scopes)
	if grants.Token != nil {
		w.token = tokenOf(specOf(w.name, &w.next, c, 0), grants.Token)
	}
	if err == nil {
		err = s.Usable(w.token)
	}
	if err != nil && w.token != nil {
		s.tokens.EndStray(context.WithoutCancel(ctx), w.name, w.token)
		w.token = nil
	}
	var failed *ims.Error
	switch {
	case err == nil:
		if warning := w.token.ScopesWarning(); warning != "" {
			w.warnings = append(w.warnings, warning)
		}
		return nil
	case ims.RefusedWith(err, ims.CodeInvalidScope):
		return advice.Field("scopes", "IMS does not grant %s to the credential of config/%s: compare them with the Scopes tab of the credential in the Developer Console; case counts. Nothing was stored. The answer was: %s",
			refusedWords(grants), w.next.Config, err).Because(err)
	case ims.RefusedByCode(err):
		return advice.New("IMS refuses the credential of config/%s: %s. Nothing was stored. To store the role without asking IMS, add verify=false. To write the right client secret", w.next.Config, err).
			Run("vault write %sconfig/%s client_secret=@secret.txt", advice.Mount, w.next.Config).Because(err)
	case errors.As(err, &failed), errors.Is(err, context.DeadlineExceeded):
		w.warnings = append(w.warnings, fmt.Sprintf("IMS could not be asked whether it grants these scopes: %s. The role is stored, and its scopes are not proven", err))
		return nil
	}
	return err
}

func refusedWords(g credential.Grants) string {
	words := cmp.Or(strings.Join(g.Refused, ", "), "one of them")
	if g.Unsure && len(g.Refused) > 0 {
		words += ", and perhaps others,"
	}
	return words
}

// storeRole stores the role unless it or its config was written since they were
// read; then the token that proved it is ended.
func (s *Store) storeRole(ctx context.Context, w *write) (stored bool, err error) {
	defer func() {
		if w.token != nil && !stored {
			s.tokens.EndStray(context.WithoutCancel(ctx), w.name, w.token)
			w.token = nil
		}
	}()
	share, err := s.credentials.Share(ctx, w.next.Config)
	if err != nil {
		return false, err
	}
	defer share()
	unlock, err := s.writes.Lock(ctx, w.name)
	if err != nil {
		return false, err
	}
	defer unlock()
	now, err := s.cache.Get(ctx, w.name)
	if err != nil || now.Revision != w.stored.Revision {
		return false, err
	}
	config, err := s.credentials.Get(ctx, w.next.Config)
	if err != nil || config.Revision != w.config.Revision {
		return false, err
	}
	next := w.next
	if err := s.cache.Put(ctx, w.name, &next); err != nil {
		return false, err
	}
	s.host.Events.Send(ctx, "role-write", path+w.name)
	// In this order: who waits for a mint that is given up gets the proof.
	s.keepProof(ctx, w)
	s.tokens.Changed(ctx, w.name)
	return true, nil
}

// keepProof gives the token that proved the scopes to the role's first reader. An
// exclusive token is minted for its reader, so this one is ended.
func (s *Store) keepProof(ctx context.Context, w *write) {
	if w.token == nil {
		return
	}
	spec, err := s.Lookup(ctx, w.name)
	if err == nil && !w.next.Exclusive {
		err = s.tokens.Adopt(ctx, spec, w.token)
	} else {
		s.tokens.EndStray(ctx, w.name, w.token)
	}
	if err != nil {
		s.host.Log.Warn("the token that proved a role's scopes could not be kept; the role's first read mints another", "role", w.name, "error", err)
	}
}

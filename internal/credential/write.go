// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// Change is what is to become of a config. What it leaves out keeps its value.
type Change struct {
	// Type is empty to keep the type, or the default one of a new config.
	Type Type

	// File is a file to import, and ClientID what picks one of several
	// credentials in it. Both may be empty.
	File, ClientID string

	// Secret is a client secret as it was given; nil to keep the stored one, or to
	// take the file's. UUID is the current secret's in the Developer Console; nil
	// to keep it.
	Secret *string
	UUID   *string

	// Apply merges what else was given. It is called after the file is imported
	// and may be called more than once.
	Apply func(*Settings)

	// Verify has Adobe prove the new values before they are stored.
	Verify bool

	// Allow is asked, with the config's lock held, before the config is stored.
	// Before is nil for a new one.
	Allow func(ctx context.Context, before, next *Credential) error
}

// writeAttempts is how often a write begins again because the config was written
// meanwhile.
const writeAttempts = 5

// Write changes a config. Adobe proves the new values with no lock held; they are
// stored if the config was not written meanwhile, and else the write begins again.
// A change that changes nothing asks nobody and stores nothing.
//
// It returns what whoever asked should know. The error is advice that names the
// field, an *Unproven, or an error of storage as it came.
func (s *Store) Write(ctx context.Context, name string, change Change) (warnings []string, err error) {
	for range writeAttempts {
		w := &write{Change: change, store: s, name: name}
		if err := w.apply(ctx); err != nil {
			return nil, err
		}
		if w.stored.Value != nil && reflect.DeepEqual(*w.stored.Value, w.next) {
			return w.warnings, nil
		}
		if err := w.prove(ctx); err != nil {
			return nil, err
		}
		if stored, err := w.put(ctx); stored || err != nil {
			return w.warnings, err
		}
	}
	return nil, advice.New("config/%s is being written by others all the time; try again", name)
}

// write is a write of a config under way.
type write struct {
	Change
	store *Store
	name  string

	stored entry.Stored[Credential]
	next   Credential

	// Candidates are the client secrets given, one of which IMS may accept.
	Candidates []secret.Secret
	imported   *Imported // the file's, if one was given
	warnings   []string
}

// apply merges the change into what is stored.
func (w *write) apply(ctx context.Context) (err error) {
	if w.stored, err = w.store.Get(ctx, w.name); err != nil {
		return err
	}
	before := &Credential{Settings: Defaults()}
	if w.stored.Value != nil {
		before = w.stored.Value
	}
	w.next = *before
	if w.Type != "" && w.stored.Value != nil && w.Type != before.Type {
		return advice.Field("credential_type", "cannot be changed from %s; write a new config", before.Type)
	}
	w.next.Type = cmp.Or(w.Type, before.Type)
	if err := w.readSecrets(); err != nil {
		return err
	}
	w.Apply(&w.next.Settings)
	w.forgetOthers(before)
	if err := w.next.Settings.Check(); err != nil {
		return err
	}
	if w.stored.Value != nil {
		if err := w.checkDestination(before); err != nil {
			return err
		}
	}
	now := w.store.host.Clock.Now()
	w.applySecret(ctx, before, now)
	if w.UUID != nil {
		if w.next.UUID, err = ParseSecretUUID(*w.UUID); err != nil {
			return err
		}
	}
	if err := w.next.Check(); err != nil {
		return err
	}
	w.warnings = append(w.warnings, w.next.Warnings()...)
	if w.next.RotationDue(now) && !before.RotationDue(now) {
		w.warnings = append(w.warnings, "A rotation of the client secret is due now, and begins within a minute")
	}
	return nil
}

// readSecrets reads the client secret that was given, or those of the file, and
// fills in what else the file has.
func (w *write) readSecrets() error {
	if w.File != "" {
		imported, err := Import(w.File, w.next.Type, w.ClientID)
		if err != nil {
			return err
		}
		imported.fill(&w.next.Settings)
		w.imported, w.Candidates = imported, imported.Secrets
	}
	if w.Secret != nil {
		value, err := ParseSecret(*w.Secret)
		if err != nil {
			return err
		}
		w.Candidates = []secret.Secret{value}
	}
	if w.File != "" && len(w.Candidates) == 0 && w.stored.Value == nil {
		return advice.Field("project", "the file has no client secret; give client_secret=@secret.txt beside it")
	}
	return nil
}

// fill fills in what a file has. What it lacks keeps its value.
func (i *Imported) fill(s *Settings) {
	for _, text := range []struct {
		value *string
		given string
	}{
		{&s.ClientID, i.ClientID},
		{&s.OrgID, i.OrgID},
		{&s.RedirectURI, i.RedirectURI},
		{&s.ConsoleOrgID, i.ConsoleOrgID},
		{&s.CredentialID, i.CredentialID},
		{&s.TechnicalAccountID, i.TechnicalAccountID},
		{&s.TechnicalAccountEmail, i.TechnicalAccountEmail},
	} {
		*text.value = cmp.Or(text.given, *text.value)
	}
	if len(i.Scopes) > 0 {
		s.Scopes = i.Scopes
	}
}

// forgetOthers drops what is known of another client's technical account, scopes
// and secrets, unless the change says the same.
func (w *write) forgetOthers(before *Credential) {
	if w.next.ClientID != before.ClientID {
		if w.next.TechnicalAccountID == before.TechnicalAccountID {
			w.next.TechnicalAccountID = ""
		}
		if w.next.TechnicalAccountEmail == before.TechnicalAccountEmail {
			w.next.TechnicalAccountEmail = ""
		}
		if slices.Equal(w.next.Scopes, before.Scopes) {
			w.next.Scopes = nil
		}
	}
	if !w.next.SameCredential(&before.Settings) {
		w.next.Secrets = w.next.OnlyCurrent()
		w.next.RotationFailure = nil
	}
	if w.next.RotationSchedule == "" && before.RotationSchedule != "" && w.next.RotationWindow == before.RotationWindow {
		w.next.RotationWindow = 0
	}
}

// checkDestination refuses to send the stored secret to a place it was not given
// for: whoever may update a config need not be allowed to know it.
func (w *write) checkDestination(before *Credential) error {
	if len(w.Candidates) > 0 {
		return nil
	}
	for _, url := range []struct{ name, stored, next string }{
		{"ims_url", before.IMSURL, w.next.IMSURL},
		{"console_url", before.ConsoleURL, w.next.ConsoleURL},
	} {
		if url.stored != url.next {
			return advice.Field(url.name, "to change it, give client_secret again: the stored secret is only sent to the server it was given for (%s, not %s)", url.stored, url.next)
		}
	}
	return nil
}

// applySecret makes the secret that was given the current one. One that a rotation
// replaced is left out: a tool that describes the config writes it again and again.
func (w *write) applySecret(ctx context.Context, before *Credential, now time.Time) {
	switch {
	case len(w.Candidates) == 0, slices.Contains(w.Candidates, w.next.Current):
		w.Candidates = nil
	case len(w.Candidates) == 1 && w.next.SameServers(&before.Settings):
		when, replaced := w.next.Recognises(w.Candidates[0])
		if replaced && w.stillAccepted(ctx) {
			w.warnings = append(w.warnings, fmt.Sprintf("client_secret: a rotation replaced this one on %s, so it was left out; leave client_secret out of what writes this config",
				when.UTC().Format(time.DateOnly)))
			w.Candidates = nil
		}
	}
	current := w.next.Current
	if len(w.Candidates) > 0 {
		current = w.Candidates[0]
	}
	w.setSecret(current, now)
	if lost := w.next.LostTrackOf(before.Secrets); len(lost) > 0 {
		w.warnings = append(w.warnings, LostWarning(lost))
	}
}

// setSecret makes a secret the current one. No other that was given for one server,
// or obtained from it, gets to another.
func (w *write) setSecret(value secret.Secret, now time.Time) {
	w.next.Secrets = w.next.Replaced(value, now, w.next.PreviousSecretTTL)
	if before := w.stored.Value; before != nil && !w.next.SameServers(&before.Settings) {
		w.next.Secrets = w.next.WithoutOtherValues(now)
	}
}

// stillAccepted reports whether the stored secret works, as far as that may be
// asked: if it does not, the operator takes an older one back.
func (w *write) stillAccepted(ctx context.Context) bool {
	if !w.Verify {
		return true
	}
	_, err := w.store.Prove(ctx, w.stored.Value, nil)
	return !ims.RefusedByCode(err)
}

// prove asks Adobe for what the new values are good for, where they matter to it.
func (w *write) prove(ctx context.Context) error {
	before := w.stored.Value
	if !w.Verify {
		w.warnings = append(w.warnings, "verify=false: nothing was proven; a wrong client_id or client_secret shows at the first read of a token")
		return nil
	}
	if before == nil || !before.askedAlike(&w.next) {
		proof, err := w.store.Prove(ctx, &w.next, w.Candidates)
		if err != nil {
			return err
		}
		w.setSecret(proof.Secret, w.store.host.Clock.Now())
		if w.next.Type == ServerToServer {
			w.next.TechnicalAccountID = cmp.Or(w.next.TechnicalAccountID, proof.AccountID)
		}
		w.next.RotationFailure = nil
	}
	if before == nil || !w.next.SameCredential(&before.Settings) || before.ConsoleURL != w.next.ConsoleURL {
		return w.proveConsole(ctx)
	}
	return nil
}

// proveConsole asks the Developer Console. Ids that a file has along with the rest
// are stored all the same where nobody wants the secret rotated: many projects
// have no I/O Management API, and many servers no way to the console.
func (w *write) proveConsole(ctx context.Context) error {
	err := w.store.ProveConsole(ctx, &w.next)
	if err == nil {
		w.next.RotationFailure = nil
		return nil
	}
	rotates := w.next.RotationPeriod > 0 || w.next.RotationSchedule != ""
	if kindOf(err) == "" || rotates || w.imported == nil ||
		w.next.ConsoleOrgID != w.imported.ConsoleOrgID || w.next.CredentialID != w.imported.CredentialID {
		return err
	}
	w.warnings = append(w.warnings, fmt.Sprintf("console_org_id, credential_id: taken from the file and stored, but rotating the client secret with them would fail: %s", errors.Unwrap(err)))
	return nil
}

// askedAlike reports whether IMS would be asked with the same in the same way.
func (c *Credential) askedAlike(other *Credential) bool {
	return c.ClientID == other.ClientID && c.Current == other.Current && c.Type == other.Type && c.OrgID == other.OrgID &&
		c.RedirectURI == other.RedirectURI && c.IMSURL == other.IMSURL && c.CACert == other.CACert &&
		c.RequestTimeout == other.RequestTimeout && c.MaxRetries == other.MaxRetries
}

// put stores the config unless it was written since it was read.
func (w *write) put(ctx context.Context) (stored bool, err error) {
	unlock, err := w.store.Lock(ctx, w.name)
	if err != nil {
		return false, err
	}
	defer unlock()
	now, err := w.store.Get(ctx, w.name)
	if err != nil || now.Revision != w.stored.Revision {
		return false, err
	}
	next := w.next
	if err := w.Allow(ctx, now.Value, &next); err != nil {
		return false, err
	}
	if err := w.store.Put(ctx, w.name, &next); err != nil {
		return false, err
	}
	w.store.pool.EndQuiet(next.IMSURL, next.ClientID)
	w.store.host.Events.Send(ctx, "config-write", Prefix+w.name)
	return true, nil
}

// LostWarning tells of client secrets that nobody removes at Adobe.
func LostWarning(uuids []string) string {
	const most = 10
	if len(uuids) > most {
		uuids = append(slices.Clone(uuids[:most]), fmt.Sprintf("and %d more", len(uuids)-most))
	}
	return fmt.Sprintf("Rotations left client secrets in the Developer Console that nobody removes now: %s", strings.Join(uuids, ", "))
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// configWrite is a write of a config under way.
type configWrite struct {
	name   string
	verify bool

	stored entry.Stored[credential.Credential]
	next   credential.Credential

	// Candidates are client secrets of a file, one of which IMS may accept.
	Candidates []secret.Secret
	warnings   []string
}

// writeConfig has Adobe prove the new values with no lock held, then stores them if
// the config was not written meanwhile, and else begins again.
func (b *backend) writeConfig(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, tokens.ReaderLimit)
	defer cancel()
	name := d.Get("name").(string)
	for range writeAttempts {
		w := &configWrite{name: name, verify: d.Get("verify").(bool)}
		if err := b.applyConfig(ctx, w, d); err != nil {
			return respond(err)
		}
		if before := w.stored.Value; before != nil && reflect.DeepEqual(*before, w.next) {
			return &logical.Response{Warnings: w.warnings}, nil
		}
		if err := b.proveConfig(ctx, w); err != nil {
			return respond(err)
		}
		stored, err := b.storeConfig(ctx, w)
		if err != nil {
			return respond(err)
		}
		if stored {
			resp := &logical.Response{Warnings: w.warnings}
			b.warnOfSameClient(ctx, resp, w.name)
			return resp, nil
		}
	}
	return nil, errBusy(configPath + name)
}

// applyConfig merges the fields of the request into what is stored. The error
// names the field.
func (b *backend) applyConfig(ctx context.Context, w *configWrite, d *framework.FieldData) (err error) {
	if w.stored, err = b.credentials.Get(ctx, w.name); err != nil {
		return err
	}
	before := &credential.Credential{Settings: credential.Defaults()}
	if w.stored.Value != nil {
		before = w.stored.Value
	}
	w.next = *before
	if err := applyType(&w.next.Settings, w.stored.Value, d); err != nil {
		return err
	}
	given, err := w.readSecrets(d)
	if err != nil {
		return err
	}
	applySettings(&w.next.Settings, d)
	if _, ok := d.GetOk("rotation_window"); !ok && w.next.RotationSchedule == "" {
		w.next.RotationWindow = 0
	}
	if w.next.ClientID != before.ClientID {
		forgetAccount(&w.next.Settings, before, d)
	}
	if err := w.next.Settings.Check(); err != nil {
		return err
	}
	now := b.host.Clock.Now()
	if w.stored.Value != nil {
		if err := checkSecretDestination(before, &w.next, given); err != nil {
			return err
		}
	}
	b.applySecret(ctx, w, before, now)
	if uuid, ok := d.GetOk("client_secret_uuid"); ok {
		if w.next.UUID, err = credential.ParseSecretUUID(uuid.(string)); err != nil {
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

func applyType(s *credential.Settings, stored *credential.Credential, d *framework.FieldData) error {
	given, ok := d.GetOk("credential_type")
	if !ok {
		return nil
	}
	kind := credential.Type(given.(string))
	if stored != nil && kind != stored.Type {
		return advice.Field("credential_type", "cannot be changed from %s; write a new config", stored.Type)
	}
	s.Type = kind
	return nil
}

// readSecrets reads the client secret of the request, or those of its file, and
// fills in what else the file has. It reports whether there is any.
func (w *configWrite) readSecrets(d *framework.FieldData) (given bool, err error) {
	if file, ok := d.GetOk("project"); ok {
		clientID, _ := d.Get("client_id").(string)
		imported, err := credential.Import(file.(string), w.next.Type, clientID)
		if err != nil {
			return false, err
		}
		applyImported(&w.next.Settings, imported)
		w.Candidates = imported.Secrets
	}
	if text, ok := d.GetOk("client_secret"); ok {
		value, err := credential.ParseSecret(text.(string))
		if err != nil {
			return false, err
		}
		w.Candidates = []secret.Secret{value}
	}
	if _, ok := d.GetOk("project"); ok && len(w.Candidates) == 0 && w.stored.Value == nil {
		return false, advice.Field("project", "the file has no client secret; give client_secret=@secret.txt beside it")
	}
	return len(w.Candidates) > 0, nil
}

// forgetAccount drops what is known of another client's technical account and
// scopes, unless the request says the same.
func forgetAccount(s *credential.Settings, before *credential.Credential, d *framework.FieldData) {
	if _, ok := d.GetOk("technical_account_id"); !ok && s.TechnicalAccountID == before.TechnicalAccountID {
		s.TechnicalAccountID = ""
	}
	if _, ok := d.GetOk("technical_account_email"); !ok && s.TechnicalAccountEmail == before.TechnicalAccountEmail {
		s.TechnicalAccountEmail = ""
	}
	if slices.Equal(s.Scopes, before.Scopes) {
		s.Scopes = nil
	}
}

// checkSecretDestination refuses to send the stored secret to a place it was not
// given for: whoever may update a config need not be allowed to know it.
func checkSecretDestination(before, next *credential.Credential, given bool) error {
	if given {
		return nil
	}
	for _, url := range []struct{ name, stored, next string }{
		{"ims_url", before.IMSURL, next.IMSURL},
		{"console_url", before.ConsoleURL, next.ConsoleURL},
	} {
		if url.stored != url.next {
			return advice.Field(url.name, "to change it, give client_secret again: the stored secret is only sent to the server it was given for (%s, not %s)", url.stored, url.next)
		}
	}
	return nil
}

// applySecret makes the secret that was given the current one, and keeps what is
// known of the others true: of another credential nothing is, and at another
// server none of them is tried. A secret that a rotation replaced is left out: a
// tool that describes the config writes it again and again.
func (b *backend) applySecret(ctx context.Context, w *configWrite, before *credential.Credential, now time.Time) {
	if !w.next.SameCredential(&before.Settings) {
		w.next.Secrets = w.next.OnlyCurrent()
		w.next.RotationFailure = nil
	}
	switch {
	case len(w.Candidates) == 0, slices.Contains(w.Candidates, w.next.Current):
		w.Candidates = nil
	case len(w.Candidates) == 1 && w.next.SameServers(&before.Settings):
		when, replaced := w.next.Recognises(w.Candidates[0])
		if replaced && b.stillAccepted(ctx, w) {
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
		w.warnings = append(w.warnings, leftSecretsWarning(lost))
	}
}

// setSecret makes a secret the current one. No other that was given for one server,
// or obtained from it, gets to another.
func (w *configWrite) setSecret(value secret.Secret, now time.Time) {
	w.next.Secrets = w.next.Replaced(value, now, w.next.PreviousSecretTTL)
	if before := w.stored.Value; before != nil && !w.next.SameServers(&before.Settings) {
		w.next.Secrets = w.next.WithoutOtherValues(now)
	}
}

// stillAccepted reports whether the stored secret works, as far as that may be
// asked: if it does not, the operator takes an older one back.
func (b *backend) stillAccepted(ctx context.Context, w *configWrite) bool {
	if !w.verify {
		return true
	}
	_, err := b.credentials.Prove(ctx, w.stored.Value, nil)
	return adobeStatus(err) != http.StatusBadRequest
}

// proveConfig asks Adobe for what the new values are good for, where they matter to
// it. What it refuses is not stored.
func (b *backend) proveConfig(ctx context.Context, w *configWrite) error {
	before := w.stored.Value
	if !w.verify {
		w.warnings = append(w.warnings, "verify=false: nothing was proven; a wrong client_id or client_secret shows at the first read of a token")
		return nil
	}
	if before == nil || !reachesAlike(before, &w.next) {
		proof, err := b.credentials.Prove(ctx, &w.next, w.Candidates)
		if err != nil {
			return err
		}
		w.setSecret(proof.Secret, b.host.Clock.Now())
		if w.next.Type == credential.ServerToServer {
			w.next.TechnicalAccountID = cmp.Or(w.next.TechnicalAccountID, proof.AccountID)
		}
		w.next.RotationFailure = nil
	}
	if before == nil || !w.next.SameCredential(&before.Settings) || before.ConsoleURL != w.next.ConsoleURL {
		if err := b.credentials.ProveConsole(ctx, &w.next); err != nil {
			return err
		}
		w.next.RotationFailure = nil
	}
	return nil
}

// reachesAlike reports whether IMS would be asked with the same in the same way.
func reachesAlike(a, b *credential.Credential) bool {
	return a.ClientID == b.ClientID && a.Current == b.Current && a.Type == b.Type && a.OrgID == b.OrgID &&
		a.RedirectURI == b.RedirectURI && a.IMSURL == b.IMSURL && a.CACert == b.CACert &&
		a.RequestTimeout == b.RequestTimeout && a.MaxRetries == b.MaxRetries
}

// storeConfig stores the config unless it was written since it was read.
func (b *backend) storeConfig(ctx context.Context, w *configWrite) (stored bool, err error) {
	unlock, err := b.credentials.Lock(ctx, w.name)
	if err != nil {
		return false, err
	}
	defer unlock()
	now, err := b.credentials.Get(ctx, w.name)
	if err != nil || now.Revision != w.stored.Revision {
		return false, err
	}
	if before := now.Value; before != nil && before.AllowManagementScopes && !w.next.AllowManagementScopes {
		users, err := b.rolesOf(ctx, w.name, func(r *tokens.Role) bool { return credential.ManagementScope(r.Scopes) != "" })
		if err != nil {
			return false, err
		}
		if len(users) > 0 {
			return false, advice.Field("allow_management_scopes", "cannot be false while these roles have such scopes: %s", someOf(users))
		}
	}
	next := w.next
	if err := b.credentials.Put(ctx, w.name, &next); err != nil {
		return false, err
	}
	b.pool.EndQuiet(next.IMSURL, next.ClientID)
	b.host.Events.Send(ctx, "config-write", configPath+w.name)
	return true, nil
}

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/locksutil"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// managementTokenScopes are what Adobe lists for its client-secret API.
var managementTokenScopes = []string{
	"AdobeID", "openid", "read_organizations", "additional_info.projectedProductContext", "additional_info.roles",
	"adobeio_api", "read_client_secret", "manage_client_secrets",
}

const (
	// maxSecrets is how many client secrets Adobe lets a credential have.
	maxSecrets = 2

	// rotationTimeout limits a rotation, proving included.
	rotationTimeout = 80 * time.Second

	// provingTimeout is how long a rotation waits for IMS to accept the new
	// secret. Adobe does not say how soon it does. The background goes on.
	provingTimeout = 30 * time.Second
)

// rotation is a client-secret rotation, or the clearing up after one, under way.
// The lock of its config is held.
type rotation struct {
	b       *backend
	storage logical.Storage
	name    string
	config  *config // as stored; replaced with each step
	console *console.Client
	// Token has the management scopes. It is exported so that fmt finds its
	// Formatter.
	Token ims.Secret
	// fallback tells that IMS refuses the current secret: another one of the
	// config, which may be the last that works, obtained the token.
	fallback bool
	early    []clientSecret // removed before their time
}

// rotate replaces the client secret of a config. Whatever step the process dies
// at, what is stored tells the next rotation, the WAL's rollback and the
// periodic work how to go on.
func (b *backend) rotate(ctx context.Context, s logical.Storage, name string) (*rotated, error) {
	lock := locksutil.LockForKey(b.configLocks, name)
	lock.Lock()
	defer lock.Unlock()
	// Whoever asked may go away; a rotation is not given up half-way for that.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rotationTimeout)
	defer cancel()
	defer context.AfterFunc(b.tokens.ctx, cancel)() // it ends with the backend

	result := &rotated{}
	err := b.withManagement(ctx, s, name, func(r *rotation) error {
		// 1. Clear up what an interrupted rotation left behind. If it can be
		//    finished, that is the rotation.
		finished, err := r.clearUp(ctx)
		if finished || err != nil {
			result.config = r.config
			return err
		}
		// 2. Know which secrets there are, and make room.
		listing, err := r.makeRoom(ctx)
		if err != nil {
			return err
		}
		// 3. Add a secret and store it beside the current one.
		if err := r.add(ctx, listing); err != nil {
			return err
		}
		// 4. Prove it, and make it the current one.
		if err := r.prove(ctx, provingTimeout); err != nil {
			return err
		}
		*result = rotated{config: r.config, early: r.early}
		return nil
	})
	b.noteRotation(ctx, s, name, err)
	return result, err
}

// rotated is the outcome of a rotation.
type rotated struct {
	config *config
	early  []clientSecret // removed before their time, to make room
}

// withManagement mints a token with the management scopes, which goes nowhere
// else, and invalidates it when the work is done.
func (b *backend) withManagement(ctx context.Context, s logical.Storage, name string, work func(*rotation) error) error {
	c, err := b.configs.get(ctx, s, name)
	switch {
	case err != nil:
		return err
	case c == nil:
		return &missingError{fmt.Sprintf("config %q does not exist", name)}
	case c.CredentialType == webApp:
		return &operatorError{fmt.Sprintf("Adobe offers no rotation for the %s credential of config/%s: change its secret in the Developer Console", webApp, name)}
	case !c.rotates():
		return &operatorError{fmt.Sprintf("config/%s has no console_org_id or no credential_id: both are numbers in the URL of the credential's page in the Developer Console", name)}
	}
	r := &rotation{b: b, storage: s, name: name, config: c}
	if r.console, err = b.clients.console(c); err != nil {
		return err
	}
	var used ims.Credential
	err = c.withCredential(func(credential ims.Credential) error {
		token, err := c.client.ClientCredentials(ctx, credential, managementTokenScopes)
		if err == nil {
			r.Token, used = token.AccessToken, credential
		}
		return err
	})
	if err != nil {
		return managementError(err, name)
	}
	r.fallback = used.ClientSecret != c.ClientSecret
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.RequestTimeout)
		defer cancel()
		// The secret that obtained the token may be removed by now.
		err := r.config.withCredential(func(credential ims.Credential) error { return c.client.Invalidate(ctx, credential, r.Token) })
		if err != nil {
			b.Logger().Warn("a management token could not be invalidated; nobody has it, and it expires by itself", "config", name, "error", err)
		}
	}()
	return work(r)
}

func managementError(err error, name string) error {
	var failed *ims.Error
	if errors.As(err, &failed) && failed.Code == ims.CodeInvalidScope {
		return &operatorError{fmt.Sprintf("%s. The credential may not manage its own secrets: add the I/O Management API to the project of config/%s in the Developer Console", err, name)}
	}
	return err
}

func (r *rotation) credential() console.Credential {
	return console.Credential{OrgID: r.config.ConsoleOrgID, CredentialID: r.config.CredentialID, ClientID: r.config.ClientID}
}

// store puts the next state of the config in storage and memory.
func (r *rotation) store(ctx context.Context, next *config) error {
	if err := r.b.configs.put(ctx, r.storage, r.name, next); err != nil {
		return err
	}
	r.config = next
	return nil
}

// makeRoom lists the secrets, makes sure which one is the current, and removes
// retired ones of ours if the limit is reached.
func (r *rotation) makeRoom(ctx context.Context) (*console.Listing, error) {
	if err := r.keepsLast(); err != nil {
		return nil, err
	}
	listing, err := r.console.List(ctx, r.Token, r.credential())
	if err != nil {
		return nil, err
	}
	current, err := r.currentUUID(listing)
	if err != nil {
		return nil, err
	}
	if current != r.config.SecretUUID {
		next := *r.config
		next.SecretUUID = current
		if err := r.store(ctx, &next); err != nil {
			return nil, err
		}
	}
	for _, retired := range r.config.Retired {
		if len(listing.Secrets) < maxSecrets {
			break
		}
		if err := r.remove(ctx, retired); err != nil {
			return nil, err
		}
		if r.b.tokens.clock.Now().Before(retired.RemoveAt) {
			r.early = append(r.early, retired)
		}
		if listing, err = r.console.List(ctx, r.Token, r.credential()); err != nil {
			return nil, err
		}
		if lists(listing, retired.UUID) {
			return nil, &operatorError{fmt.Sprintf("the Developer Console still lists the client secret %s, which was just removed: rotate again in a few minutes", retired.UUID)}
		}
	}
	if len(listing.Secrets) >= maxSecrets {
		return nil, &operatorError{fmt.Sprintf("the credential has %d client secrets already, and the other one (%s) is not of this engine: if nobody needs it, remove it in the Developer Console, then rotate again. Nothing was changed",
			len(listing.Secrets), strangers(listing, current))}
	}
	return listing, nil
}

// currentUUID finds the current secret among those listed: by its uuid if that
// is known, else as the only one that is not known to be another.
func (r *rotation) currentUUID(listing *console.Listing) (string, error) {
	var candidates []string
	for _, s := range listing.Secrets {
		if s.UUID == r.config.SecretUUID {
			return s.UUID, nil
		}
		if !slices.ContainsFunc(r.config.Retired, func(old clientSecret) bool { return old.UUID == s.UUID }) {
			candidates = append(candidates, s.UUID)
		}
	}
	switch {
	case r.config.SecretUUID != "":
		return "", &operatorError{fmt.Sprintf("the client secret %s of config/%s is not listed in the Developer Console: write client_secret_uuid=... with the uuid of the secret in use (one of: %s). Nothing was changed", r.config.SecretUUID, r.name, strangers(listing, ""))}
	case len(candidates) == 1:
		return candidates[0], nil
	}
	return "", &operatorError{fmt.Sprintf("the Developer Console lists %d client secrets (%s), and which one config/%s uses is not known: write client_secret_uuid=... to config/%s, or remove the other one in the Developer Console. Nothing was changed", len(listing.Secrets), strangers(listing, ""), r.name, r.name)}
}

// strangers names the secrets that are listed beside one.
func strangers(listing *console.Listing, beside string) string {
	text := ""
	for _, s := range listing.Secrets {
		if s.UUID == beside {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += s.UUID
		if !s.Created.IsZero() {
			text += " created at " + timestamp(s.Created)
		}
	}
	return text
}

// add adds a secret in the Developer Console. The intent is on record before, so
// that a secret whose answer never arrived can be told from others and removed.
func (r *rotation) add(ctx context.Context, before *console.Listing) error {
	now := r.b.tokens.clock.Now()
	intent := newIntent(r, before, now)
	wal, err := framework.PutWAL(ctx, r.storage, intentKind, intent)
	if err != nil {
		return err
	}
	// The request must not be sent later than the intent says.
	left := r.config.RequestTimeout + intentMarginSend - r.b.tokens.clock.Since(now)
	if left <= 0 {
		_ = framework.DeleteWAL(ctx, r.storage, wal)
		return errors.New("storage took too long to record that a client secret is about to be added; none was")
	}
	adding, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	added, err := r.console.Add(adding, r.Token, r.credential())
	if err != nil {
		r.addFailed(ctx, wal, intent, err, r.b.tokens.clock.Since(now) >= r.config.RequestTimeout)
		return err
	}
	next := *r.config
	next.Pending = &clientSecret{Value: added.Value, UUID: added.UUID, Known: intent.Known, Added: now}
	if err := r.store(ctx, &next); err != nil {
		return err // the rollback removes the secret, which nobody knows now
	}
	return framework.DeleteWAL(ctx, r.storage, wal)
}

// prove mints a token with the pending secret and makes it the current one. The
// old one stays current as long as IMS does not accept the new.
func (r *rotation) prove(ctx context.Context, patience time.Duration) error {
	if err := r.mintWithPending(ctx, patience); err != nil {
		return err
	}
	next := *r.config
	if next.Pending.UUID == "" {
		listing, err := r.console.List(ctx, r.Token, r.credential())
		if err != nil {
			return err
		}
		pending := *next.Pending
		if pending.UUID = onlyUnknown(listing, pending.Known); pending.UUID == "" {
			return &operatorError{fmt.Sprintf("the new client secret of config/%s works, but which one it is in the Developer Console is not known (%s): remove the one that is not of this engine", r.name, strangers(listing, ""))}
		}
		next.Pending = &pending
	}
	now := r.b.tokens.clock.Now()
	next.promote(now)
	next.RotationFailure = nil
	if err := r.store(ctx, &next); err != nil {
		return err
	}
	r.fallback = false
	r.b.Logger().Info("the client secret was rotated", "config", r.name, "client_secret_uuid", next.SecretUUID)
	r.b.event(ctx, "secret-rotate", configPrefix+r.name, "config", r.name, "client_secret_uuid", next.SecretUUID)
	if err := r.removeDue(ctx); err != nil {
		r.b.Logger().Warn("a previous client secret could not be removed; it is tried again in the background", "config", r.name, "error", err)
	}
	return nil
}

// onlyUnknown is the one secret listed whose uuid was not known before, or "".
func onlyUnknown(listing *console.Listing, known []string) (uuid string) {
	for _, s := range listing.Secrets {
		if slices.Contains(known, s.UUID) {
			continue
		}
		if uuid != "" {
			return ""
		}
		uuid = s.UUID
	}
	return uuid
}

// mintWithPending asks IMS for a token with the pending secret until it accepts
// it or patience ends.
func (r *rotation) mintWithPending(ctx context.Context, patience time.Duration) error {
	clock := r.b.tokens.clock
	deadline := clock.Now().Add(patience)
	for pause := time.Second; ; pause = min(2*pause, 8*time.Second) {
		_, err := r.config.client.ClientCredentials(ctx, r.config.credentialWith(r.config.Pending.Value), []string{verifyScope})
		var failed *ims.Error
		if err == nil || errors.As(err, &failed) && failed.Code == ims.CodeInvalidScope {
			return nil
		}
		if !isInvalidClient(err) || clock.Now().Add(pause).After(deadline) {
			return fmt.Errorf("the new client secret %s is not proven yet, so the old one stays in use; proving it is tried again in the background: %w", r.config.Pending.UUID, err)
		}
		select {
		case <-clock.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// remove removes a secret at Adobe and from the config.
func (r *rotation) remove(ctx context.Context, old clientSecret) error {
	if err := r.console.Remove(ctx, r.Token, r.credential(), old.UUID); err != nil {
		return err
	}
	if err := r.store(ctx, r.config.without(old.UUID)); err != nil {
		return err
	}
	r.b.Logger().Info("a previous client secret was removed", "config", r.name, "client_secret_uuid", old.UUID)
	r.b.event(ctx, "secret-remove", configPrefix+r.name, "config", r.name, "client_secret_uuid", old.UUID)
	return nil
}

// keepsLast refuses to remove anything while another secret than the current one
// does the work: it may be the last that works.
func (r *rotation) keepsLast() error {
	if !r.fallback {
		return nil
	}
	return &operatorError{fmt.Sprintf("IMS refuses the current client secret of config/%s, and tokens are minted with another that a rotation left: write the right client_secret to config/%s. No secret was removed", r.name, r.name)}
}

// removeDue removes the retired secrets whose time has come.
func (r *rotation) removeDue(ctx context.Context) error {
	due := r.config.dueToRetire(r.b.tokens.clock.Now())
	if len(due) == 0 {
		return nil
	}
	if err := r.keepsLast(); err != nil {
		return err
	}
	// To a removal the console answers 404 for a secret that is gone, and
	// perhaps for a credential that it does not know. The list tells.
	if _, err := r.console.List(ctx, r.Token, r.credential()); err != nil {
		return err
	}
	for _, old := range due {
		if err := r.remove(ctx, old); err != nil {
			return err
		}
	}
	return nil
}

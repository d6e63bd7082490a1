// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/entry"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

const (
	rolePrefix = "role/"  // in storage
	rolesPath  = "roles/" // in requests
)

// roles/<name>
func (b *backend) pathRoles() *framework.Path {
	return &framework.Path{
		Pattern:         "roles/" + framework.GenericNameRegex("name"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    pathRolesHelpSyn,
		HelpDescription: pathRolesHelpDesc,
		ExistenceCheck:  b.roleExists,
		Fields:          roleFields(),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback:     b.readRole,
				Summary:      "Read a role.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read", OperationSuffix: "role"},
				Responses:    okResponse(roleAnswerFields()),
			},
			logical.CreateOperation: b.writeRoleOperation(),
			logical.UpdateOperation: b.writeRoleOperation(),
			logical.DeleteOperation: &framework.PathOperation{
				Callback:                    b.deleteRole,
				Summary:                     "Delete a role and invalidate its shared tokens.",
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "delete", OperationSuffix: "role"},
				Responses:                   noContent(),
			},
		},
	}
}

func (b *backend) writeRoleOperation() framework.OperationHandler {
	return &framework.PathOperation{
		Callback:                    b.writeRole,
		Summary:                     "Write a role. Fields left out keep their values.",
		ForwardPerformanceStandby:   true,
		ForwardPerformanceSecondary: true,
		DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "write", OperationSuffix: "role"},
		Responses:                   noContent(),
	}
}

// roles/
func (b *backend) pathRolesList() *framework.Path {
	return &framework.Path{
		Pattern:         "roles/?$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "List the roles.",
		HelpDescription: "Lists the names under roles/.",
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: &framework.PathOperation{
				Callback:     b.listRoles,
				Summary:      "List the roles.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "list", OperationSuffix: "roles"},
				Responses:    okResponse(keysField()),
			},
		},
	}
}

func roleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"name": nameField("role"),
		"config": {
			Type:        framework.TypeString,
			Default:     "default",
			Description: "The config whose credential the role's tokens are minted with. It must exist.",
		},
		"scopes": {
			Type:        framework.TypeCommaStringSlice,
			Description: "Scopes of the role's tokens: a list, or a string with commas or spaces. Required on create.",
			Required:    true,
		},
		"exclusive": {
			Type:        framework.TypeBool,
			Description: "Mint a token for every read, and invalidate it at IMS when its lease is revoked, instead of sharing one.",
		},
		"min_ttl": {
			Type:        framework.TypeDurationSecond,
			Description: "How long a token has to live at least when it is handed out.",
		},
		"max_ttl": {
			Type:        framework.TypeDurationSecond,
			Description: "Upper bound of the lease; 0 for none.",
		},
		"verify": {
			Type:        framework.TypeBool,
			Default:     true,
			Description: "Ask IMS for a token with the scopes before the role is stored, where scopes or config change. The role's first reader gets that token. Not stored itself, and not for roles of a person.",
		},
		"leased": {
			Type:        framework.TypeBool,
			Default:     true,
			Description: "Hand tokens out under a lease. Without one, the answer carries ttl, rotation_period and last_vault_rotation as a static role's does.",
		},
	}
}

func roleAnswerFields() map[string]*framework.FieldSchema {
	fields := roleFields()
	delete(fields, "name")
	delete(fields, "verify")
	return fields
}

func (b *backend) roleExists(ctx context.Context, _ *logical.Request, d *framework.FieldData) (bool, error) {
	r, err := b.roles.Get(ctx, d.Get("name").(string))
	return r.Value != nil, err
}

func (b *backend) readRole(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	stored, err := b.roles.Get(ctx, d.Get("name").(string))
	if stored.Value == nil || err != nil {
		return nil, err
	}
	r := stored.Value
	return &logical.Response{Data: map[string]any{
		"config":    r.Config,
		"scopes":    r.Scopes,
		"exclusive": r.Exclusive,
		"min_ttl":   wholeSeconds(r.MinTTL),
		"max_ttl":   wholeSeconds(r.MaxTTL),
		"leased":    r.Leased,
	}}, nil
}

// writeRole has IMS prove the role's scopes with no lock held, then stores the
// role if nothing of what that rested on was written meanwhile, and else begins
// again.
func (b *backend) writeRole(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	w := roleWrite{name: d.Get("name").(string), verify: d.Get("verify").(bool)}
	for range writeAttempts {
		if err := b.readForWrite(ctx, &w); err != nil {
			return respond(err)
		}
		if err := applyRole(&w.next, d); err != nil {
			return respond(err)
		}
		if w.stored.Value != nil && reflect.DeepEqual(*w.stored.Value, w.next) {
			return &logical.Response{}, nil
		}
		if err := b.checkRole(ctx, &w); err != nil {
			return respond(err)
		}
		if err := b.proveScopes(ctx, &w); err != nil {
			return respond(err)
		}
		stored, err := b.storeRole(ctx, &w)
		if stored || err != nil {
			return &logical.Response{Warnings: w.warnings}, err
		}
	}
	return nil, errBusy(rolesPath + w.name)
}

// writeAttempts is how often a write begins again because something else was
// written meanwhile.
const writeAttempts = 5

func errBusy(path string) error {
	return logical.CodedError(http.StatusServiceUnavailable, path+" is being written by others all the time: try again")
}

// roleWrite is a write of a role under way.
type roleWrite struct {
	name   string
	verify bool

	stored   entry.Stored[tokens.Role]
	next     tokens.Role
	config   entry.Stored[credential.Credential]
	token    *tokens.Token // that proved the scopes; nil if there is none
	warnings []string
}

func (b *backend) readForWrite(ctx context.Context, w *roleWrite) (err error) {
	w.stored, err = b.roles.Get(ctx, w.name)
	w.next = tokens.Role{Config: "default", Leased: true}
	if w.stored.Value != nil {
		w.next = *w.stored.Value
	}
	w.warnings = nil
	return err
}

// checkRole holds the role against its config.
func (b *backend) checkRole(ctx context.Context, w *roleWrite) (err error) {
	if w.config, err = b.credentials.Get(ctx, w.next.Config); err != nil {
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
		w.warnings = append(w.warnings, warningWithoutRefresh)
	}
	return nil
}

// proveScopes asks IMS for a token with the scopes, if they or the config are
// new. Not being able to ask is a warning.
func (b *backend) proveScopes(ctx context.Context, w *roleWrite) error {
	before, c := w.stored.Value, w.config.Value
	same := before != nil && before.Config == w.next.Config && slices.Equal(before.Scopes, w.next.Scopes)
	if !w.verify || same || c.Type == credential.WebApp {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tokens.ReaderLimit)
	defer cancel()
	grants, err := b.credentials.Grants(ctx, w.next.Config, c, w.next.Scopes)
	if grants.Token != nil {
		w.token = tokenOf(specOf(w.name, &w.next, c, 0), grants.Token)
	}
	if err == nil {
		err = usable(w.token, b)
	}
	if err != nil && w.token != nil {
		b.tokens.EndStray(context.WithoutCancel(ctx), w.name, w.token)
		w.token = nil
	}
	var failed *ims.Error
	switch {
	case err == nil:
		if missing := w.token.MissingScopes(); len(missing) > 0 {
			w.warnings = append(w.warnings, missingScopesWarning(missing))
		}
		return nil
	case errors.As(err, &failed) && failed.Code == ims.CodeInvalidScope:
		return advice.Field("scopes", "IMS does not grant %s to the credential of config/%s: compare them with the Scopes tab of the credential in the Developer Console; case counts. Nothing was stored. The answer was: %s",
			cmp.Or(strings.Join(grants.Refused, ", "), "one of them"), w.next.Config, failed).Because(failed)
	case errors.As(err, &failed) && failed.Kind == ims.Refused && failed.Code != "":
		return advice.New("%s. %s Nothing was stored. To store the role without asking IMS, add verify=false", failed, adviceFor(failed, w.next.Config, w.name)).Because(failed)
	case errors.As(err, &failed), errors.Is(err, context.DeadlineExceeded):
		w.warnings = append(w.warnings, fmt.Sprintf("IMS could not be asked whether it grants these scopes: %s. The role is stored, and its scopes are not proven", err))
		return nil
	}
	return err
}

// storeRole stores the role unless it or its config was written since they were
// read; then the token that proved it is ended.
func (b *backend) storeRole(ctx context.Context, w *roleWrite) (stored bool, err error) {
	defer func() {
		if w.token != nil && !stored {
			b.tokens.EndStray(context.WithoutCancel(ctx), w.name, w.token)
			w.token = nil
		}
	}()
	share, err := b.credentials.Share(ctx, w.next.Config)
	if err != nil {
		return false, err
	}
	defer share()
	unlock, err := b.roleWrites.Lock(ctx, w.name)
	if err != nil {
		return false, err
	}
	defer unlock()
	now, err := b.roles.Get(ctx, w.name)
	if err != nil || now.Revision != w.stored.Revision {
		return false, err
	}
	config, err := b.credentials.Get(ctx, w.next.Config)
	if err != nil || config.Revision != w.config.Revision {
		return false, err
	}
	next := w.next
	if err := b.roles.Put(ctx, w.name, &next); err != nil {
		return false, err
	}
	b.host.Events.Send(ctx, "role-write", rolesPath+w.name)
	b.tokens.Changed(ctx, w.name)
	b.keepProof(ctx, w)
	return true, nil
}

// keepProof gives the token that proved the scopes to the role's first reader. An
// exclusive token is minted for its reader, so this one is ended.
func (b *backend) keepProof(ctx context.Context, w *roleWrite) {
	if w.token == nil {
		return
	}
	spec, err := b.lookup(ctx, w.name)
	if err == nil && !w.next.Exclusive {
		err = b.tokens.Adopt(ctx, spec, w.token)
	} else {
		b.tokens.EndStray(ctx, w.name, w.token)
	}
	if err != nil {
		b.Logger().Warn("the token that proved a role's scopes could not be kept; the role's first read mints another", "role", w.name, "error", err)
	}
}

// applyRole merges the fields of a request into the role: a field left out keeps
// its value. The error names the field.
func applyRole(r *tokens.Role, d *framework.FieldData) error {
	if config, ok := d.GetOk("config"); ok {
		r.Config = config.(string)
	}
	items, given := d.GetOk("scopes")
	if given || len(r.Scopes) == 0 {
		list, _ := items.([]string)
		scopes, err := tokens.ParseScopes(list)
		if err != nil {
			return err
		}
		r.Scopes = scopes
	}
	if exclusive, ok := d.GetOk("exclusive"); ok {
		r.Exclusive = exclusive.(bool)
	}
	if leased, ok := d.GetOk("leased"); ok {
		r.Leased = leased.(bool)
	}
	if seconds, ok := d.GetOk("min_ttl"); ok {
		r.MinTTL = time.Duration(seconds.(int)) * time.Second
	}
	if seconds, ok := d.GetOk("max_ttl"); ok {
		r.MaxTTL = time.Duration(seconds.(int)) * time.Second
	}
	switch {
	case r.Exclusive && !r.Leased:
		return advice.Field("leased", "an exclusive token needs its lease, which is what invalidates it; leased=false is for shared tokens")
	case r.Config == "":
		return advice.Field("config", "cannot be empty")
	}
	return nil
}

// deleteRole ends the tokens that the role's readers hold, once nobody can mint
// another. What IMS could not end stays on record for delete token/<role>.
func (b *backend) deleteRole(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("name").(string)
	if deleted, err := b.removeRole(ctx, name); !deleted || err != nil {
		return nil, err
	}
	b.host.Events.Send(ctx, "role-delete", rolesPath+name)

	ctx, cancel := context.WithTimeout(ctx, roleDeletionLimit)
	defer cancel()
	resp := &logical.Response{}
	if _, err := b.tokens.Delete(ctx, name); err != nil {
		resp.AddWarning(fmt.Sprintf("The role is deleted, but not every token of it: %s", words(err)))
	}
	left, err := b.authorizations.Revoke(ctx, name)
	if err != nil {
		resp.AddWarning(fmt.Sprintf("The role is deleted, but its authorization is not revoked: %s", words(err)))
	}
	for _, l := range left {
		resp.AddWarning(leftWords(l))
	}
	return resp, nil
}

// roleDeletionLimit limits the best effort of ending the tokens of a role that is
// deleted.
const roleDeletionLimit = 15 * time.Second

// removeRole takes the role out of storage. A person's authorization is condemned
// first: a role that is written again under the name needs a new consent.
func (b *backend) removeRole(ctx context.Context, name string) (removed bool, err error) {
	unlock, err := b.roleWrites.Lock(ctx, name)
	if err != nil {
		return false, err
	}
	defer unlock()
	r, err := b.roles.Get(ctx, name)
	if r.Value == nil || err != nil {
		return false, err
	}
	if err := b.authorizations.Condemn(ctx, name); err != nil {
		return false, err
	}
	return true, b.roles.Delete(ctx, name)
}

func (b *backend) listRoles(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := b.roles.List(ctx)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(names), nil
}

// rolesOf names the roles of a config that are of a kind.
func (b *backend) rolesOf(ctx context.Context, config string, kind func(*tokens.Role) bool) ([]string, error) {
	names, err := b.roles.List(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range names {
		r, err := b.roles.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		if r.Value != nil && r.Value.Config == config && kind(r.Value) {
			found = append(found, name)
		}
	}
	return found, nil
}

const pathRolesHelpSyn = `A name for a set of scopes of a config: what a policy grants.`

const pathRolesHelpDesc = `
A read of token/<role> answers a token with the scopes of the role.

  $ vault write adobeims/roles/firefly scopes="openid,AdobeID,firefly_api,ff_apis"
  $ vault read adobeims/token/firefly

By default all readers of a role get the same token until half of its life is
over. With exclusive=true every read mints a token of its own.
`

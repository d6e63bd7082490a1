// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/roles"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
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
			logical.ReadOperation:   onActive(operation(b.readRole, "Read a role.", "read", "role", okResponse(roleAnswerFields()))),
			logical.CreateOperation: b.writeRoleOperation(),
			logical.UpdateOperation: b.writeRoleOperation(),
			logical.DeleteOperation: onPrimary(operation(b.deleteRole, "Delete a role and invalidate its shared tokens.", "delete", "role", noContent())),
		},
	}
}

func (b *backend) writeRoleOperation() framework.OperationHandler {
	return onPrimary(operation(b.writeRole, "Write a role. Fields left out keep their values.", "write", "role", noContent()))
}

// roles/
func (b *backend) pathRolesList() *framework.Path {
	return &framework.Path{
		Pattern:         "roles/?$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "List the roles.",
		HelpDescription: "Lists the names under roles/.",
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: onActive(operation(b.listRoles, "List the roles.", "list", "roles", okResponse(keysField()))),
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

func (b *backend) writeRole(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	warnings, err := b.roles.Write(ctx, d.Get("name").(string), roles.Change{
		Apply:  func(r *tokens.Role) error { return applyRole(r, d) },
		Verify: d.Get("verify").(bool),
	})
	if err != nil {
		return respond(err)
	}
	return &logical.Response{Warnings: warnings}, nil
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
	// A person's authorization is condemned first: a role that is written again under
	// the name needs a new consent.
	condemn := func() error { return b.authorizations.Condemn(ctx, name) }
	if deleted, err := b.roles.Delete(ctx, name, condemn); !deleted || err != nil {
		return nil, err
	}
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

func (b *backend) listRoles(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := b.roles.List(ctx)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(names), nil
}

const pathRolesHelpSyn = `A name for a set of scopes of a config: what a policy grants.`

const pathRolesHelpDesc = `
A read of token/<role> answers a token with the scopes of the role.

  $ vault write adobeims/roles/firefly scopes="openid,AdobeID,firefly_api,ff_apis"
  $ vault read adobeims/token/firefly

By default all readers of a role get the same token until half of its life is
over. With exclusive=true every read mints a token of its own.
`

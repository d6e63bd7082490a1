// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

const rolePrefix = "role/"

// role is what a policy grants: a set of scopes of a config, as stored under
// role/<name>.
type role struct {
	Config    string        `json:"config"`
	Scopes    []string      `json:"scopes"`
	Exclusive bool          `json:"exclusive,omitempty"`
	Leased    bool          `json:"leased"`
	MinTTL    time.Duration `json:"min_ttl,omitempty"`
	MaxTTL    time.Duration `json:"max_ttl,omitempty"`
}

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
				Responses:    answers(roleAnswerFields()),
			},
			logical.CreateOperation: b.writesRole(),
			logical.UpdateOperation: b.writesRole(),
			logical.DeleteOperation: &framework.PathOperation{
				Callback:                    b.deleteRole,
				Summary:                     "Delete a role and invalidate its shared tokens.",
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "delete", OperationSuffix: "role"},
				Responses:                   answersNothing(),
			},
		},
	}
}

func (b *backend) writesRole() framework.OperationHandler {
	return &framework.PathOperation{
		Callback:                    b.writeRole,
		Summary:                     "Write a role. Fields left out keep their values.",
		ForwardPerformanceStandby:   true,
		ForwardPerformanceSecondary: true,
		DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "write", OperationSuffix: "role"},
		Responses:                   answersNothing(),
	}
}

// roles/
func (b *backend) pathRolesList() *framework.Path {
	return &framework.Path{
		Pattern:         "roles/?$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "List the roles.",
		HelpDescription: "Answers the names under roles/.",
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: &framework.PathOperation{
				Callback:     b.listRoles,
				Summary:      "List the roles.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "list", OperationSuffix: "roles"},
				Responses:    answers(keysField()),
			},
		},
	}
}

func roleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"name": {
			Type:        framework.TypeString,
			Description: "Name of the role.",
		},
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
	return fields
}

func (b *backend) roleExists(ctx context.Context, req *logical.Request, d *framework.FieldData) (bool, error) {
	r, err := b.roles.get(ctx, req.Storage, d.Get("name").(string))
	return r != nil, err
}

func (b *backend) readRole(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	r, err := b.roles.get(ctx, req.Storage, d.Get("name").(string))
	if r == nil || err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"config":    r.Config,
		"scopes":    r.Scopes,
		"exclusive": r.Exclusive,
		"min_ttl":   int64(r.MinTTL.Seconds()),
		"max_ttl":   int64(r.MaxTTL.Seconds()),
		"leased":    r.Leased,
	}}, nil
}

func (b *backend) writeRole(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("name").(string)
	b.editing.Lock()
	defer b.editing.Unlock()

	stored, err := b.roles.get(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	next := &role{Config: "default", Leased: true}
	if stored != nil {
		*next = *stored
	}
	if err := next.apply(d); err != nil {
		return refuse("%s", err)
	}
	c, err := b.configs.get(ctx, req.Storage, next.Config)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return refuse("config: %q does not exist; write config/%s first", next.Config, next.Config)
	}
	if scope := managementScopeIn(next.Scopes); scope != "" && !c.AllowManagementScopes {
		return refuse("scopes: a token with %s could create client secrets for its own credential; if readers of this role may do that, set allow_management_scopes=true on config/%s", scope, next.Config)
	}
	if c.CredentialType == webApp && next.Exclusive {
		return refuse("exclusive: config/%s is an %s, whose tokens are one person's and shared", next.Config, webApp)
	}
	if err := b.roles.put(ctx, req.Storage, name, next); err != nil {
		return nil, err
	}
	b.event(ctx, "role-write", "roles/"+name)
	resp := &logical.Response{}
	if c.CredentialType == webApp {
		warnWithoutRefresh(resp, next)
	}
	return resp, nil
}

// apply merges the fields of a request into the role: a field left out keeps
// its value. The error names the field.
func (r *role) apply(d *framework.FieldData) error {
	if config, ok := givenText(d, "config"); ok {
		r.Config = config
	}
	items, given := d.GetOk("scopes")
	if given || len(r.Scopes) == 0 {
		list, _ := items.([]string)
		scopes, err := parseScopes(list)
		if err != nil {
			return err
		}
		r.Scopes = scopes
	}
	for name, value := range map[string]*bool{"exclusive": &r.Exclusive, "leased": &r.Leased} {
		if given, ok := d.GetOk(name); ok {
			*value = given.(bool)
		}
	}
	for name, value := range map[string]*time.Duration{"min_ttl": &r.MinTTL, "max_ttl": &r.MaxTTL} {
		if seconds, ok := d.GetOk(name); ok {
			*value = time.Duration(seconds.(int)) * time.Second
		}
	}
	if r.Exclusive && !r.Leased {
		return errors.New("leased: an exclusive token needs its lease, which is what invalidates it; leased=false is for shared tokens")
	}
	if r.Config == "" {
		return fmt.Errorf("config: cannot be empty")
	}
	return nil
}

// deleteRole ends the tokens that the role's readers hold, once nobody can mint
// another. What IMS could not invalidate stays on record for delete
// token/<role>.
func (b *backend) deleteRole(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("name").(string)
	r, err := b.roles.get(ctx, req.Storage, name)
	if r == nil || err != nil {
		return nil, err
	}
	b.editing.Lock()
	err = b.roles.delete(ctx, req.Storage, name)
	b.editing.Unlock()
	if err != nil {
		return nil, err
	}
	b.event(ctx, "role-delete", "roles/"+name)

	ctx, cancel := context.WithTimeout(ctx, roleDeletionTimeout)
	defer cancel()
	resp := &logical.Response{}
	if err := b.tokens.revokeAuthorization(ctx, name); err != nil {
		resp.AddWarning(fmt.Sprintf("The role is deleted, but its authorization is not revoked: %s. Delete authorize/%s to try again", err, name))
	}
	if err := b.tokens.kill(ctx, name); err != nil {
		resp.AddWarning(fmt.Sprintf("The role is deleted, but not every token of it: %s", err))
	}
	return resp, nil
}

// roleDeletionTimeout limits the best effort of ending the tokens of a role
// that is deleted.
const roleDeletionTimeout = 15 * time.Second

func (b *backend) listRoles(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := b.roles.list(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(names), nil
}

// rolesOf names the roles of a config that are of a kind.
func (b *backend) rolesOf(ctx context.Context, s logical.Storage, config string, kind func(*role) bool) ([]string, error) {
	names, err := b.roles.list(ctx, s)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range names {
		r, err := b.roles.get(ctx, s, name)
		if err != nil {
			return nil, err
		}
		if r != nil && r.Config == config && kind(r) {
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

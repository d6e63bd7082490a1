// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/locksutil"
	"github.com/hashicorp/vault/sdk/logical"
)

// config/<name>
func (b *backend) pathConfig() *framework.Path {
	return &framework.Path{
		Pattern:         configPrefix + framework.GenericNameRegex("name"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    pathConfigHelpSyn,
		HelpDescription: pathConfigHelpDesc,
		ExistenceCheck:  b.configExists,
		Fields:          configFields(),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback:     b.readConfig,
				Summary:      "Read a credential of the Developer Console, without its secret.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read", OperationSuffix: "configuration"},
				Responses:    answers(configAnswerFields()),
			},
			logical.CreateOperation: b.writesConfig(),
			logical.UpdateOperation: b.writesConfig(),
			logical.DeleteOperation: &framework.PathOperation{
				Callback:                    b.deleteConfig,
				Summary:                     "Delete a credential that no role uses.",
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "delete", OperationSuffix: "configuration"},
				Responses:                   answersNothing(),
			},
		},
	}
}

func (b *backend) writesConfig() framework.OperationHandler {
	return &framework.PathOperation{
		Callback:                    b.writeConfig,
		Summary:                     "Write a credential of the Developer Console. Fields left out keep their values.",
		ForwardPerformanceStandby:   true,
		ForwardPerformanceSecondary: true,
		DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "write", OperationSuffix: "configuration"},
		Responses:                   answersNothing(),
	}
}

// config/
func (b *backend) pathConfigList() *framework.Path {
	return &framework.Path{
		Pattern:         configPrefix + "?$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "List the credentials of the Developer Console.",
		HelpDescription: "Answers the names under config/.",
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: &framework.PathOperation{
				Callback:     b.listConfigs,
				Summary:      "List the credentials.",
				DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "list", OperationSuffix: "configurations"},
				Responses:    answers(keysField()),
			},
		},
	}
}

func (b *backend) configExists(ctx context.Context, req *logical.Request, d *framework.FieldData) (bool, error) {
	c, err := b.configs.get(ctx, req.Storage, d.Get("name").(string))
	return c != nil, err
}

func (b *backend) readConfig(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	c, err := b.configs.get(ctx, req.Storage, d.Get("name").(string))
	if c == nil || err != nil {
		return nil, err
	}
	data := map[string]any{
		"client_id":               c.ClientID,
		"credential_type":         c.CredentialType,
		"org_id":                  c.OrgID,
		"ims_url":                 c.IMSURL,
		"ca_cert":                 c.CACert,
		"request_timeout":         int64(c.RequestTimeout.Seconds()),
		"max_retries":             c.MaxRetries,
		"console_org_id":          c.ConsoleOrgID,
		"credential_id":           c.CredentialID,
		"allow_management_scopes": c.AllowManagementScopes,
		"console_url":             c.ConsoleURL,
		"rotation_period":         int64(c.RotationPeriod.Seconds()),
		"previous_secret_ttl":     int64(c.PreviousSecretTTL.Seconds()),
		"client_secret_uuid":      c.SecretUUID,
		"client_secret_set_time":  timestamp(c.SecretSet),
	}
	if c.CredentialType == webApp {
		data["redirect_uri"] = c.RedirectURI
	}
	c.describeRotation(data)
	return &logical.Response{Data: data}, nil
}

// describeRotation adds what is due and what is in trouble, never a secret.
func (c *config) describeRotation(data map[string]any) {
	if due := c.rotationDue(); !due.IsZero() {
		data["next_rotation_time"] = timestamp(due)
	}
	if c.Pending != nil {
		data["pending_secret_uuid"] = c.Pending.UUID
	}
	if n := len(c.Retired); n > 0 {
		data["previous_secret_uuid"] = c.Retired[n-1].UUID
		data["previous_secret_remove_time"] = timestamp(c.Retired[n-1].RemoveAt)
	}
	if f := c.RotationFailure; f != nil {
		data["rotation_error"], data["rotation_error_time"] = f.Text, timestamp(f.At)
	}
}

func (b *backend) writeConfig(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("name").(string)
	// Held while IMS is asked, so that of two writes one sees the other's.
	lock := locksutil.LockForKey(b.configLocks, name)
	lock.Lock()
	defer lock.Unlock()

	stored, err := b.configs.get(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	next := newConfig()
	if stored != nil {
		*next = *stored
	}
	if err := next.apply(d, b.tokens.clock.Now()); err != nil {
		return refuse("%s", err)
	}
	if err := next.keepsSecretFrom(stored, d); err != nil {
		return refuse("%s", err)
	}
	if stored != nil && (stored.IMSURL != next.IMSURL || stored.ConsoleURL != next.ConsoleURL) {
		next.keepSecretsHere(b.tokens.clock.Now())
	}
	if d.Get("verify").(bool) {
		if resp, err := b.verify(ctx, next); resp != nil || err != nil {
			return resp, err
		}
	}
	resp, err := b.storeConfig(ctx, req.Storage, name, next)
	if err == nil && stored != nil && next.forgot(stored) {
		resp.AddWarning(leftoversWarning(stored))
	}
	return resp, err
}

func leftoversWarning(c *config) string {
	return fmt.Sprintf("Rotations left client secrets in the Developer Console that nobody removes now: %s", strings.Join(c.leftovers(), ", "))
}

func (b *backend) storeConfig(ctx context.Context, s logical.Storage, name string, c *config) (*logical.Response, error) {
	b.editing.Lock()
	defer b.editing.Unlock()
	if !c.AllowManagementScopes {
		users, err := b.rolesOf(ctx, s, name, func(r *role) bool { return managementScopeIn(r.Scopes) != "" })
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			return refuse("allow_management_scopes: cannot be false while these roles have such scopes: %s", strings.Join(users, ", "))
		}
	}
	if err := b.configs.put(ctx, s, name, c); err != nil {
		return nil, err
	}
	b.event(ctx, "config-write", configPrefix+name)
	return &logical.Response{}, nil
}

func (b *backend) deleteConfig(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("name").(string)
	lock := locksutil.LockForKey(b.configLocks, name)
	lock.Lock()
	defer lock.Unlock()
	b.editing.Lock()
	defer b.editing.Unlock()

	users, err := b.rolesOf(ctx, req.Storage, name, func(*role) bool { return true })
	if err != nil {
		return nil, err
	}
	if len(users) > 0 {
		return refuse("config %q is in use by these roles: %s; delete them or give them another config first", name, strings.Join(users, ", "))
	}
	c, err := b.configs.get(ctx, req.Storage, name)
	if c == nil || err != nil {
		return nil, err
	}
	if err := b.configs.delete(ctx, req.Storage, name); err != nil {
		return nil, err
	}
	b.event(ctx, "config-delete", configPrefix+name)
	resp := &logical.Response{}
	if len(c.leftovers()) > 0 {
		resp.AddWarning(leftoversWarning(c))
	}
	return resp, nil
}

func (b *backend) listConfigs(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := b.configs.list(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(names), nil
}

// keepsSecretFrom refuses to send the stored secret to a place it was not
// given for: whoever may update a config need not be allowed to know it.
func (c *config) keepsSecretFrom(stored *config, d *framework.FieldData) error {
	_, given := d.GetOk("client_secret")
	_, imported := d.GetOk("project")
	if stored == nil || given || imported {
		return nil
	}
	for _, url := range []struct{ name, stored, next string }{
		{"ims_url", stored.IMSURL, c.IMSURL},
		{"console_url", stored.ConsoleURL, c.ConsoleURL},
	} {
		if url.stored != url.next {
			return fmt.Errorf("%s: to change it, give client_secret again: the stored secret serves no other server (%s instead of %s)", url.name, url.next, url.stored)
		}
	}
	return nil
}

const pathConfigHelpSyn = `A credential of the Adobe Developer Console: client ID, client secret and how to reach IMS.`

const pathConfigHelpDesc = `
Create an OAuth Server-to-Server credential in the Adobe Developer Console, then
write its client ID and client secret here. Roles name the config they use.

  $ vault write adobeims/config/default client_id=... client_secret=@secret.txt
  $ vault write adobeims/config/default project=@project.json

Before anything is stored, IMS is asked for a token with the new values; with
verify=false it is not. The client secret is never returned.
`

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// configPath begins the paths of configs, in requests and in storage.
const configPath = credential.Prefix

// config/<name>
func (b *backend) pathConfig() *framework.Path {
	return &framework.Path{
		Pattern:         configPath + framework.GenericNameRegex("name"),
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    pathConfigHelpSyn,
		HelpDescription: pathConfigHelpDesc,
		ExistenceCheck:  b.configExists,
		Fields:          configFields(),
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation:   onActive(operation(b.readConfig, "Read a credential of the Developer Console, without its secret.", "read", "configuration", okResponse(configAnswerFields()))),
			logical.CreateOperation: b.writeConfigOperation(),
			logical.UpdateOperation: b.writeConfigOperation(),
			logical.DeleteOperation: onPrimary(operation(b.deleteConfig, "Delete a credential that no role uses.", "delete", "configuration", noContent())),
		},
	}
}

func (b *backend) writeConfigOperation() framework.OperationHandler {
	return onPrimary(operation(b.writeConfig, "Write a credential of the Developer Console. Fields left out keep their values.", "write", "configuration", noContent()))
}

// config/
func (b *backend) pathConfigList() *framework.Path {
	return &framework.Path{
		Pattern:         configPath + "?$",
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		HelpSynopsis:    "List the credentials of the Developer Console.",
		HelpDescription: "Lists the names under config/.",
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: onActive(operation(b.listConfigs, "List the credentials.", "list", "configurations", okResponse(keysField()))),
		},
	}
}

func (b *backend) configExists(ctx context.Context, _ *logical.Request, d *framework.FieldData) (bool, error) {
	c, err := b.credentials.Get(ctx, d.Get("name").(string))
	return c.Value != nil, err
}

// readConfig answers the fields of the credential's type.
func (b *backend) readConfig(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	stored, err := b.credentials.Get(ctx, d.Get("name").(string))
	if stored.Value == nil || err != nil {
		return nil, err
	}
	c := stored.Value
	data := map[string]any{
		"client_id":               c.ClientID,
		"credential_type":         string(c.Type),
		"org_id":                  c.OrgID,
		"ims_url":                 c.IMSURL,
		"ca_cert":                 c.CACert,
		"request_timeout":         wholeSeconds(c.RequestTimeout),
		"max_retries":             c.MaxRetries,
		"allow_management_scopes": c.AllowManagementScopes,
		"client_secret_set_time":  advice.Time(c.Set),
	}
	if len(c.Scopes) > 0 {
		data["scopes"] = c.Scopes
	}
	if c.Type == credential.WebApp {
		data["redirect_uri"] = c.RedirectURI
		return &logical.Response{Data: data}, nil
	}
	data["console_url"] = c.ConsoleURL
	data["console_org_id"] = c.ConsoleOrgID
	data["credential_id"] = c.CredentialID
	data["client_secret_uuid"] = c.UUID
	data["rotation_period"] = wholeSeconds(c.RotationPeriod)
	data["rotation_schedule"] = c.RotationSchedule
	data["rotation_window"] = wholeSeconds(c.RotationWindow)
	data["previous_secret_ttl"] = wholeSeconds(c.PreviousSecretTTL)
	data["technical_account_id"] = c.TechnicalAccountID
	data["technical_account_email"] = c.TechnicalAccountEmail
	b.describeSecrets(data, c, req.MountPoint)
	return &logical.Response{Data: data}, nil
}

// describeSecrets adds what is due and what is in trouble, never a secret.
func (b *backend) describeSecrets(data map[string]any, c *credential.Credential, mount string) {
	if next := c.NextRotation(b.host.Clock.Now()); !next.IsZero() {
		data["next_rotation_time"] = advice.Time(next)
	}
	if c.Pending != nil {
		data["pending_secret_uuid"] = c.Pending.UUID
	}
	if n := len(c.Retired); n > 0 {
		data["previous_secret_uuid"] = c.Retired[n-1].UUID
		data["previous_secret_remove_time"] = advice.Time(c.Retired[n-1].RemoveAt)
	}
	if f := c.RotationFailure; f != nil {
		data["rotation_error"], data["rotation_error_time"] = advice.At(mount, f.Text), advice.Time(f.At)
	}
}

func (b *backend) writeConfig(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, tokens.ReaderLimit)
	defer cancel()
	name := d.Get("name").(string)
	warnings, err := b.credentials.Write(ctx, name, credential.Change{
		Type:     credentialType(d),
		File:     d.Get("project").(string),
		ClientID: d.Get("client_id").(string),
		Secret:   givenText(d, "client_secret"),
		UUID:     givenText(d, "client_secret_uuid"),
		Apply:    func(s *credential.Settings) { applySettings(s, d) },
		Verify:   d.Get("verify").(bool),
		Allow: func(ctx context.Context, before, next *credential.Credential) error {
			return b.allowScopes(ctx, name, before, next)
		},
	})
	if err != nil {
		return respond(err)
	}
	resp := &logical.Response{Warnings: warnings}
	b.warnOfSameClient(ctx, resp, name)
	return resp, nil
}

// allowScopes refuses to forbid management scopes that roles have.
func (b *backend) allowScopes(ctx context.Context, name string, before, next *credential.Credential) error {
	if before == nil || !before.AllowManagementScopes || next.AllowManagementScopes {
		return nil
	}
	users, err := b.roles.Of(ctx, name, func(r *tokens.Role) bool { return credential.ManagementScope(r.Scopes) != "" })
	if err == nil && len(users) > 0 {
		err = advice.Field("allow_management_scopes", "cannot be false while these roles have such scopes: %s", someOf(users))
	}
	return err
}

func (b *backend) deleteConfig(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("name").(string)
	unlock, err := b.credentials.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	users, err := b.roles.Of(ctx, name, func(*tokens.Role) bool { return true })
	if err != nil {
		return nil, err
	}
	if len(users) > 0 {
		return refuse("config %q is in use by these roles: %s; delete them or give them another config first", name, someOf(users))
	}
	c, err := b.credentials.Get(ctx, name)
	if c.Value == nil || err != nil {
		return nil, err
	}
	if err := b.credentials.Delete(ctx, name); err != nil {
		return nil, err
	}
	b.host.Events.Send(ctx, "config-delete", configPath+name)
	resp := &logical.Response{}
	if left := c.Value.OtherUUIDs(); len(left) > 0 {
		resp.AddWarning(credential.LostWarning(left))
	}
	return resp, nil
}

// someOf names the first of many.
func someOf(names []string) string {
	const most = 20
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// warnOfSameClient names the other configs with the client ID of a config:
// rotating the one's secret ends the other's. What cannot be looked at is left
// out: the request has been served.
func (b *backend) warnOfSameClient(ctx context.Context, resp *logical.Response, name string) {
	own, err := b.credentials.Get(ctx, name)
	names, listErr := b.credentials.List(ctx)
	if err != nil || listErr != nil || own.Value == nil {
		return
	}
	var others []string
	for _, other := range names {
		c, err := b.credentials.Get(ctx, other)
		if err == nil && other != name && c.Value != nil && c.Value.ClientID == own.Value.ClientID && c.Value.IMSURL == own.Value.IMSURL {
			others = append(others, configPath+other)
		}
	}
	if len(others) > 0 {
		resp.AddWarning(fmt.Sprintf("client_id: %s has the same: a rotation of the client secret of one ends that of the other. Let one config serve the roles of both", someOf(others)))
	}
}

func (b *backend) listConfigs(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := b.credentials.List(ctx)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(names), nil
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

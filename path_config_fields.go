// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"maps"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
)

func configFields() map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{
		"name": nameField("config"),
		"client_id": {
			Type:        framework.TypeString,
			Description: "Client ID of the credential, as the Developer Console shows it. Required on create.",
			Required:    true,
		},
		"client_secret": {
			Type:         framework.TypeString,
			Description:  "Client secret of the credential. Required on create, never returned.",
			Required:     true,
			DisplayAttrs: &framework.DisplayAttributes{Sensitive: true},
		},
		"credential_type": {
			Type:          framework.TypeString,
			Default:       string(credential.ServerToServer),
			Description:   "Type of the credential in the Developer Console: oauth_server_to_server, or oauth_web_app for a person's tokens. It cannot be changed.",
			AllowedValues: []any{string(credential.ServerToServer), string(credential.WebApp)},
		},
		"redirect_uri": {
			Type:        framework.TypeString,
			Description: "For oauth_web_app, where it is required: the redirect URI of the credential. With https://<vault>/v1/<mount>/callback, sign-ins complete by themselves.",
		},
		"org_id": {
			Type:        framework.TypeString,
			Description: "IMS organisation, ending in @AdobeOrg. Sent to IMS where set, and answered with each token.",
		},
		"ims_url": {
			Type:        framework.TypeString,
			Default:     ims.DefaultURL,
			Description: "Address of IMS: https, or http to a loopback address. To change it, give client_secret again.",
		},
		"ca_cert": {
			Type:        framework.TypeString,
			Description: "PEM bundle of the certificate authorities to trust instead of the system's, for a private CA or a proxy that inspects TLS.",
		},
		"request_timeout": {
			Type:        framework.TypeDurationSecond,
			Default:     10,
			Description: "Time limit of one HTTP attempt, 1s to 60s. Answered in seconds.",
		},
		"max_retries": {
			Type:        framework.TypeInt,
			Default:     2,
			Description: "How often a request is repeated after 429, 5xx or a network error, 0 to 10.",
		},
		"verify": {
			Type:        framework.TypeBool,
			Default:     true,
			Description: "Ask IMS for a token with the new values before they are stored, and the Developer Console for its list of client secrets where console_org_id or credential_id change. Not stored itself.",
		},
		"project": {
			Type:         framework.TypeString,
			Description:  "A JSON file that the Developer Console offers for download, of a project or of a credential, such as project=@project.json. Fills in client_id, client_secret (of two, the one that IMS accepts), org_id, console_org_id, credential_id, technical_account_id, technical_account_email, and the redirect_uri of a web app. Fields given beside it win; of several credentials in it, client_id picks one. Not stored itself.",
			DisplayAttrs: &framework.DisplayAttributes{Sensitive: true},
		},
		"technical_account_id": {
			Type:        framework.TypeString,
			Description: "Technical account of the credential, ...@techacct.adobe.com. Taken from its first token where it is not given. For information.",
		},
		"technical_account_email": {
			Type:        framework.TypeString,
			Description: "Email address of the technical account, to which an admin grants rights. For information.",
		},
		"allow_management_scopes": {
			Type:        framework.TypeBool,
			Description: "Allow roles to have scopes whose tokens can create client secrets: " + strings.Join(credential.ManagementScopes, ", ") + ".",
		},
	}
	maps.Copy(fields, rotationFields())
	return fields
}

// rotationFields are what a rotation of the client secret needs to know.
func rotationFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"console_org_id": {
			Type:        framework.TypeString,
			Description: "Number of the organisation in the Developer Console's URL (not ...@AdobeOrg).",
		},
		"credential_id": {
			Type:        framework.TypeString,
			Description: "Id of the credential in the Developer Console's URL.",
		},
		"console_url": {
			Type:        framework.TypeString,
			Default:     console.DefaultURL,
			Description: "Address of the Developer Console's API. To change it, give client_secret again.",
		},
		"rotation_period": {
			Type:        framework.TypeDurationSecond,
			Description: "How often the client secret is rotated, a minute at least and not less than previous_secret_ttl; 0 to rotate manually only. Answered in seconds.",
		},
		"rotation_schedule": {
			Type:        framework.TypeString,
			Description: "In place of rotation_period: when the client secret is rotated, as cron has it, in five fields and UTC, such as \"0 3 * * SAT\".",
		},
		"rotation_window": {
			Type:        framework.TypeDurationSecond,
			Description: "How long after a time of the schedule a rotation may still begin; an hour if it is not given. Answered in seconds.",
		},
		"previous_secret_ttl": {
			Type:        framework.TypeDurationSecond,
			Default:     3600,
			Description: "How long a client secret that was rotated away goes on working before it is removed. Answered in seconds.",
		},
		"client_secret_uuid": {
			Type:        framework.TypeString,
			Description: "UUID of the client secret in the Developer Console. Needed only if that lists two and which one this is cannot be told.",
		},
	}
}

// configAnswerFields are the fields a read of config/<name> answers.
func configAnswerFields() map[string]*framework.FieldSchema {
	fields := configFields()
	for _, name := range []string{"name", "client_secret", "verify", "project"} {
		delete(fields, name)
	}
	maps.Copy(fields, map[string]*framework.FieldSchema{
		"scopes":                      {Type: framework.TypeStringSlice, Description: "Scopes of the credential by the file that was imported; absent if it had none."},
		"client_secret_set_time":      {Type: framework.TypeString, Description: "When the current client secret was written or rotated in."},
		"next_rotation_time":          {Type: framework.TypeString, Description: "When the client secret is rotated by period or schedule; absent if it is not."},
		"pending_secret_uuid":         {Type: framework.TypeString, Description: "UUID of a client secret that was added and not proven yet; absent if there is none."},
		"previous_secret_uuid":        {Type: framework.TypeString, Description: "UUID of the previous client secret, if it still works."},
		"previous_secret_remove_time": {Type: framework.TypeString, Description: "When the previous client secret is removed."},
		"rotation_error":              {Type: framework.TypeString, Description: "Why the last rotation failed; absent if it did not."},
		"rotation_error_time":         {Type: framework.TypeString, Description: "When the last rotation failed."},
	})
	return fields
}

// applySettings merges the fields of a request into the settings: a field left out
// keeps its value.
func applySettings(s *credential.Settings, d *framework.FieldData) {
	for _, text := range []struct {
		name  string
		value *string
	}{
		{"client_id", &s.ClientID},
		{"org_id", &s.OrgID},
		{"redirect_uri", &s.RedirectURI},
		{"ims_url", &s.IMSURL},
		{"ca_cert", &s.CACert},
		{"console_org_id", &s.ConsoleOrgID},
		{"credential_id", &s.CredentialID},
		{"console_url", &s.ConsoleURL},
		{"rotation_schedule", &s.RotationSchedule},
		{"technical_account_id", &s.TechnicalAccountID},
		{"technical_account_email", &s.TechnicalAccountEmail},
	} {
		if given, ok := d.GetOk(text.name); ok {
			*text.value = given.(string)
		}
	}
	for _, duration := range []struct {
		name  string
		value *time.Duration
	}{
		{"request_timeout", &s.RequestTimeout},
		{"rotation_period", &s.RotationPeriod},
		{"rotation_window", &s.RotationWindow},
		{"previous_secret_ttl", &s.PreviousSecretTTL},
	} {
		if seconds, ok := d.GetOk(duration.name); ok {
			*duration.value = time.Duration(seconds.(int)) * time.Second
		}
	}
	if retries, ok := d.GetOk("max_retries"); ok {
		s.MaxRetries = retries.(int)
	}
	if allow, ok := d.GetOk("allow_management_scopes"); ok {
		s.AllowManagementScopes = allow.(bool)
	}
}

// givenText is a text of the request; nil if it is not given.
func givenText(d *framework.FieldData, name string) *string {
	if value, ok := d.GetOk(name); ok {
		text := value.(string)
		return &text
	}
	return nil
}

// credentialType is the type that the request gives; empty for none.
func credentialType(d *framework.FieldData) credential.Type {
	if given := givenText(d, "credential_type"); given != nil {
		return credential.Type(*given)
	}
	return ""
}

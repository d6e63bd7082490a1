// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

const (
	maxRequestTimeout = 60 * time.Second
	maxMaxRetries     = 10
)

var (
	consoleOrgIDFormat = regexp.MustCompile(`^[0-9]+$`)
	credentialIDFormat = regexp.MustCompile(`^[0-9A-Za-z-]+$`)
)

func configFields() map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{
		"name": {
			Type:        framework.TypeString,
			Description: "Name of the config.",
		},
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
			Default:       serverToServer,
			Description:   "Type of the credential in the Developer Console: oauth_server_to_server, or oauth_web_app for a person's tokens. It cannot be changed.",
			AllowedValues: []any{serverToServer, webApp},
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
			Description: "Time limit of one HTTP attempt, 1s to 60s.",
		},
		"max_retries": {
			Type:        framework.TypeInt,
			Default:     2,
			Description: "How often a request is repeated after 429, 5xx or a network error, 0 to 10.",
		},
		"verify": {
			Type:        framework.TypeBool,
			Default:     true,
			Description: "Ask IMS for a token with the new values before they are stored. Not stored itself.",
		},
		"project": {
			Type:         framework.TypeString,
			Description:  "The JSON file that the Developer Console offers as Download on a project: fills in client_id, client_secret (the first, if there are two), org_id, console_org_id and credential_id. Fields given beside it win. Not stored itself.",
			DisplayAttrs: &framework.DisplayAttributes{Sensitive: true},
		},
		"allow_management_scopes": {
			Type:        framework.TypeBool,
			Description: "Allow roles to have scopes whose tokens can create client secrets: " + strings.Join(managementScopes, ", ") + ".",
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
			Description: "How often the client secret is rotated; 0 for by hand only.",
		},
		"previous_secret_ttl": {
			Type:        framework.TypeDurationSecond,
			Default:     3600,
			Description: "How long a client secret that was rotated away goes on working before it is removed.",
		},
		"client_secret_uuid": {
			Type:        framework.TypeString,
			Description: "Uuid of the client secret in the Developer Console. Needed only if that lists two and which one this is cannot be told.",
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
		"client_secret_set_time":      {Type: framework.TypeString, Description: "When the current client secret was written or rotated in."},
		"next_rotation_time":          {Type: framework.TypeString, Description: "When the client secret is rotated by period; absent if it is not."},
		"pending_secret_uuid":         {Type: framework.TypeString, Description: "Uuid of a client secret that was added and not proven yet; absent if there is none."},
		"previous_secret_uuid":        {Type: framework.TypeString, Description: "Uuid of the client secret before, if it still works."},
		"previous_secret_remove_time": {Type: framework.TypeString, Description: "When the client secret before is removed."},
		"rotation_error":              {Type: framework.TypeString, Description: "Why the last rotation failed; absent if it did not."},
		"rotation_error_time":         {Type: framework.TypeString, Description: "When the last rotation failed."},
	})
	return fields
}

// apply merges the fields of a request into the config: a field left out keeps
// its value. The error names the field.
func (c *config) apply(d *framework.FieldData, now time.Time) error {
	before := *c
	if kind, ok := givenText(d, "credential_type"); ok && c.ClientID != "" && kind != c.CredentialType {
		return fmt.Errorf("credential_type: cannot be changed from %s to %s; write a new config", c.CredentialType, kind)
	}
	if file, ok := givenText(d, "project"); ok {
		clientID, _ := givenText(d, "client_id")
		if err := c.fill(file, clientID); err != nil {
			return err
		}
	}
	for name, value := range map[string]*string{
		"client_id":       &c.ClientID,
		"credential_type": &c.CredentialType,
		"org_id":          &c.OrgID,
		"redirect_uri":    &c.RedirectURI,
		"ims_url":         &c.IMSURL,
		"ca_cert":         &c.CACert,
		"console_org_id":  &c.ConsoleOrgID,
		"credential_id":   &c.CredentialID,
		"console_url":     &c.ConsoleURL,
	} {
		if given, ok := givenText(d, name); ok {
			*value = given
		}
	}
	c.applySecret(d, before, now)
	for name, value := range map[string]*time.Duration{
		"request_timeout":     &c.RequestTimeout,
		"rotation_period":     &c.RotationPeriod,
		"previous_secret_ttl": &c.PreviousSecretTTL,
	} {
		if seconds, ok := d.GetOk(name); ok {
			*value = time.Duration(seconds.(int)) * time.Second
		}
	}
	if retries, ok := d.GetOk("max_retries"); ok {
		c.MaxRetries = retries.(int)
	}
	if allow, ok := d.GetOk("allow_management_scopes"); ok {
		c.AllowManagementScopes = allow.(bool)
	}
	return c.check()
}

// applySecret merges the client secret, given or from the project's file.
func (c *config) applySecret(d *framework.FieldData, before config, now time.Time) {
	secret := c.ClientSecret
	if given, ok := givenText(d, "client_secret"); ok {
		secret = ims.Secret(given)
	}
	c.ClientSecret = before.ClientSecret
	if c.ClientID != before.ClientID || c.ConsoleOrgID != before.ConsoleOrgID || c.CredentialID != before.CredentialID {
		c.forgetSecrets()
	}
	c.setSecret(secret, now)
	if uuid, ok := givenText(d, "client_secret_uuid"); ok {
		c.SecretUUID = uuid
	}
}

// givenText is a field of the request without the white space that files and
// pasting put around it.
func givenText(d *framework.FieldData, name string) (string, bool) {
	value, ok := d.GetOk(name)
	if !ok {
		return "", false
	}
	return strings.TrimSpace(value.(string)), true
}

func (c *config) check() error {
	switch {
	case c.ClientID == "":
		return errors.New("client_id: required; the Developer Console shows it on the page of the credential")
	case c.ClientSecret == "":
		return errors.New("client_secret: required; the Developer Console shows it on the page of the credential")
	case c.CredentialType != serverToServer && c.CredentialType != webApp:
		return fmt.Errorf("credential_type: %q is not supported; it must be %s or %s", c.CredentialType, serverToServer, webApp)
	case c.OrgID != "" && !strings.HasSuffix(c.OrgID, "@AdobeOrg"):
		return fmt.Errorf("org_id: %q does not end in @AdobeOrg; the number in the Developer Console's URL belongs in console_org_id", c.OrgID)
	case c.ConsoleOrgID != "" && !consoleOrgIDFormat.MatchString(c.ConsoleOrgID):
		return fmt.Errorf("console_org_id: %q is not a number; it is the first number in the Developer Console's URL", c.ConsoleOrgID)
	case c.CredentialID != "" && !credentialIDFormat.MatchString(c.CredentialID):
		return fmt.Errorf("credential_id: %q is not an id from the Developer Console's URL", c.CredentialID)
	case c.RequestTimeout < time.Second || c.RequestTimeout > maxRequestTimeout:
		return fmt.Errorf("request_timeout: %s is out of range; it must be from 1s to %s", inWords(c.RequestTimeout), inWords(maxRequestTimeout))
	case c.MaxRetries < 0 || c.MaxRetries > maxMaxRetries:
		return fmt.Errorf("max_retries: %d is out of range; it must be from 0 to %d", c.MaxRetries, maxMaxRetries)
	case c.CACert != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.CACert)):
		return errors.New("ca_cert: holds no certificate; it must be a PEM bundle, such as ca_cert=@ca.pem")
	}
	for name, address := range map[string]*string{"ims_url": &c.IMSURL, "console_url": &c.ConsoleURL} {
		url, err := parseServiceURL(*address)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*address = url
	}
	if err := c.checkWebApp(); err != nil {
		return err
	}
	return c.checkRotation()
}

func (c *config) checkWebApp() error {
	switch {
	case c.CredentialType != webApp && c.RedirectURI != "":
		return fmt.Errorf("redirect_uri: is for credential_type=%s only", webApp)
	case c.CredentialType != webApp:
		return nil
	case c.RedirectURI == "":
		return fmt.Errorf("redirect_uri: required with credential_type=%s; it must be one that the credential has in the Developer Console", webApp)
	}
	if err := parseRedirectURI(c.RedirectURI); err != nil {
		return fmt.Errorf("redirect_uri: %w", err)
	}
	return nil
}

func (c *config) checkRotation() error {
	switch {
	case c.SecretUUID != "" && !credentialIDFormat.MatchString(c.SecretUUID):
		return fmt.Errorf("client_secret_uuid: %q is not a uuid from the Developer Console", c.SecretUUID)
	case c.RotationPeriod > 0 && c.CredentialType == webApp:
		return fmt.Errorf("rotation_period: Adobe offers no rotation for credential_type=%s; change its secret in the Developer Console", webApp)
	case c.RotationPeriod > 0 && !c.rotates():
		return errors.New("rotation_period: needs console_org_id and credential_id, both numbers in the URL of the credential's page in the Developer Console")
	}
	return nil
}

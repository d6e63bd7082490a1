// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

const configPrefix = "config/"

// The credential types of the Developer Console that this engine obtains tokens
// for: the client's own, and a person's.
const (
	serverToServer = "oauth_server_to_server"
	webApp         = "oauth_web_app"
)

// config is one credential of the Adobe Developer Console and how IMS is
// reached with it, as stored under config/<name>.
type config struct {
	ClientID              string        `json:"client_id"`
	ClientSecret          ims.Secret    `json:"client_secret"`
	CredentialType        string        `json:"credential_type"`
	OrgID                 string        `json:"org_id,omitempty"`
	RedirectURI           string        `json:"redirect_uri,omitempty"` // of a web app
	IMSURL                string        `json:"ims_url"`
	CACert                string        `json:"ca_cert,omitempty"`
	RequestTimeout        time.Duration `json:"request_timeout"`
	MaxRetries            int           `json:"max_retries"`
	ConsoleOrgID          string        `json:"console_org_id,omitempty"`
	CredentialID          string        `json:"credential_id,omitempty"`
	AllowManagementScopes bool          `json:"allow_management_scopes,omitempty"`

	ConsoleURL        string        `json:"console_url"`
	RotationPeriod    time.Duration `json:"rotation_period,omitempty"` // 0: by hand only
	PreviousSecretTTL time.Duration `json:"previous_secret_ttl"`

	SecretUUID      string           `json:"client_secret_uuid,omitempty"` // of the current secret, if known
	SecretAdded     bool             `json:"secret_added,omitempty"`       // a rotation added the current secret
	SecretSet       time.Time        `json:"secret_set"`
	Pending         *clientSecret    `json:"pending_secret,omitempty"`
	Retired         []clientSecret   `json:"retired_secrets,omitempty"` // oldest first
	RotationFailure *rotationFailure `json:"rotation_failure,omitempty"`

	client *ims.Client
}

func newConfig() *config {
	return &config{
		CredentialType: serverToServer,
		IMSURL:         ims.DefaultURL,
		RequestTimeout: 10 * time.Second,
		MaxRetries:     2,

		ConsoleURL:        console.DefaultURL,
		PreviousSecretTTL: time.Hour,
	}
}

// parseServiceURL checks the address of an Adobe service and returns it
// without a trailing slash. Only loopback may go without TLS: the credential
// travels in the request.
func parseServiceURL(address string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	switch {
	case err != nil:
		return "", errors.New("not a URL")
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.Hostname() == "":
		return "", fmt.Errorf("%q is not an https URL such as %s", u.Redacted(), ims.DefaultURL)
	case u.User != nil:
		return "", errors.New("the URL must not contain a user or password")
	case strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.Fragment != "", u.ForceQuery:
		return "", fmt.Errorf("%q must be a host without a path or query, such as %s", u.Redacted(), ims.DefaultURL)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", fmt.Errorf("%q must be https; plain http is for a loopback address only", u.Redacted())
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// parseRedirectURI checks where Adobe is to send the browser with the code.
func parseRedirectURI(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Fragment != "" || u.User != nil {
		return errors.New("not a URL that a browser can be sent to")
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%q must be https; plain http is for a loopback address only", address)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

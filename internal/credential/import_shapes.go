// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"slices"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// projectCandidates reads the file of a project.
func projectCandidates(project objects) (found []candidate) {
	for _, item := range project.member("workspace").member("details").list("credentials") {
		if o, ok := item.(object); ok {
			found = append(found, projectCandidate(project.member("org"), objects{o}))
		}
	}
	return found
}

// projectCandidate reads one credential of a project.
func projectCandidate(organisation, credential objects) candidate {
	c := candidate{kind: kindOther}
	c.name, _ = credential.object["name"].(string)
	integration := c.read(credential, "integration_type", maxConsoleID)
	stated := integrationKind(integration)

	// A file from the middle of a migration has both "oauth_server_to_server"
	// and "jwt".
	var details objects
	for _, known := range []struct {
		member string
		kind   kind
	}{
		{"oauth_server_to_server", kindServerToServer},
		{"oauth2", kindWebApp},
		{"jwt", kindJWT},
		{"api_key", kindAPIKey},
	} {
		if details = credential.member(known.member); details.object != nil {
			c.kind = known.kind
			break
		}
	}
	switch {
	case details.object == nil && stated != kindOther:
		c.kind = kindBare
	case c.kind == kindWebApp && isPublic(stated, details):
		c.kind = kindPublic
	}
	c.ClientID = c.read(details, "client_id", maxClientID)
	c.TechnicalAccountID = c.read(details, "technical_account_id", maxTechnicalAccount)
	c.TechnicalAccountEmail = c.read(details, "technical_account_email", maxTechnicalAccount)
	c.readSecrets(details, "client_secrets", "client_secret")
	c.readScopes(details, "scopes")
	c.readRedirectURI(details, "defaultRedirectUri", "redirect_uri")
	c.CredentialID = c.read(credential, "id", maxConsoleID)
	c.ConsoleOrgID = c.read(organisation, "id", maxConsoleID)
	c.OrgID = c.read(organisation, "ims_org_id", maxOrgID)
	return c
}

// downloadCandidate reads the file that a credential's own page offers: flat,
// with names in upper case.
func downloadCandidate(file objects) candidate {
	var c candidate
	stated := c.read(file, "TYPE", maxConsoleID)
	switch {
	case stated != "":
		c.kind = integrationKind(stated)
	case file.object["API_KEY"] != nil:
		c.kind = kindJWT // as it was downloaded while there were any
	case file.object["DEFAULT_REDIRECT_URI"] != nil:
		c.kind = kindWebApp
	default:
		c.kind = kindServerToServer
	}
	c.ClientID = c.read(file, "CLIENT_ID", maxClientID)
	c.OrgID = c.read(file, "ORG_ID", maxOrgID)
	c.TechnicalAccountID = c.read(file, "TECHNICAL_ACCOUNT_ID", maxTechnicalAccount)
	c.TechnicalAccountEmail = c.read(file, "TECHNICAL_ACCOUNT_EMAIL", maxTechnicalAccount)
	c.readSecrets(file, "CLIENT_SECRETS", "CLIENT_SECRET")
	c.readScopes(file, "SCOPES")
	c.readRedirectURI(file, "DEFAULT_REDIRECT_URI", "REDIRECT_URI")
	return c
}

// integrationKind is the kind that a file states in words.
func integrationKind(stated string) kind {
	words := strings.ToLower(strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' {
			return -1
		}
		return r
	}, stated))
	switch {
	case strings.HasPrefix(words, "oauthservertoserver"): // also ...migrate
		return kindServerToServer
	case strings.HasPrefix(words, "oauthweb"): // also ...app
		return kindWebApp
	case strings.HasPrefix(words, "oauthsinglepage"), strings.HasPrefix(words, "oauthnative"),
		strings.HasPrefix(words, "oauthios"), strings.HasPrefix(words, "oauthandroid"):
		return kindPublic
	case words == "service", words == "jwt", words == "serviceaccount":
		return kindJWT
	case words == "apikey":
		return kindAPIKey
	}
	return kindOther
}

// isPublic reports whether an OAuth credential of a person is one of an app
// that keeps no secret.
func isPublic(stated kind, details objects) bool {
	switch stated {
	case kindPublic:
		return true
	case kindWebApp:
		return false
	}
	return details.list("client_secret") == nil && details.list("client_secrets") == nil
}

// read is a member of an object as text. What is wrong with one is said only if
// the candidate is the one that is meant.
func (c *candidate) read(o objects, name string, limit int) string {
	text, err := o.text(name, limit)
	c.note(err)
	return text
}

func (c *candidate) note(err error) {
	if c.err == nil {
		c.err = err
	}
}

// readSecrets reads the client secrets: each is a string, or an object that has
// it.
func (c *candidate) readSecrets(o objects, names ...string) {
	for _, name := range names {
		for _, value := range o.list(name) {
			if inner, ok := value.(object); ok {
				value = inner["client_secret"]
			}
			text, err := asText(name, value, maxClientSecret)
			c.note(err)
			if text != "" && !slices.Contains(c.Secrets, secret.Secret(text)) {
				c.Secrets = append(c.Secrets, secret.Secret(text))
			}
		}
	}
	if len(c.Secrets) > maxSecrets {
		c.note(advice.Field("project", "lists %d client secrets for a credential; Adobe allows two, and %d are tried at most", len(c.Secrets), maxSecrets))
	}
}

func (c *candidate) readScopes(o objects, name string) {
	for _, value := range o.list(name) {
		text, err := asText(name, value, maxScope)
		c.note(err)
		c.Scopes = append(c.Scopes, strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	if len(c.Scopes) > maxScopes {
		c.note(advice.Field("project", "lists %d scopes for a credential; %d is the limit", len(c.Scopes), maxScopes))
	}
}

// readRedirectURI takes the first redirect URI that is one, and not a pattern
// that others are matched against, such as https://app\.example\.com/.*.
func (c *candidate) readRedirectURI(o objects, names ...string) {
	if c.kind != kindWebApp {
		return
	}
	for _, name := range names {
		for _, value := range o.list(name) {
			uri, err := asText(name, value, maxRedirectURI)
			c.note(err)
			if c.RedirectURI == "" && !strings.ContainsAny(uri, `\*^$|()[]{}`) && redirectURIProblem(uri) == "" {
				c.RedirectURI = uri
			}
		}
	}
}

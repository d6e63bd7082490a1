// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"fmt"
	"slices"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/field"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

// Imported is what a file of the Developer Console tells of a credential. What
// it does not tell is empty.
type Imported struct {
	Type     Type
	ClientID string

	// Secrets are those in the file, one of which may be dead: see Store.Prove.
	Secrets []secret.Secret

	OrgID                 string
	ConsoleOrgID          string
	CredentialID          string
	TechnicalAccountID    string
	TechnicalAccountEmail string
	RedirectURI           string
	Scopes                []string
}

// Import reads a credential of the wanted type from a JSON file that the
// Developer Console offers for download, of a project or of a credential. Of
// several in it, the client ID picks one; it may be empty. The error is an
// *advice.Error and quotes no secret.
func Import(file string, want Type, clientID string) (*Imported, error) {
	if want != ServerToServer && want != WebApp {
		return nil, advice.Field("credential_type", "is not a supported type; it must be %s or %s", ServerToServer, WebApp)
	}
	clientID, err := field.Text("client_id", clientID, maxClientID)
	if err != nil {
		return nil, err
	}
	found, err := readProject(file)
	if err != nil {
		return nil, err
	}
	return pick(found, want, clientID)
}

// kind is what a credential in a file turns out to be.
type kind string

const (
	kindServerToServer = kind(ServerToServer)
	kindWebApp         = kind(WebApp)
	kindJWT            = kind("jwt")
	kindPublic         = kind("public")
	kindAPIKey         = kind("api_key")
	kindBare           = kind("bare") // named without its client ID and secrets
	kindOther          = kind("other")
)

// title is what a kind is called in a message.
func (k kind) title() string {
	switch k {
	case kindServerToServer, kindWebApp:
		return Type(k).title()
	case kindJWT:
		return "Service Account (JWT)"
	case kindPublic:
		return "OAuth Single Page App or Native App"
	case kindAPIKey:
		return "API Key"
	}
	return "other"
}

// candidate is a credential in a file.
type candidate struct {
	kind kind
	name string // in the project; empty in a credential's own file
	err  error  // the first thing that is wrong with it
	Imported
}

// describe names the candidate without a secret of it.
func (c *candidate) describe() string {
	text := c.kind.title()
	if c.name != "" {
		text += " " + field.Describe(c.name)
	}
	if c.ClientID != "" {
		text += fmt.Sprintf(" (client_id %s)", c.ClientID)
	}
	return text
}

// pick returns the one credential that is meant.
func pick(found []candidate, want Type, clientID string) (*Imported, error) {
	var usable []candidate
	for _, c := range found {
		if c.kind != kind(want) || c.ClientID == "" {
			continue
		}
		if slices.ContainsFunc(usable, func(other candidate) bool { return other.ClientID == c.ClientID }) {
			continue // the same once more
		}
		usable = append(usable, c)
	}
	if clientID == "" {
		switch len(usable) {
		case 0:
			return nil, noneOf(found, want)
		case 1:
			return usable[0].imported(want)
		}
		return nil, advice.Field("project", "holds more than one %s credential: %s; pick one of them with client_id=...", want.title(), describeAll(usable))
	}
	for i := range usable {
		if usable[i].ClientID == clientID {
			return usable[i].imported(want)
		}
	}
	for i := range found {
		if found[i].ClientID == clientID && len(usable) > 0 {
			return nil, advice.Field("project", "the credential with client_id %s in it is of the type %s, not %s; of that type it holds: %s",
				clientID, found[i].kind.title(), want.title(), describeAll(usable))
		}
	}
	if len(usable) == 0 {
		return nil, noneOf(found, want)
	}
	return nil, advice.Field("project", "client_id %s is none of the file's, which holds: %s; leave client_id out, or give one of those",
		field.Describe(clientID), describeAll(usable))
}

func (c *candidate) imported(as Type) (*Imported, error) {
	if c.err != nil {
		return nil, c.err
	}
	taken := c.Imported
	taken.Type = as
	return &taken, nil
}

func describeAll(candidates []candidate) string {
	const most = 20
	var names []string
	for i := range candidates {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(candidates)-most))
			break
		}
		names = append(names, candidates[i].describe())
	}
	return strings.Join(names, ", ")
}

// noneOf says why no credential in a file is of the wanted type, and what to do
// instead.
func noneOf(found []candidate, want Type) error {
	has := func(k kind) bool { return slices.ContainsFunc(found, func(c candidate) bool { return c.kind == k }) }
	if len(found) == 0 {
		return advice.Field("project", "the project in it has no credential: add an %s credential to it in the Developer Console and download the file again", want.title())
	}
	if !slices.ContainsFunc(found, func(c candidate) bool { return c.kind != kindBare }) {
		return advice.Field("project", "names credentials without their client IDs and secrets, as the file .aio of Adobe's command-line tools does. %s", wanted)
	}
	if slices.ContainsFunc(found, func(c candidate) bool { return c.kind == kind(want) }) {
		return advice.Field("project", "the %s credential in it has no client_id. %s", want.title(), wanted)
	}
	text := fmt.Sprintf("holds no %s credential, but: %s. ", want.title(), describeAll(found))
	switch {
	case want == ServerToServer && has(kindWebApp):
		text += fmt.Sprintf("For the tokens of a person, write it with credential_type=%s", WebApp)
	case want == WebApp && has(kindServerToServer):
		text += fmt.Sprintf("For the tokens of the client itself, write it to a config with credential_type=%s", ServerToServer)
	case has(kindJWT):
		text += fmt.Sprintf("Adobe ended Service Account (JWT) credentials on 2026-03-01: add an %s credential to the project in the Developer Console and download the file again", want.title())
	case has(kindPublic):
		text += fmt.Sprintf("An app that runs in a browser or on a device has no client secret, so Vault can keep none: add an %s credential to the project in the Developer Console", want.title())
	default:
		text += fmt.Sprintf("Add an %s credential to the project in the Developer Console and download the file again", want.title())
	}
	return advice.Field("project", "%s", text)
}

// wanted says which file is right.
const wanted = "The file that is wanted is the JSON that the Developer Console (https://developer.adobe.com/console) offers as Download on a project's or a credential's page; pass it with project=@file.json"

// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// project is the JSON file that the Developer Console offers as "Download" on
// the overview page of a project, as far as this engine reads it.
type project struct {
	Project struct {
		Org struct {
			ID       projectID `json:"id"`
			IMSOrgID string    `json:"ims_org_id"`
		} `json:"org"`
		Workspace struct {
			Details struct {
				Credentials []projectCredential `json:"credentials"`
			} `json:"details"`
		} `json:"workspace"`
	} `json:"project"`
}

type projectCredential struct {
	ID             projectID `json:"id"`
	Name           string    `json:"name"`
	ServerToServer *struct {
		ClientID      string       `json:"client_id"`
		ClientSecrets []ims.Secret `json:"client_secrets"`
	} `json:"oauth_server_to_server"`
}

// projectID is an id that is written as a string or as a number.
type projectID string

// UnmarshalJSON implements json.Unmarshaler.
func (id *projectID) UnmarshalJSON(data []byte) error {
	*id = projectID(strings.Trim(string(data), `"`))
	return nil
}

// fill takes client ID, client secret, organisation and the Developer Console's
// own ids over from the project's JSON. Of several credentials in it, clientID
// picks one.
func (c *config) fill(projectJSON, clientID string) error {
	var p project
	if err := json.Unmarshal([]byte(projectJSON), &p); err != nil {
		// The decoder's words could quote the file, which holds a secret.
		return errors.New("project: not the JSON file that the Developer Console offers as Download on a project; pass it with project=@file.json")
	}
	credential, err := p.pick(clientID)
	if err != nil {
		return fmt.Errorf("project: %w", err)
	}
	c.ClientID = credential.ServerToServer.ClientID
	c.ClientSecret = credential.ServerToServer.ClientSecrets[0]
	c.OrgID = p.Project.Org.IMSOrgID
	c.ConsoleOrgID = string(p.Project.Org.ID)
	c.CredentialID = string(credential.ID)
	return nil
}

func (p *project) pick(clientID string) (*projectCredential, error) {
	var usable, named []*projectCredential
	var names []string
	all := p.Project.Workspace.Details.Credentials
	for i := range all {
		s2s := all[i].ServerToServer
		if s2s == nil || s2s.ClientID == "" || len(s2s.ClientSecrets) == 0 || s2s.ClientSecrets[0] == "" {
			continue
		}
		usable = append(usable, &all[i])
		names = append(names, fmt.Sprintf("%q (client_id %s)", all[i].Name, s2s.ClientID))
		if clientID == s2s.ClientID {
			named = append(named, &all[i])
		}
	}
	switch {
	case len(usable) == 0:
		return nil, errors.New("it holds no OAuth Server-to-Server credential with a client ID and a client secret")
	case len(usable) == 1:
		return usable[0], nil
	case len(named) == 1:
		return named[0], nil
	}
	if clientID != "" {
		return nil, fmt.Errorf("client_id %q is none of those in it: %s", clientID, strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("it holds more than one credential: %s; pick one of them with client_id", strings.Join(names, ", "))
}

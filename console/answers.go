// SPDX-License-Identifier: MPL-2.0

package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
)

const (
	// maxListed is how many client secrets a listing may have. Adobe's limit
	// is two.
	maxListed = 10

	// maxSecret is how long the value of a client secret may be, in bytes.
	// Adobe's have 36.
	maxSecret = 4096
)

// uuids are checked where they come in: they are shown, logged, stored, and put
// in the path of a request that removes something.
var uuidPattern = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

// validUUID reports whether a string can be the uuid of a client secret. It is
// not one if it looks like a client secret itself, or repeats a part of a
// secret.
func validUUID(s string, secrets ...Secret) bool {
	return uuidPattern.MatchString(s) && !strings.HasPrefix(strings.ToLower(s), "p8e-") &&
		adobehttp.Quote(s, secrets...) == s
}

// secretJSON is a client secret in the API's answers. Of "expires_at", nothing
// but "PERMANENT" is known.
type secretJSON struct {
	UUID    string `json:"uuid"`
	Created millis `json:"created_at"`
	Usages  []struct {
		Last millis `json:"last_used_at"`
	} `json:"secret_usages"` // one for each grant type, or null
}

func (s *secretJSON) clientSecret() ClientSecret {
	c := ClientSecret{UUID: s.UUID, Created: s.Created.Time}
	for _, usage := range s.Usages {
		if usage.Last.After(c.LastUsed) {
			c.LastUsed = usage.Last.Time
		}
	}
	return c
}

// readListing reads the answer to a listing: whose secrets they are, if it says
// so, and the secrets. The words of encoding/json may quote the answer, so they
// stay here. The token is that of the request.
func readListing(body []byte, token Secret) (clientID string, secrets []ClientSecret, err error) {
	var listed struct {
		ClientID string       `json:"client_id"`
		Secrets  []secretJSON `json:"client_secrets"`
	}
	if json.Unmarshal(body, &listed) != nil || listed.Secrets == nil {
		return "", nil, errors.New("the answer is not a list of client_secrets in JSON; check the URL")
	}
	if len(listed.Secrets) > maxListed {
		return "", nil, fmt.Errorf("the answer lists %d client secrets, and Adobe allows two", len(listed.Secrets))
	}
	secrets = make([]ClientSecret, 0, len(listed.Secrets))
	for _, s := range listed.Secrets {
		if !validUUID(s.UUID, token) {
			return "", nil, errors.New("the answer lists a client secret without a uuid of letters, digits and hyphens")
		}
		secrets = append(secrets, s.clientSecret())
	}
	return listed.ClientID, secrets, nil
}

// readAdded reads the answer to an adding. The value counts even if some other
// part of the answer is odd: nobody will ever get it again. The token is that
// of the request.
func readAdded(body []byte, token Secret) (*NewSecret, error) {
	var added struct {
		secretJSON
		Value string `json:"client_secret"`
	}
	_ = json.Unmarshal(body, &added)
	if added.Value == "" || len(added.Value) > maxSecret {
		return nil, errors.New("the answer has no client_secret; check the URL")
	}
	if added.UUID == added.Value || !validUUID(added.UUID, token, Secret(added.Value)) {
		added.UUID = ""
	}
	return &NewSecret{ClientSecret: added.clientSecret(), Value: Secret(added.Value)}, nil
}

// SPDX-License-Identifier: MPL-2.0

package field

import (
	"encoding/json"
	"maps"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

// maxName is how long the name of a config or a role can be.
const maxName = 128

// textLimits are how many bytes the texts of requests can have, by field. Any
// other field is no text, or not the engine's.
var textLimits = map[string]int{
	"client_id":               256,
	"client_secret":           1 << 10,
	"client_secret_uuid":      64,
	"credential_type":         64,
	"org_id":                  128,
	"redirect_uri":            2 << 10,
	"ims_url":                 512,
	"console_url":             512,
	"console_org_id":          64,
	"credential_id":           64,
	"technical_account_id":    256,
	"technical_account_email": 256,
	"rotation_schedule":       256,
	"config":                  maxName,
	"state":                   512,
	"code":                    8 << 10,
	"error":                   1 << 10,
	"error_description":       4 << 10,
	"refresh_token":           16 << 10,
	"token":                   32 << 10,
}

// fileLimits are those of the texts that are files.
var fileLimits = map[string]int{
	"project": 256 << 10,
	"ca_cert": 64 << 10,
}

const (
	// maxScopes is how many scopes a role can have, and maxScopesText how many
	// bytes they can have together.
	maxScopes     = 256
	maxScopesText = 16 << 10
)

// Limit is how many bytes a text of a request can have; 0 for what is no text.
func Limit(name string) int { return textLimits[name] }

// Clean returns the fields of a request without those that are null, with texts
// cleaned and bounded. The error names the field.
func Clean(data map[string]any) (map[string]any, error) {
	cleaned := maps.Clone(data)
	for name, value := range cleaned {
		var err error
		switch limit, isText := textLimits[name]; {
		case value == nil:
			delete(cleaned, name)
		case isText:
			cleaned[name], err = cleanText(name, value, limit, Text)
		case fileLimits[name] > 0:
			cleaned[name], err = cleanText(name, value, fileLimits[name], Document)
		case name == "scopes":
			err = checkScopes(value)
		default:
			err = checkOther(name, value)
		}
		if err != nil {
			return nil, err
		}
	}
	return cleaned, nil
}

// maxOther is how many bytes a field can have that is no text: a number, a duration
// or a switch.
const maxOther = 64

func checkOther(name string, value any) error {
	if text, ok := value.(string); ok && len(text) > maxOther {
		return tooLong(Describe(name), len(text), maxOther)
	}
	return nil
}

// cleanText refuses what is no text without repeating it, which the SDK would do:
// it may be a secret.
func cleanText(name string, value any, limit int, clean func(name, value string, limit int) (string, error)) (any, error) {
	switch v := value.(type) {
	case string:
		return clean(name, v, limit)
	case map[string]any, []any:
		return nil, advice.Field(name, "must be a string")
	}
	return value, nil
}

func checkScopes(value any) error {
	count, size := 0, 0
	switch v := value.(type) {
	case string:
		size = len(v)
	case []any:
		count = len(v)
		for _, item := range v[:min(count, maxScopes)] {
			if text, ok := item.(string); ok {
				size += len(text) + 1
			}
		}
	case []string:
		count = len(v)
	}
	switch {
	case count > maxScopes:
		return advice.Field("scopes", "%d are too many; a role can have %d", count, maxScopes)
	case size > maxScopesText:
		return advice.Field("scopes", "has %d bytes; %d is the limit", size, maxScopesText)
	}
	return nil
}

// CleanFile is Clean for a config, whose body may be a file of the Developer
// Console, as `vault write adobeims/config/default @project.json` sends it. The file
// is put in the place of the field that is meant for it.
func CleanFile(data map[string]any) (map[string]any, error) {
	data = maps.Clone(data)
	if err := takeFile(data); err != nil {
		return nil, err
	}
	return Clean(data)
}

func takeFile(data map[string]any) error {
	file := map[string]any{}
	for name, value := range data {
		switch _, isObject := value.(map[string]any); {
		case name == "project" && isObject, name == "body" && isObject, name == "integration" && isObject,
			name != "" && strings.ToUpper(name) == name:
			file[name] = value
		}
	}
	if len(file) == 0 {
		return nil
	}
	if _, given := data["project"].(string); given {
		return advice.Field("project", "given twice, as a field and as the body of the request; give it once")
	}
	encoded, err := json.Marshal(file)
	if err != nil {
		return advice.Field("project", "is not JSON")
	}
	for name := range file {
		delete(data, name)
	}
	data["project"] = string(encoded)
	return nil
}

// CheckName refuses, in a request's path, names that the SDK's pattern lets through and storage does
// not take.
func CheckName(path string) error {
	_, name, _ := strings.Cut(path, "/")
	if name, rotate := strings.CutSuffix(name, "/rotate"); rotate {
		return checkOneName(name)
	}
	return checkOneName(name)
}

func checkOneName(name string) error {
	switch {
	case len(name) > maxName:
		return advice.Field("name", "has %d bytes; %d is the limit", len(name), maxName)
	case strings.Contains(name, ".."):
		return advice.Field("name", "%s must not have two dots in a row", Describe(name))
	}
	return nil
}

// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/field"
)

// maxWrapping is how deep in a file the console's own JSON is looked for:
// people keep it inside of answers, arrays and strings.
const maxWrapping = 6

type object = map[string]any

// readProject returns the credentials in a file.
func readProject(file string) ([]candidate, error) {
	text, err := field.Document("project", file, maxProject)
	if err != nil {
		return nil, err
	}
	root, ok := decodeJSON(text)
	if !ok {
		// The decoder's words could quote the file, which holds a secret.
		return nil, advice.Field("project", "is not a JSON file. %s", wanted)
	}
	found, what := find(root)
	switch what {
	case shapeProject:
		return projectCandidates(objects{found}), nil
	case shapeCredential:
		return []candidate{projectCandidate(objects{}, objects{found})}, nil
	case shapeDownload:
		return []candidate{downloadCandidate(objects{found})}, nil
	case shapeAEM:
		return nil, advice.Field("project", "holds the service credentials of the AEM Developer Console, which are for Adobe Experience Manager and are no credential of the Adobe Developer Console. %s", wanted)
	case shapeTools:
		return nil, advice.Field("project", "is a configuration of Adobe's command-line tools (aio). %s", wanted)
	}
	return nil, advice.Field("project", "is JSON, but neither a project nor a credential of the Developer Console. %s", wanted)
}

// decodeJSON decodes a text that is one JSON value. Numbers keep their digits:
// ids are numbers in some files.
func decodeJSON(text string) (value any, ok bool) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return nil, false
	}
	_, err := decoder.Token()
	return value, err == io.EOF
}

// shape is what an object in a file is, by the names in it.
type shape int

const (
	shapeUnknown shape = iota
	shapeProject
	shapeCredential // one of a project's
	shapeDownload   // a credential's own file
	shapeAEM
	shapeTools
)

// find returns the first object of a known shape: the outermost, and of several
// as deep the first by name.
func find(root any) (object, shape) {
	level := []any{root}
	for range maxWrapping {
		var next []any
		for _, value := range level {
			switch v := value.(type) {
			case object:
				if s := shapeOf(v); s != shapeUnknown {
					return v, s
				}
				for _, name := range slices.Sorted(maps.Keys(v)) {
					next = append(next, v[name])
				}
			case []any:
				next = append(next, v...)
			case string: // JSON that was encoded once more
				if inner, ok := decodeJSON(v); ok {
					next = append(next, inner)
				}
			}
		}
		level = next
	}
	return nil, shapeUnknown
}

func shapeOf(o object) shape {
	has := func(name string) bool { _, ok := o[name]; return ok }
	isObject := func(name string) bool { _, ok := o[name].(object); return ok }
	switch {
	case isObject("integration"), has("imsEndpoint") && has("technicalAccount"):
		return shapeAEM
	case isObject("workspace"), has("org") && has("workspace"):
		return shapeProject
	case isObject("oauth_server_to_server"), isObject("oauth2"), isObject("jwt"):
		return shapeCredential
	case has("CLIENT_ID"), has("CLIENT_SECRET"), has("CLIENT_SECRETS"):
		return shapeDownload
	case isObject("ims"), isObject("$ims"), isObject("contexts"), has("$cli"), has("$current"), isObject("aio"), isObject("console"):
		return shapeTools
	case has("client_id") && (has("client_secret") || has("client_secrets")):
		return shapeTools // a context of theirs
	}
	return shapeUnknown
}

// objects reads the members of an object that may be nil, and may hold
// anything.
type objects struct{ object }

// member is an object in another; it is empty where there is none.
func (o objects) member(name string) objects {
	inner, _ := o.object[name].(object)
	return objects{inner}
}

// list is a member as a list: a single value counts as one of one.
func (o objects) list(name string) []any {
	switch v := o.object[name].(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// text is a member that is a string or a number. All else, null above all, is
// "".
func (o objects) text(name string, limit int) (string, error) {
	return asText(name, o.object[name], limit)
}

func asText(name string, value any, limit int) (string, error) {
	switch v := value.(type) {
	case string:
		return field.Text("project: "+name, v, limit)
	case json.Number:
		return field.Text("project: "+name, v.String(), limit)
	}
	return "", nil
}

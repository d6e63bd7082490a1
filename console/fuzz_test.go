// SPDX-License-Identifier: MPL-2.0

package console

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func FuzzMillis(f *testing.F) {
	for _, seed := range []string{`"1682448485000"`, `1682448485000`, `"PERMANENT"`, `null`, `1e400`, `"-1"`, `"NaN"`, `"Inf"`, `"0x10p4"`,
		`"253402300799999"`, `"253402300800000"`, `{}`, `[1]`, `""`, `" 7 "`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var m millis
		if json.Unmarshal([]byte(text), &m) != nil {
			require.False(t, json.Valid([]byte(text)), "a time must not cost an answer")
		}
		if !m.IsZero() {
			require.False(t, m.Before(time.UnixMilli(0)))
			require.LessOrEqual(t, m.Year(), 9999)
			_, err := json.Marshal(m.Time)
			require.NoError(t, err)
		}
	})
}

func FuzzListing(f *testing.F) {
	for _, seed := range []string{
		`{"client_id":"c","client_secrets":[{"uuid":"u","created_at":"1682448485000","secret_usages":[{"last_used_at":"1683162010101"}]}]}`,
		`{"client_secrets":[]}`, `{"client_secrets":null}`, `{"client_secrets":[null]}`, `{"client_secrets":[{"uuid":"../.."}]}`,
		`{"client_secrets":[{"uuid":"p8e-secret"}]}`, `{"CLIENT_SECRETS":[{"UUID":"u"}]}`, `[]`, `null`, ``, `{"client_secrets":[{"uuid":1}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, secrets, err := readListing(body, "the-token-of-the-request")
		if err != nil {
			require.Nil(t, secrets)
			return
		}
		require.NotNil(t, secrets)
		require.LessOrEqual(t, len(secrets), maxListed)
		for _, s := range secrets {
			require.Regexp(t, uuidPattern, s.UUID)
		}
		_, err = json.Marshal(secrets)
		require.NoError(t, err, "it can be stored")
	})
}

func FuzzAdded(f *testing.F) {
	for _, seed := range []string{
		`{"uuid":"u","client_secret":"p8e-new","created_at":"1682448485000"}`, `{"uuid":"p8e-new","client_secret":"p8e-new"}`,
		`{"uuid":7,"client_secret":"p8e-new"}`, `{"uuid":"0","client_secret":"0"}`, `{"client_secret":""}`, `{"client_secret":[]}`, `{}`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		added, err := readAdded(body, "the-token-of-the-request")
		if err != nil {
			require.Nil(t, added)
			return
		}
		require.NotEmpty(t, string(added.Value))
		if added.UUID != "" {
			require.Regexp(t, uuidPattern, added.UUID)
			require.NotEqual(t, added.UUID, string(added.Value))
		}
	})
}

func FuzzUUID(f *testing.F) {
	for _, seed := range []string{"u", "0f8fad5b-d9cb-469f-a165-70867728950e", "", ".", "..", "a/b", "a\n", "p8e-x", "%2e%2e", "ü"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uuid string) {
		if !validUUID(uuid) {
			return
		}
		path, err := secretsPath(Credential{OrgID: "1", CredentialID: "2"}, uuid)
		require.NoError(t, err)
		require.Equal(t, "/console/organizations/1/credentials/2/secrets/"+uuid, path, "it needs no escaping")
		require.LessOrEqual(t, len(uuid), 64)
	})
}

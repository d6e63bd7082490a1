// SPDX-License-Identifier: MPL-2.0

package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/adobehttp"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

func TestLifeOfAClientSecret(t *testing.T) {
	for name, adobe := range map[string]emulator.Options{
		"as documented":                  {},
		"as in the library's API":        {ConsoleOK: true, BareNewSecret: true},
		"of the library, but identified": {ConsoleOK: true},
	} {
		t.Run(name, func(t *testing.T) {
			clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 4, 5, 6, 7, 8e6, time.UTC))
			adobe.Clock = clock
			f := start(t, adobe, console.Options{})
			clock.Advance(time.Hour)

			added, err := f.Add(t.Context(), f.token, cred)
			require.NoError(t, err)
			known := f.SecretsOf(clientID)
			require.Len(t, known, 2)
			require.Equal(t, known[1].Value, string(added.Value))
			want := console.ClientSecret{UUID: known[1].UUID, Created: known[1].CreatedAt}
			if adobe.BareNewSecret {
				want = console.ClientSecret{}
			}
			require.Equal(t, want, added.ClientSecret)

			listed, err := f.List(t.Context(), f.token, cred)
			require.NoError(t, err)
			require.Equal(t, []console.ClientSecret{
				{UUID: known[0].UUID, Created: known[0].CreatedAt, LastUsed: known[0].LastUsedAt},
				{UUID: known[1].UUID, Created: known[1].CreatedAt},
			}, listed.Secrets)
			require.WithinDuration(t, clock.Now(), listed.Time, time.Second, "by the console's clock")

			_, err = f.Add(t.Context(), f.token, cred)
			e := f.failed(err)
			require.Equal(t, console.Refused, e.Kind, "two are the limit")
			require.False(t, console.MayHaveTakenEffect(e))

			for range 2 { // the second time it is gone already
				require.NoError(t, f.Remove(t.Context(), f.token, cred, known[0].UUID))
			}
			listed, err = f.List(t.Context(), f.token, cred)
			require.NoError(t, err)
			require.Len(t, listed.Secrets, 1)
			require.Equal(t, known[1].UUID, listed.Secrets[0].UUID)

			for _, r := range f.Requests(anyConsole) {
				require.Equal(t, "Bearer "+string(f.token), r.Header.Get("Authorization"))
				require.Equal(t, clientID, r.Header.Get("X-Api-Key"))
				require.Equal(t, "tests/1", r.Header.Get("User-Agent"))
				require.Empty(t, r.Body)
			}
		})
	}
}

func TestListed(t *testing.T) {
	at := time.UnixMilli(1682448485000).UTC()
	later := time.UnixMilli(1683162010101).UTC()
	for name, c := range map[string]struct {
		secret string
		want   console.ClientSecret
	}{
		"strings": {
			`"created_at":"1682448485000","secret_usages":[{"last_used_at":"1683162010101","grant_type":"client_credentials"}]`,
			console.ClientSecret{Created: at, LastUsed: later},
		},
		"numbers": {
			`"created_at":1682448485000,"secret_usages":[{"last_used_at":1.683162010101e12}]`,
			console.ClientSecret{Created: at, LastUsed: later},
		},
		"latest usage":     {`"secret_usages":[{"last_used_at":"1683162010101"},{"last_used_at":"1682448485000"},{}]`, console.ClientSecret{LastUsed: later}},
		"no times":         {`"secret_usages":null`, console.ClientSecret{}},
		"no usage":         {`"secret_usages":[],"created_at":null`, console.ClientSecret{}},
		"words":            {`"created_at":"PERMANENT","expires_at":"PERMANENT"`, console.ClientSecret{}},
		"nonsense":         {`"created_at":{"a":"1"}`, console.ClientSecret{}},
		"not a number":     {`"created_at":"NaN"`, console.ClientSecret{}},
		"zero":             {`"created_at":"0"`, console.ClientSecret{}},
		"beyond all years": {`"created_at":"9223372036854775807"`, console.ClientSecret{}},
		"last of years":    {`"created_at":"253402300799999"`, console.ClientSecret{Created: time.UnixMilli(253402300799999).UTC()}},
	} {
		t.Run(name, func(t *testing.T) {
			f := answering(t, body(http.StatusOK, `{"client_secrets":[{"uuid":"u",`+c.secret+`}]}`))
			c.want.UUID = "u"
			listed, err := f.List(t.Context(), f.token, cred)
			require.NoError(t, err)
			require.Equal(t, []console.ClientSecret{c.want}, listed.Secrets)
			_, err = json.Marshal(listed)
			require.NoError(t, err)
		})
	}
}

func TestListOfNone(t *testing.T) {
	f := answering(t, body(http.StatusOK, `{"client_id":"client","client_secrets":[]}`))
	listed, err := f.List(t.Context(), f.token, cred)
	require.NoError(t, err)
	require.Empty(t, listed.Secrets)
}

// The token may manage every credential of the organisation, and a wrong
// credential_id must not lead to the secrets of another.
func TestListOfAnotherClient(t *testing.T) {
	f := start(t, emulator.Options{}, console.Options{})
	f.AddClient(emulator.Client{ID: "another", Secrets: []string{"p8e-other"}, ConsoleOrgID: cred.OrgID, CredentialID: "1"})
	other := cred
	other.CredentialID = "1"
	_, err := f.List(t.Context(), f.token, other)
	e := f.failed(err)
	require.Equal(t, console.Refused, e.Kind)
	require.ErrorContains(t, err, `credential 1 belongs to client "another", not to "client"`)
}

// A value that arrived is kept, whatever else is odd about the answer.
func TestAddedWithOddAnswer(t *testing.T) {
	for name, answer := range map[string]string{
		"wrong types": `{"uuid":7,"created_at":[],"secret_usages":"none","client_secret":"p8e-new"}`,
		"nulls":       `{"uuid":null,"created_at":null,"client_secret":"p8e-new"}`,
		"the rest":    `{"client_secret":"p8e-new","client_secrets":[],"extra":{}}`,
		"path":        `{"uuid":"../..","client_secret":"p8e-new"}`,
		"itself":      `{"uuid":"p8e-new","client_secret":"p8e-new"}`,
		"long":        `{"uuid":"` + strings.Repeat("a", 65) + `","client_secret":"p8e-new"}`,
	} {
		t.Run(name, func(t *testing.T) {
			f := answering(t, body(http.StatusAccepted, answer))
			added, err := f.Add(t.Context(), f.token, cred)
			require.NoError(t, err)
			require.Equal(t, &console.NewSecret{Value: "p8e-new"}, added)
		})
	}
}

func TestAddressing(t *testing.T) {
	var mu sync.Mutex
	var paths []string
	f := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, r.Method+" "+r.URL.EscapedPath()+"?"+r.URL.RawQuery)
	})
	odd := console.Credential{OrgID: "a/b", CredentialID: "c?d=e#f", ClientID: clientID}
	require.NoError(t, f.Remove(t.Context(), f.token, odd, "0A-z"))
	require.Equal(t, []string{"DELETE /console/organizations/a%2Fb/credentials/c%3Fd=e%23f/secrets/0A-z?"}, paths)

	for _, name := range []string{"", ".", "..", "../secrets", "a b", "ü", strings.Repeat("a", 65)} {
		e := f.failed(f.Remove(t.Context(), f.token, cred, name))
		require.Equal(t, console.Refused, e.Kind)
		require.False(t, console.MayHaveTakenEffect(e))
	}
	for _, name := range []string{"", ".", ".."} {
		for _, address := range []struct {
			cred console.Credential
			uuid string
		}{
			{console.Credential{OrgID: name, CredentialID: "1"}, "u"},
			{console.Credential{OrgID: "1", CredentialID: name}, "u"},
		} {
			e := f.failed(f.Remove(t.Context(), f.token, address.cred, address.uuid))
			require.Equal(t, console.Refused, e.Kind)
			require.False(t, console.MayHaveTakenEffect(e))
		}
	}
	require.Len(t, paths, 1, "nothing was asked")
}

func TestValuesShowNoSecret(t *testing.T) {
	f := start(t, emulator.Options{}, console.Options{})
	added, err := f.Add(t.Context(), f.token, cred)
	require.NoError(t, err)
	f.secretless(added)
	f.secretless(*added)
	f.secretless([]console.NewSecret{*added})
	f.secretless(f.Client)
	require.Contains(t, fmt.Sprintf("%+v", added), "[redacted]")
}

func TestNew(t *testing.T) {
	pool := adobehttp.NewPool("tests/1", time.Now)
	for _, o := range []console.Options{{URL: console.DefaultURL, CACert: "none"}, {URL: "http://["}, {}} {
		_, err := console.New(pool, o)
		require.Error(t, err)
	}
	c, err := console.New(pool, console.Options{URL: console.DefaultURL + "/"})
	require.NoError(t, err)
	c.Close()
	c.Close()
}

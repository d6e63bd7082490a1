// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

// importing is the write of a project's file to a server, with other fields
// beside it.
func importing(t *testing.T, url string, beside func(*Settings)) Change {
	return Change{
		File: projectFile(t, "s2s-only"),
		Apply: func(s *Settings) {
			s.IMSURL, s.ConsoleURL, s.MaxRetries = url, url, 0
			if beside != nil {
				beside(s)
			}
		},
		Verify: true,
		Allow:  func(context.Context, *Credential, *Credential) error { return nil },
	}
}

// noConsole are the ways in which a credential that obtains tokens cannot manage
// its client secrets.
var noConsole = map[string]func(*adobe){
	"no I/O Management API": func(a *adobe) {
		a.onToken = func(answer map[string]any) {
			answer["error"] = "invalid_scope"
			delete(answer, "access_token")
		}
	},
	"an unknown credential": func(a *adobe) {
		a.instead(consolePath, 404, "application/json", `{"error_code":"404000","message":"not found"}`)
	},
	"another place":  func(a *adobe) { a.instead(consolePath, 404, "text/html", page) },
	"out of service": func(a *adobe) { a.instead(consolePath, 503, "text/html", page) },
}

// A project's file has the ids whether or not anybody wants its secret rotated.
func TestImportWithoutTheConsole(t *testing.T) {
	for name, prepare := range noConsole {
		t.Run(name, func(t *testing.T) {
			a, b := newAdobe(t, "p8e-one"), newBench(t)
			prepare(a)
			warnings, err := b.Write(t.Context(), "default", importing(t, a.URL, nil))
			require.NoError(t, err)
			require.Len(t, warnings, 1)
			require.Contains(t, warnings[0], "console_org_id, credential_id: ")
			require.NotContains(t, warnings[0], "Nothing was stored")
			stored, err := b.Get(t.Context(), "default")
			require.NoError(t, err)
			require.Equal(t, "4711", stored.Value.ConsoleOrgID)
			require.Equal(t, "900001", stored.Value.CredentialID)
		})
	}
}

func TestImportForRotationIsProven(t *testing.T) {
	for beside, set := range map[string]func(*Settings){
		"a period":   func(s *Settings) { s.RotationPeriod = 30 * 24 * time.Hour },
		"a schedule": func(s *Settings) { s.RotationSchedule = "0 3 * * SAT" },
		"another id": func(s *Settings) { s.CredentialID = "900002" },
	} {
		for name, prepare := range noConsole {
			t.Run(beside+", "+name, func(t *testing.T) {
				a, b := newAdobe(t, "p8e-one"), newBench(t)
				prepare(a)
				_, err := b.Write(t.Context(), "default", importing(t, a.URL, set))
				var advised *advice.Error
				var open *Unproven
				require.True(t, errors.As(err, &advised) || errors.As(err, &open), "%v", err)
				stored, err := b.Get(t.Context(), "default")
				require.NoError(t, err)
				require.Nil(t, stored.Value)
			})
		}
	}
}

// A gateway, or a proof of concept, may have both at one address.
func TestTheConsolesThrottleIsNotThatOfIMS(t *testing.T) {
	a, b := newAdobe(t, "p8e-good"), newBench(t)
	a.answer[consolePath] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	c := rotating(a.URL, "p8e-good")
	require.NoError(t, b.Put(t.Context(), "default", c)) // whose client is kept
	client, err := b.IMS(c)
	require.NoError(t, err)
	defer client.Close()
	require.Equal(t, ims.Throttled, kindOf(b.ProveConsole(t.Context(), c)))
	_, err = client.ClientCredentials(t.Context(), c.With(c.Current), []string{"openid"})
	require.NoError(t, err)

	// An operator's write asks the console again.
	delete(a.answer, consolePath)
	require.NoError(t, b.ProveConsole(t.Context(), c))
}

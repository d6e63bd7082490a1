// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"encoding/pem"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

func complete() Settings {
	s := Defaults()
	s.ClientID = "c1"
	return s
}

func rotates(s *Settings) { s.ConsoleOrgID, s.CredentialID = "4711", "900001" }

func certificate(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

func TestCheckAccepts(t *testing.T) {
	ca := certificate(t)
	for name, test := range map[string]struct {
		change func(*Settings)
		normal func(*Settings) // nil: as written
	}{
		"the defaults": {change: func(*Settings) {}},
		"white space and a mark": {
			change: func(s *Settings) { s.ClientID, s.OrgID, s.CACert = "\uFEFFc1\n", " 1@AdobeOrg ", ca+"\n" },
			normal: func(s *Settings) { s.OrgID, s.CACert = "1@AdobeOrg", strings.TrimSpace(ca) },
		},
		"URLs": {
			change: func(s *Settings) { s.IMSURL, s.ConsoleURL = "HTTPS://IMS.example:8443/", "http://LOCALHOST:8080" },
			normal: func(s *Settings) { s.IMSURL, s.ConsoleURL = "https://ims.example:8443", "http://localhost:8080" },
		},
		"loopback addresses": {change: func(s *Settings) { s.IMSURL, s.ConsoleURL = "http://127.0.0.9:1", "http://[::1]:2" }},
		"a web app": {change: func(s *Settings) {
			s.Type, s.RedirectURI = WebApp, "https://vault.example/v1/adobeims/callback?x=1"
		}},
		"a web app on loopback": {change: func(s *Settings) { s.Type, s.RedirectURI = WebApp, "http://localhost:1/cb" }},
		"a period":              {change: func(s *Settings) { rotates(s); s.RotationPeriod = time.Hour }},
		"a minute":              {change: func(s *Settings) { rotates(s); s.RotationPeriod, s.PreviousSecretTTL = time.Minute, 0 }},
		"a schedule": {
			change: func(s *Settings) { rotates(s); s.RotationSchedule = "0 3 1 * *" },
			normal: func(s *Settings) { rotates(s); s.RotationSchedule, s.RotationWindow = "0 3 1 * *", time.Hour },
		},
		"a schedule with a window": {change: func(s *Settings) { rotates(s); s.RotationSchedule, s.RotationWindow = "*/5 0 * * SUN", 2*time.Hour }},
		"a schedule that was taken back": {
			change: func(s *Settings) { rotates(s); s.RotationWindow, s.RotationPeriod = time.Hour, 24*time.Hour },
			normal: func(s *Settings) { rotates(s); s.RotationPeriod = 24 * time.Hour },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, want := complete(), complete()
			test.change(&s)
			if test.normal == nil {
				test.normal = test.change
			}
			test.normal(&want)
			require.NoError(t, s.Check())
			require.Equal(t, want, s)
			require.NoError(t, s.Check(), "once more")
			require.Equal(t, want, s)
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	ca := certificate(t)
	for name, test := range map[string]struct {
		change func(*Settings)
		field  string
		says   string
	}{
		"no client":            {func(s *Settings) { s.ClientID = " " }, "client_id", "required"},
		"an unseen character":  {func(s *Settings) { s.ClientID = "p8e-\u200B" }, "client_id", "U+200B, which cannot be seen"},
		"NUL":                  {func(s *Settings) { s.OrgID = "p8e-\x00@AdobeOrg" }, "org_id", "U+0000"},
		"a long client":        {func(s *Settings) { s.ClientID = strings.Repeat("x", 257) }, "client_id", "256 is the limit"},
		"a huge URL":           {func(s *Settings) { s.IMSURL = "https://" + strings.Repeat("x", 1<<20) }, "ims_url", "512 is the limit"},
		"a huge bundle":        {func(s *Settings) { s.CACert = strings.Repeat(ca, 1000) }, "ca_cert", "65536 is the limit"},
		"a long schedule":      {func(s *Settings) { rotates(s); s.RotationSchedule = strings.Repeat("1,", 200) + "1 * * * *" }, "rotation_schedule", "256 is the limit"},
		"another type":         {func(s *Settings) { s.Type = "p8e-jwt" }, "credential_type", "oauth_server_to_server or oauth_web_app"},
		"no organisation":      {func(s *Settings) { s.OrgID = "p8e-4711" }, "org_id", "console_org_id"},
		"no URL":               {func(s *Settings) { s.IMSURL = "p8e-secret" }, "ims_url", "https URL"},
		"an empty URL":         {func(s *Settings) { s.ConsoleURL = "" }, "console_url", "such as https://api.adobe.io"},
		"plain http":           {func(s *Settings) { s.IMSURL = "http://p8e-secret.example" }, "ims_url", "loopback"},
		"loopback by prefix":   {func(s *Settings) { s.IMSURL = "http://127.0.0.1.example" }, "ims_url", "loopback"},
		"a path":               {func(s *Settings) { s.IMSURL = "https://ims.example/p8e-secret" }, "ims_url", "more than a host"},
		"a query":              {func(s *Settings) { s.ConsoleURL = "https://ims.example?client_secret=p8e-secret" }, "console_url", "more than a host"},
		"a password":           {func(s *Settings) { s.IMSURL = "https://u:p8e-secret@ims.example" }, "ims_url", "user or password"},
		"another scheme":       {func(s *Settings) { s.IMSURL = "ftp://ims.example" }, "ims_url", "https"},
		"no host":              {func(s *Settings) { s.IMSURL = "https://:443" }, "ims_url", "https"},
		"a short time-out":     {func(s *Settings) { s.RequestTimeout = 0 }, "request_timeout", "from 1s to 1m"},
		"a long time-out":      {func(s *Settings) { s.RequestTimeout = 61 * time.Second }, "request_timeout", "1m1s is out of range"},
		"few retries":          {func(s *Settings) { s.MaxRetries = -1 }, "max_retries", "from 0 to 10"},
		"many retries":         {func(s *Settings) { s.MaxRetries = 11 }, "max_retries", "from 0 to 10"},
		"no certificate":       {func(s *Settings) { s.CACert = "p8e-secret" }, "ca_cert", "no certificate"},
		"a private key":        {func(s *Settings) { s.CACert = ca + "-----BEGIN PRIVATE KEY-----\np8e\n-----END PRIVATE KEY-----" }, "ca_cert", "private key"},
		"no number":            {func(s *Settings) { s.ConsoleOrgID = "p8e-secret" }, "console_org_id", "not a number"},
		"no id":                {func(s *Settings) { s.CredentialID = "p8e/../secret" }, "credential_id", "digits, letters and hyphens"},
		"too many scopes":      {func(s *Settings) { s.Scopes = make([]string, 257) }, "project", "256 is the limit"},
		"a redirect URI":       {func(s *Settings) { s.RedirectURI = "https://a.example" }, "redirect_uri", "oauth_web_app only"},
		"no redirect URI":      {func(s *Settings) { s.Type = WebApp }, "redirect_uri", "required"},
		"a bad redirect URI":   {func(s *Settings) { s.Type, s.RedirectURI = WebApp, "p8e-secret" }, "redirect_uri", "not a URL"},
		"an open redirect URI": {func(s *Settings) { s.Type, s.RedirectURI = WebApp, "http://a.example" }, "redirect_uri", "https"},
		"a period without ids": {func(s *Settings) { s.RotationPeriod = time.Hour }, "rotation_period", "needs console_org_id"},
		"a period of a person": {func(s *Settings) {
			rotates(s)
			s.Type, s.RedirectURI, s.RotationPeriod = WebApp, "https://a.example", time.Hour
		}, "rotation_period", "no rotation"},
		"30 meant as days": {func(s *Settings) { rotates(s); s.RotationPeriod = 30 * time.Second }, "rotation_period", "30s is too short; it must be at least 1m, and at least previous_secret_ttl (1h)"},
		"shorter than the previous secret's life": {
			func(s *Settings) { rotates(s); s.RotationPeriod, s.PreviousSecretTTL = 24*time.Hour, 800*time.Hour }, "rotation_period", "24h is less than previous_secret_ttl, 800h",
		},
		"a negative period":         {func(s *Settings) { rotates(s); s.RotationPeriod = -time.Hour }, "rotation_period", "out of range"},
		"a negative ttl":            {func(s *Settings) { s.PreviousSecretTTL = -time.Hour }, "previous_secret_ttl", "out of range"},
		"a ttl of ages":             {func(s *Settings) { s.PreviousSecretTTL = 1 << 62 }, "previous_secret_ttl", "out of range"},
		"both":                      {func(s *Settings) { rotates(s); s.RotationPeriod, s.RotationSchedule = 24*time.Hour, "0 0 * * *" }, "rotation_schedule", "beside rotation_period (24h)"},
		"a window alone":            {func(s *Settings) { rotates(s); s.RotationWindow = 2 * time.Hour }, "rotation_window", "for a rotation_schedule only"},
		"a short window":            {func(s *Settings) { rotates(s); s.RotationSchedule, s.RotationWindow = "0 0 * * *", time.Second }, "rotation_window", "1s is too short; it must be at least 1m"},
		"a schedule without ids":    {func(s *Settings) { s.RotationSchedule = "0 0 * * *" }, "rotation_schedule", "needs console_org_id"},
		"six fields":                {func(s *Settings) { rotates(s); s.RotationSchedule = "0 0 0 * * *" }, "rotation_schedule", "five fields"},
		"a word":                    {func(s *Settings) { rotates(s); s.RotationSchedule = "@daily" }, "rotation_schedule", "five fields"},
		"a time zone":               {func(s *Settings) { rotates(s); s.RotationSchedule = "CRON_TZ=Europe/Berlin 0 0 * * *" }, "rotation_schedule", "five fields in UTC"},
		"a time zone and no more":   {func(s *Settings) { rotates(s); s.RotationSchedule = "TZ=0" }, "rotation_schedule", "five fields in UTC"},
		"a day that never comes":    {func(s *Settings) { rotates(s); s.RotationSchedule = "0 0 30 2 *" }, "rotation_schedule", "never comes"},
		"out of range in a field":   {func(s *Settings) { rotates(s); s.RotationSchedule = "99 0 * * *" }, "rotation_schedule", "five fields"},
		"a technical account":       {func(s *Settings) { s.TechnicalAccountID = strings.Repeat("x", 257) }, "technical_account_id", "256 is the limit"},
		"an unseen email character": {func(s *Settings) { s.TechnicalAccountEmail = "a\u202E" }, "technical_account_email", "U+202E"},
		"of two URLs the first":     {func(s *Settings) { s.IMSURL, s.ConsoleURL = "x", "y" }, "ims_url", "https"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 8 { // the same each time
				s := complete()
				test.change(&s)
				err := s.Check()
				require.ErrorContains(t, err, test.says)
				require.Regexp(t, "^"+test.field+": ", err.Error())
				require.NotContains(t, err.Error(), "p8e")
				require.Less(t, len(err.Error()), 600)
				var advised *advice.Error
				require.ErrorAs(t, err, &advised)
			}
		})
	}
}

func TestCheckOfACredentialWantsASecret(t *testing.T) {
	c := &Credential{Settings: complete()}
	require.ErrorContains(t, c.Check(), "client_secret: required")
	c.Current = "p8e-1"
	require.NoError(t, c.Check())
	c.ClientID = ""
	require.ErrorContains(t, c.Check(), "client_id: required")
}

// Every text of the Settings has a limit.
func TestEveryTextIsLimited(t *testing.T) {
	kind := reflect.TypeFor[Settings]()
	for i := range kind.NumField() {
		if kind.Field(i).Type.Kind() != reflect.String {
			continue
		}
		s := complete()
		reflect.ValueOf(&s).Elem().Field(i).SetString(strings.Repeat("x", 1<<17))
		name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
		require.ErrorContains(t, s.Check(), name+": has 131072 bytes")
	}
}

func TestParseSecret(t *testing.T) {
	parsed, err := ParseSecret("\uFEFFp8e-1\n")
	require.NoError(t, err)
	require.Equal(t, "p8e-1", string(parsed))
	for _, bad := range []string{"p8e-\u200B1", "p8e-1\np8e-2", strings.Repeat("p8e-", 300)} {
		_, err := ParseSecret(bad)
		require.ErrorContains(t, err, "client_secret: ")
		require.NotContains(t, err.Error(), "p8e-")
	}
}

func TestParseSecretUUID(t *testing.T) {
	for _, good := range []string{"", " 1c5c0a9e-0f3c-4a4e-9f4b-3c1f5d1c0001\n", "A1"} {
		parsed, err := ParseSecretUUID(good)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(good), parsed)
	}
	for _, bad := range []string{"../..", "p8e_1", strings.Repeat("a", 65), "a\u200B"} {
		_, err := ParseSecretUUID(bad)
		require.ErrorContains(t, err, "client_secret_uuid: ")
	}
}

func TestWarnings(t *testing.T) {
	s := complete()
	require.NoError(t, s.Check())
	require.Empty(t, s.Warnings())

	s.MaxRetries, s.RequestTimeout = 10, time.Minute
	require.Len(t, s.Warnings(), 1)
	require.Contains(t, s.Warnings()[0], "max_retries=10 and request_timeout=1m: while IMS does not answer, a request goes on for 11m")

	s = complete()
	rotates(&s)
	s.RotationSchedule = "0,30 3 * * *"
	require.NoError(t, s.Check())
	require.Len(t, s.Warnings(), 1)
	require.Contains(t, s.Warnings()[0], "comes round after 30m, which is less than previous_secret_ttl (1h)")

	s.RotationSchedule = "0 3 29 2 *"
	require.NoError(t, s.Check())
	require.Empty(t, s.Warnings())
}

func TestSameServersAndCredential(t *testing.T) {
	s := complete()
	for _, change := range []func(*Settings){
		func(s *Settings) { s.IMSURL = "https://x" }, func(s *Settings) { s.ConsoleURL = "https://x" },
	} {
		other := s
		change(&other)
		require.False(t, s.SameServers(&other))
		require.True(t, s.SameCredential(&other))
	}
	for _, change := range []func(*Settings){
		func(s *Settings) { s.ClientID = "x" }, func(s *Settings) { s.ConsoleOrgID = "1" }, func(s *Settings) { s.CredentialID = "1" },
	} {
		other := s
		change(&other)
		require.True(t, s.SameServers(&other))
		require.False(t, s.SameCredential(&other))
	}
}

func TestManagementScope(t *testing.T) {
	for _, none := range [][]string{nil, {"openid", "AdobeID"}, {"manage_client"}} {
		require.Empty(t, ManagementScope(none))
	}
	for _, scope := range []string{"manage_client_secrets", "read_client_secret", "MANAGE_CLIENT_SECRETS", "openid;manage_client_secrets"} {
		require.Equal(t, scope, ManagementScope([]string{"openid", scope}))
	}
}

// SPDX-License-Identifier: MPL-2.0

package ims

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var sent = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// claimed are the claims of a token that was created so long after it was asked
// for, by Adobe's clock, and lives so long.
func claimed(after, life time.Duration) Claims {
	return Claims{Created: sent.Add(after), Expires: sent.Add(after + life)}
}

func TestTokenEnd(t *testing.T) {
	for name, test := range map[string]struct {
		expiresIn any
		claims    Claims
		life      time.Duration // 0: an error
		err       string
	}{
		"seconds":                        {expiresIn: 3599.0, life: 3599 * time.Second},
		"a string":                       {expiresIn: " 3599 ", life: 3599 * time.Second},
		"one second":                     {expiresIn: 1.0, life: time.Second},
		"milliseconds":                   {expiresIn: 86400000.0, life: 24 * time.Hour},
		"milliseconds in a string":       {expiresIn: "86400000", life: 24 * time.Hour},
		"one more than 31 days":          {expiresIn: 2678401.0, life: 2678401 * time.Millisecond},
		"more than 31 days in any unit":  {expiresIn: 1e12, life: 31 * 24 * time.Hour},
		"shorter claims":                 {expiresIn: 86399.0, claims: claimed(0, time.Hour), life: time.Hour},
		"longer claims":                  {expiresIn: 86399.0, claims: claimed(0, 240*time.Hour), life: 86399 * time.Second},
		"Adobe's clock ahead":            {expiresIn: 86399.0, claims: claimed(time.Hour, 24*time.Hour), life: 86399 * time.Second},
		"Adobe's clock behind":           {expiresIn: 86399.0, claims: claimed(-time.Hour, 24*time.Hour), life: 23 * time.Hour},
		"claims alone":                   {claims: claimed(0, time.Hour), life: time.Hour},
		"claims alone, clock ahead":      {claims: claimed(time.Hour, time.Hour), life: time.Hour},
		"claims alone, clock behind":     {claims: claimed(-time.Minute, time.Hour), life: 59 * time.Minute},
		"claims alone, nonsensical":      {claims: claimed(0, 10000*time.Hour), life: 31 * 24 * time.Hour},
		"claims with a beginning alone":  {claims: Claims{Created: sent}, err: "no expires_in, nor has the token"},
		"nothing":                        {err: "no expires_in, nor has the token"},
		"zero":                           {expiresIn: 0.0, claims: claimed(0, time.Hour), err: "expires_in is 0,"},
		"negative":                       {expiresIn: -1.0, err: "expires_in is -1,"},
		"less than a second":             {expiresIn: 0.5, err: "expires_in is 0.5,"},
		"a word":                         {expiresIn: "soon", claims: claimed(0, time.Hour), err: "expires_in is not a number"},
		"a number that is none":          {expiresIn: "NaN", err: "expires_in is not a number"},
		"a number without end":           {expiresIn: "Inf", err: "expires_in is not a number"},
		"a hexadecimal one":              {expiresIn: "0x10p2", err: "expires_in is not a number"},
		"an empty string":                {expiresIn: "", err: "expires_in is not a number"},
		"a truth":                        {expiresIn: true, err: "expires_in is not a number"},
		"claims of the past":             {expiresIn: 86399.0, claims: claimed(-48*time.Hour, 24*time.Hour), err: "expired at 2026-11-21T09:00:00Z, before it was asked for"},
		"claims of no life":              {expiresIn: 86399.0, claims: claimed(0, 0), err: "before it was asked for"},
		"claims of no life alone":        {claims: claimed(0, 0), err: "before it was asked for"},
		"claims of a negative life":      {claims: claimed(0, -time.Hour), err: "before it was asked for"},
		"claims of no life, clock ahead": {claims: claimed(time.Hour, 0), err: "before it was asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			end, err := tokenEnd(sent, test.expiresIn, test.claims)
			if test.life == 0 {
				require.ErrorContains(t, err, test.err)
				require.Zero(t, end)
				require.Regexp(t, `^(the|expires_in|by) `, err.Error(), "it stands alone")
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.life, end.Sub(sent))
		})
	}
}

func TestReadGrant(t *testing.T) {
	refresh := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"created_at":"1795338000000","expires_in":"3600000"}`)) + ".e30"
	long := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"created_at":"1795338000000","expires_in":"99999999999999"}`)) + ".e30"
	for name, test := range map[string]struct {
		body    string
		refresh string
		expires time.Duration // of the refresh token
		fails   bool
	}{
		"both":                     {`{"access_token":"at","expires_in":300,"refresh_token":"rt"}`, "rt", DefaultRefreshLife, false},
		"one that tells":           {`{"access_token":"at","expires_in":300,"refresh_token":"` + refresh + `"}`, refresh, time.Hour, false},
		"one that tells nonsense":  {`{"access_token":"at","expires_in":300,"refresh_token":"` + long + `"}`, long, DefaultRefreshLife, false},
		"no new one":               {`{"access_token":"at","expires_in":300}`, "held", DefaultRefreshLife, false},
		"beside no life":           {`{"access_token":"at","refresh_token":"rt"}`, "rt", DefaultRefreshLife, true},
		"beside a word":            {`{"access_token":"at","expires_in":"soon","refresh_token":"rt"}`, "rt", DefaultRefreshLife, true},
		"beside no access token":   {`{"refresh_token":"rt"}`, "rt", DefaultRefreshLife, true},
		"beside an odd one":        {`{"access_token":7,"expires_in":300,"refresh_token":"rt"}`, "rt", DefaultRefreshLife, true},
		"no new one, no life":      {`{"access_token":"at"}`, "held", DefaultRefreshLife, true},
		"no answer at all":         {`{}`, "", 0, true},
		"a refresh token too long": {`{"refresh_token":"` + longText() + `"}`, "", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			grant, err := readGrant([]byte(test.body), sent, "held")
			require.Equal(t, test.fails, err != nil)
			require.Equal(t, test.fails, grant.Expires.IsZero())
			require.Equal(t, test.refresh, string(grant.RefreshToken))
			if test.refresh == "" {
				require.Zero(t, grant.RefreshExpires)
				return
			}
			require.Equal(t, test.expires, grant.RefreshExpires.Sub(sent))
		})
	}
}

func longText() string {
	b := make([]byte, maxToken+1)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}

func FuzzClaims(f *testing.F) {
	for _, seed := range []string{
		`{"client_id":"c","user_id":"u","type":"access_token","scope":"a,b","created_at":"1782448485000","expires_in":"86400000"}`,
		`{"created_at":253402300799999,"expires_in":1e18}`, `{"created_at":1e400}`, `{"created_at":"9e9","expires_in":"-5"}`,
		`{"scope":["a","b c"]}`, `{}`, `null`, `[]`, ``, `{"type":"\u0000"}`,
	} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(seed)))
		f.Add(base64.StdEncoding.EncodeToString([]byte(seed)))
	}
	f.Add("..")
	f.Fuzz(func(t *testing.T, payload string) {
		c, ok := ReadClaims("e30." + payload + ".e30")
		if !ok {
			require.Equal(t, Claims{}, c)
			return
		}
		for _, word := range append([]string{c.ClientID, c.UserID, c.Type}, c.Scopes...) {
			require.True(t, visible(word))
			require.LessOrEqual(t, len(word), maxName)
		}
		require.LessOrEqual(t, len(c.Scopes), maxScopes)
		_, err := json.Marshal(c)
		require.NoError(t, err, "its times can be stored")
	})
}

func FuzzLife(f *testing.F) {
	f.Add(`86399`, int64(0), int64(86_400_000))
	f.Add(`"86399"`, int64(0), int64(0))
	f.Add(`86400000`, int64(-1), int64(1))
	f.Add(`null`, int64(3_600_000), int64(86_400_000))
	f.Add(`-1`, int64(0), int64(1))
	f.Add(`1e308`, int64(0), int64(1))
	f.Add(`"0x1p9"`, int64(0), int64(1))
	f.Fuzz(func(t *testing.T, expiresIn string, after, life int64) {
		var value any
		_ = json.Unmarshal([]byte(expiresIn), &value)
		claims := Claims{}
		if life != 0 {
			claims.Created = sent.Add(span(float64(after), time.Millisecond))
			claims.Expires = claims.Created.Add(span(float64(life), time.Millisecond))
		}
		end, err := tokenEnd(sent, value, claims)
		if err != nil {
			require.Zero(t, end)
			return
		}
		require.True(t, end.After(sent), "no life of nothing")
		require.LessOrEqual(t, end.Sub(sent), maxLife)
		if life != 0 {
			require.False(t, end.After(claims.Expires), "the earlier counts")
		}
	})
}

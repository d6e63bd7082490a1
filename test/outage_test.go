// SPDX-License-Identifier: MPL-2.0

package test

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// outage is a way in which IMS can fail.
type outage struct {
	name    string
	fault   *emulator.Fault // of all requests for tokens; nil: connections are refused
	status  int             // of a read where no token lives
	message string          // in the error then
	warning string          // where one lives
}

var outages = []outage{
	{"refusing", nil, http.StatusBadGateway, "connection refused", "connection refused"},
	{"hanging", &emulator.Fault{Hang: true}, http.StatusBadGateway, "no complete answer within", "has not answered yet"},
	{"dropping", &emulator.Fault{Drop: true}, http.StatusBadGateway, "EOF", "EOF"},
	{"throttling", &emulator.Fault{Status: 429, RetryAfter: "3"}, http.StatusTooManyRequests, "429 Too Many Requests", "429 Too Many Requests"},
	{"unavailable", &emulator.Fault{Status: 503}, http.StatusServiceUnavailable, "503 Service Unavailable", "503 Service Unavailable"},
	{"garbage", &emulator.Fault{Body: "<html>Welcome"}, http.StatusBadGateway, "instead of Adobe", "instead of Adobe"},
}

func (o *outage) path() string { return "adobeims/token/" + o.name }

func (o *outage) begin(ims *adobe) {
	if o.fault == nil {
		ims.Stop()
		return
	}
	fault := *o.fault
	fault.Path = emulator.TokenPath
	ims.Inject(fault)
}

func (o *outage) finish(t *testing.T, ims *adobe) {
	t.Helper()
	ims.ClearFaults()
	if o.fault == nil {
		require.NoError(t, ims.Restart())
	}
}

// configure writes a config and a role of the outage's name.
func (o *outage) configure(t *testing.T, s *vaulttest.Server, ims *adobe, settings vaulttest.Data) {
	t.Helper()
	config := vaulttest.Data{"client_id": clientID, "client_secret": clientSecret, "ims_url": ims.URL}
	for name, value := range settings {
		config[name] = value
	}
	s.Write(t, "adobeims/config/"+o.name, config)
	s.Write(t, "adobeims/roles/"+o.name, vaulttest.Data{"config": o.name, "scopes": "openid", "verify": false})
}

// asked is how often IMS was asked for a token, or would have been had it been there.
func (o *outage) asked(ims *adobe, s *vaulttest.Server) int {
	if o.fault == nil {
		return failedMints(s.Logs(), o.name)
	}
	return ims.mints()
}

// suffering is an outage that a reader lives through.
type suffering struct {
	*outage
	ims      *adobe
	first    string // the token when it began
	reader   *reader
	requests int // that IMS got while it lasted
}

// IMS fails for about half of a token's life, while the plugin and then Vault are killed: the readers
// keep the token that there is, and get the next one when IMS is back.
func TestOutage(t *testing.T) {
	const life = 30 * time.Second
	vault := vaulttest.Start(t)
	var all []*suffering
	for i := range outages {
		s := &suffering{outage: &outages[i], ims: startAdobe(t, life)}
		s.configure(t, vault, s.ims, nil)
		all = append(all, s)
	}
	for _, s := range all {
		s.first = vault.Read(t, s.path()).Data["access_token"].(string)
		s.begin(s.ims)
		s.ims.ResetCounters()
		s.reader = s.ims.startReader(t, s.path(), 100*time.Millisecond, vault)
	}
	began := time.Now()
	after := func(d time.Duration) { time.Sleep(time.Until(began.Add(d))) }

	// From 12 to 13.5 s on the engine wants to replace the tokens; 2 s later it calls them late.
	after(16500 * time.Millisecond)
	pluginKilled := during(func() { vault.KillPlugin(t) })
	after(19500 * time.Millisecond)
	vaultDown := during(func() {
		vault.Kill()
		vault.Restart(t)
	})
	after(25 * time.Second)
	for _, s := range all {
		s.requests = s.asked(s.ims, vault)
		s.finish(t, s.ims)
	}
	for _, s := range all {
		vaulttest.WaitFor(t, 10*time.Second, "a newer token", func() error { return s.recovered(t, vault) })
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) { s.judge(t, pluginKilled, vaultDown) })
	}
}

func (s *suffering) recovered(t *testing.T, vault *vaulttest.Server) error {
	t.Helper()
	if vault.Read(t, s.path()).Data["access_token"] == s.first {
		return errors.New("it is still the old one")
	}
	return nil
}

// judge wants the reader to have noticed nothing but warnings.
func (s *suffering) judge(t *testing.T, pluginKilled, vaultDown span) {
	reads := s.reader.end()
	requireGood(t, reads, pluginKilled, vaultDown)
	require.Len(t, tokensOf(t, reads), 2)
	require.Equal(t, s.first, reads[0].token())

	var warned, named, slow int
	for _, r := range answered(reads) {
		switch {
		case r.token() != s.first:
			require.Empty(t, r.answer.Warnings, "it is over")
		case len(r.answer.Warnings) == 0:
			require.Zero(t, warned, "a warning is missing at %s, in an answer that took %s", r.sent.Format(time.TimeOnly), r.took())
			require.True(t, r.sent.Before(pluginKilled.from), "the first warning is late")
		default:
			require.Len(t, r.answer.Warnings, 1)
			require.Contains(t, r.answer.Warnings[0], "still good")
			warned++
			named += strings.Count(r.answer.Warnings[0], s.warning)
		}
		if r.took() > time.Second && !r.overlaps(pluginKilled) && !r.overlaps(vaultDown) {
			slow++
		}
	}
	t.Logf("%d reads, %d with a warning, %d slow; %d failed as the plugin was killed, %d while Vault was down; IMS was asked %d times",
		len(reads), warned, slow, failedDuring(reads, pluginKilled), failedDuring(reads, vaultDown), s.requests)
	require.Greater(t, warned, 20)
	require.Greater(t, named, 10, "warnings that say what is wrong")
	// A plugin that has just started does not know yet that IMS fails.
	require.LessOrEqual(t, slow, 2, "readers waited for IMS")
	require.Positive(t, s.requests)
	require.LessOrEqual(t, s.requests, 20)
}

func failedDuring(reads []read, broken span) int {
	failed := 0
	for _, r := range reads {
		if r.err != nil && r.overlaps(broken) {
			failed++
		}
	}
	return failed
}

// failedMints counts a role's failed mints in a server's log, whose lines have their fields in any order.
func failedMints(logs, role string) int {
	return len(regexp.MustCompile(`minting a token failed: .*\brole=`+role+`\b`).FindAllString(logs, -1))
}

// What keeps a first token from coming: the outages, and what is not IMS's fault.
var noFirstToken = append([]outage{
	{"throttling for long", &emulator.Fault{Status: 429, RetryAfter: "30"}, http.StatusTooManyRequests, "429 Too Many Requests", ""},
	{"wrong secret", &emulator.Fault{Status: 400, Code: "invalid_client"}, http.StatusBadRequest, "config/wrong_secret", ""},
	{"scope not granted", &emulator.Fault{Status: 400, Code: "invalid_scope"}, http.StatusBadRequest, "scopes", ""},
}, outages...)

// Where no token lives a reader is told at once what is wrong and when it is worth trying again, and IMS is
// not asked for every reader.
func TestNoFirstToken(t *testing.T) {
	t.Parallel()
	vault := vaulttest.Start(t)
	for _, o := range noFirstToken {
		t.Run(o.name, func(t *testing.T) {
			o.name = strings.ReplaceAll(o.name, " ", "_")
			ims := startAdobe(t, time.Hour)
			o.configure(t, vault, ims, vaulttest.Data{"request_timeout": 1, "max_retries": 1})
			o.begin(ims)
			o.requireFailure(t, vault)
			asked := o.asked(ims, vault)
			for range 20 {
				o.requireFailure(t, vault)
			}
			// Within a second, none; a slow machine may see another attempt or two.
			require.LessOrEqual(t, o.asked(ims, vault), asked+4, "IMS is asked by the clock, not by the readers")

			o.finish(t, ims)
			if o.fault != nil && o.fault.RetryAfter == "30" {
				// Who writes the config does not have to wait: the throttle is the credential's.
				vault.Write(t, "adobeims/config/"+o.name, vaulttest.Data{"max_retries": 3})
			}
			vaulttest.WaitFor(t, 10*time.Second, "a token", func() error {
				_, err := vault.Client(t).Logical().Read(o.path())
				return err
			})
		})
	}
}

var timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

func (o *outage) requireFailure(t *testing.T, vault *vaulttest.Server) {
	t.Helper()
	began := time.Now()
	_, err := vault.Client(t).Logical().Read(o.path())
	requireStatus(t, o.status, err, o.name)
	require.Less(t, time.Since(began), 5*time.Second)
	require.ErrorContains(t, err, o.message)
	require.Regexp(t, timestamp, err.Error())
	at, err := time.Parse(time.RFC3339, timestamp.FindString(err.Error()))
	require.NoError(t, err)
	want := time.Second // of the first backing off
	if o.fault != nil && o.fault.RetryAfter == "30" {
		want = 30 * time.Second
	}
	require.WithinDuration(t, began.Add(want), at, 5*time.Second)
}

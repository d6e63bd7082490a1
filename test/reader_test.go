// SPDX-License-Identifier: MPL-2.0

package test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// read is what became of one read.
type read struct {
	sent, received time.Time
	answer         *api.Secret
	err            error
	dead           bool // the token no longer worked when it came
}

func (r *read) took() time.Duration { return r.received.Sub(r.sent) }

func (r *read) token() string {
	token, _ := r.answer.Data["access_token"].(string)
	return token
}

// overlaps tells whether any of the read was within the span of time.
func (r *read) overlaps(s span) bool { return !r.sent.After(s.to) && !r.received.Before(s.from) }

// span is a time during which something was broken on purpose.
type span struct{ from, to time.Time }

// during returns the span of time that do took.
func during(do func()) span {
	from := time.Now()
	do()
	return span{from, time.Now()}
}

// reader reads a token again and again, one read after the other.
type reader struct {
	stop  chan struct{}
	ended chan struct{}
	reads []read // to be looked at when it has ended
}

// startReader reads a path from now on, through the servers in turn.
func (a *adobe) startReader(t *testing.T, path string, every time.Duration, servers ...*vaulttest.Server) *reader {
	t.Helper()
	var clients []*api.Client
	for _, server := range servers {
		clients = append(clients, server.Client(t))
	}
	r := &reader{stop: make(chan struct{}), ended: make(chan struct{})}
	t.Cleanup(func() { r.end() })
	go func() {
		defer close(r.ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for turn, stopped := 0, false; !stopped; turn++ {
			select {
			case <-r.stop:
				stopped = true // after one more read, so that what has just changed is seen
			default:
			}
			r.reads = append(r.reads, a.read(clients[turn%len(clients)], path))
			select {
			case <-r.stop:
			case <-ticker.C:
			}
		}
	}()
	return r
}

// end stops the reader and returns what it has read.
func (r *reader) end() []read {
	select {
	case <-r.stop:
	default:
		close(r.stop)
	}
	<-r.ended
	return r.reads
}

func (a *adobe) read(client *api.Client, path string) read {
	r := read{sent: time.Now()}
	r.answer, r.err = client.Logical().Read(path)
	r.received = time.Now()
	if r.err == nil && r.answer == nil {
		r.err = errors.New("404, and nothing with it") // as the client has it
	}
	if r.err == nil {
		r.dead = !a.Valid(r.token())
	}
	return r
}

// requireGood fails the test for a read that failed, unless something else was broken at that time, and
// for a token that did not work.
func requireGood(t *testing.T, reads []read, broken ...span) {
	t.Helper()
	require.NotEmpty(t, reads)
	for i, r := range reads {
		excused := false
		for _, s := range broken {
			excused = excused || r.overlaps(s)
		}
		if !excused {
			require.NoError(t, r.err, "read %d of %d, sent at %s", i+1, len(reads), r.sent.Format(time.TimeOnly))
		}
		require.False(t, r.dead, "read %d of %d has a token that does not work", i+1, len(reads))
	}
}

// answered leaves out the reads that failed.
func answered(reads []read) []read {
	var kept []read
	for _, r := range reads {
		if r.err == nil {
			kept = append(kept, r)
		}
	}
	return kept
}

// tokensOf returns the different tokens that were read, in order, and fails the test if one came again
// after a newer one.
func tokensOf(t *testing.T, reads []read) []string {
	t.Helper()
	var tokens []string
	for _, r := range answered(reads) {
		if n := len(tokens); n == 0 || tokens[n-1] != r.token() {
			require.NotContains(t, tokens, r.token(), "an older token came after a newer one")
			tokens = append(tokens, r.token())
		}
	}
	return tokens
}

// lifeOf returns from when to when a token lives, by the claims that the emulator goes by.
func lifeOf(t *testing.T, token string) (created, expires time.Time) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3, "not a JWT")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims struct {
		CreatedAt int64 `json:"created_at,string"`
		ExpiresIn int64 `json:"expires_in,string"`
	}
	require.NoError(t, json.Unmarshal(payload, &claims))
	created = time.UnixMilli(claims.CreatedAt)
	return created, created.Add(time.Duration(claims.ExpiresIn) * time.Millisecond)
}

// mintsOf is how often IMS was asked for a token with these scopes, which tells roles apart.
func (a *adobe) mintsOf(scopes string) int {
	mints := 0
	for _, request := range a.Requests(emulator.TokenPath) {
		if request.Form.Get("scope") == scopes {
			mints++
		}
	}
	return mints
}

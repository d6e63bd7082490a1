// SPDX-License-Identifier: MPL-2.0

package test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

const (
	consoleOrgID = "23294"
	credentialID = "436084"

	rotatePath = configPath + "/rotate"

	// provingScope is what a rotation proves a new secret with. No role here has it alone.
	provingScope = "openid"
)

var secretsPath = emulator.SecretsPath(consoleOrgID, credentialID)

// rotated is an Adobe that remembers what must never leave the engine.
type rotated struct {
	*adobe
	steps chan struct{} // tells of the requests of rotations

	mu      sync.Mutex
	secrets map[string]bool // client secrets that there were
	tokens  map[string]bool // access tokens that the Developer Console was asked with
}

func startRotated(t *testing.T, options emulator.Options) *rotated {
	t.Helper()
	server := emulator.New(options)
	server.AddClient(emulator.Client{
		ID: clientID, Secrets: []string{clientSecret}, OrgID: orgID, ConsoleOrgID: consoleOrgID, CredentialID: credentialID,
	})
	url, err := server.Start("")
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	r := &rotated{adobe: &adobe{server, url}, steps: make(chan struct{}, 1), secrets: map[string]bool{}, tokens: map[string]bool{}}
	server.Inject(emulator.Fault{Match: func(request *http.Request) bool {
		r.watch(request)
		return false
	}})
	return r
}

// watch looks at each request before it takes effect.
func (r *rotated) watch(request *http.Request) {
	console := strings.HasPrefix(request.URL.Path, secretsPath)
	if !console && request.PostForm.Get("scope") != provingScope {
		return
	}
	r.mu.Lock()
	if console {
		r.tokens[strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer ")] = true
	}
	r.mu.Unlock()
	r.note()
	select {
	case r.steps <- struct{}{}:
	default:
	}
}

// note adds the secrets that there are to those that there were.
func (r *rotated) note() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range r.SecretsOf(clientID) {
		r.secrets[secret.Value] = true
	}
}

// confidential is what nobody may see.
func (r *rotated) confidential() (all []string) {
	r.note()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, set := range []map[string]bool{r.secrets, r.tokens} {
		for value := range set {
			all = append(all, value)
		}
	}
	return all
}

// livingTokens is how many of the tokens live that the Developer Console was asked with.
func (r *rotated) livingTokens() (living int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for token := range r.tokens {
		if r.Valid(token) {
			living++
		}
	}
	return living
}

func (r *rotated) uuids() (uuids []string) {
	for _, secret := range r.SecretsOf(clientID) {
		uuids = append(uuids, secret.UUID)
	}
	return uuids
}

// configure writes the config default, which can be rotated, and the role firefly.
func (r *rotated) configure(t *testing.T, s *vaulttest.Server, more vaulttest.Data) {
	t.Helper()
	config := vaulttest.Data{
		"client_id": clientID, "client_secret": clientSecret, "ims_url": r.URL, "request_timeout": "2s",
		"console_url": r.URL, "console_org_id": consoleOrgID, "credential_id": credentialID,
	}
	for name, value := range more {
		config[name] = value
	}
	s.Write(t, configPath, config)
	s.Write(t, rolePath, vaulttest.Data{"scopes": "openid,AdobeID,firefly_api"})
}

// rotate wants a rotation to succeed, and nothing confidential in its answer.
func (r *rotated) rotate(t *testing.T, s *vaulttest.Server) vaulttest.Data {
	t.Helper()
	answer := s.Write(t, rotatePath, nil)
	r.requireDiscreet(t, answer)
	return answer.Data
}

// refused wants a rotation to be refused, and returns the message.
func (r *rotated) refused(t *testing.T, s *vaulttest.Server, status int) string {
	t.Helper()
	_, err := s.Client(t).Logical().Write(rotatePath, nil)
	requireStatus(t, status, err, "rotate")
	for _, value := range r.confidential() {
		require.NotContains(t, err.Error(), value)
	}
	return err.Error()
}

// requireDiscreet wants an answer to have no lease and nothing confidential in it.
func (r *rotated) requireDiscreet(t *testing.T, answer *api.Secret) {
	t.Helper()
	require.Empty(t, answer.LeaseID)
	text := fmt.Sprint(answer.Data, answer.Warnings)
	for _, value := range r.confidential() {
		require.NotContains(t, text, value)
	}
}

// config reads the config.
func (r *rotated) config(t *testing.T, s *vaulttest.Server) vaulttest.Data {
	t.Helper()
	answer := s.Read(t, configPath)
	r.requireDiscreet(t, answer)
	return answer.Data
}

// requireInOrder wants one or two secrets at Adobe, all of them known to the config, the stored one among
// them and working.
func (r *rotated) requireInOrder(t *testing.T, s *vaulttest.Server) {
	t.Helper()
	config, known := r.config(t, s), []any{}
	for _, field := range []string{"client_secret_uuid", "previous_secret_uuid", "pending_secret_uuid"} {
		if uuid, ok := config[field]; ok {
			known = append(known, uuid)
		}
	}
	uuids := r.uuids()
	require.NotEmpty(t, uuids)
	require.LessOrEqual(t, len(uuids), 2)
	for _, uuid := range uuids {
		require.Contains(t, known, uuid, "a secret at Adobe that the config does not know")
	}
	require.Contains(t, uuids, config["client_secret_uuid"])
	require.NotContains(t, config, "rotation_error")
	r.requireWorks(t, s)
}

// requireWorks proves the stored secret: a write asks IMS with that one alone.
func (r *rotated) requireWorks(t *testing.T, s *vaulttest.Server) {
	t.Helper()
	s.Write(t, configPath, vaulttest.Data{"verify": true})
}

// A rotation shows the new secret to nobody, and ends the token that it managed the secrets with.
func TestRotation(t *testing.T) {
	ims := startRotated(t, emulator.Options{TokenLife: time.Hour})
	vault := vaulttest.Start(t, vaulttest.Options{Audit: true})
	ims.configure(t, vault, nil)
	token, first := readToken(t, vault), ims.uuids()[0]

	answer := ims.rotate(t, vault)
	require.Equal(t, ims.uuids()[1], answer["client_secret_uuid"])
	require.Equal(t, first, answer["previous_secret_uuid"])
	require.Len(t, answer, 3)
	ims.requireInOrder(t, vault)
	require.Equal(t, token, readToken(t, vault), "tokens live on")

	t.Run("again", func(t *testing.T) {
		ims.rotate(t, vault)
		require.NotContains(t, ims.uuids(), first, "the oldest makes room")
		ims.requireInOrder(t, vault)
	})
	t.Run("that cannot be proven", func(t *testing.T) { ims.testUnproven(t, vault) })
	t.Run("whose answer is cut off", func(t *testing.T) { ims.testCutOff(t, vault) })
	t.Run("whose client goes away", func(t *testing.T) { ims.testClientGone(t, vault) })
	t.Run("without a time of grace", func(t *testing.T) {
		vault.Write(t, configPath, vaulttest.Data{"previous_secret_ttl": 0})
		require.Equal(t, []string{ims.rotate(t, vault)["client_secret_uuid"].(string)}, ims.uuids())
		ims.requireInOrder(t, vault)
	})

	require.Zero(t, ims.livingTokens(), "management tokens")
	require.Empty(t, vault.List(t, "sys/leases/lookup/adobeims/config/default/"))
	require.NotEmpty(t, vault.AuditLog())
	vault.RequireNotLogged(t, ims.confidential()...)
}

// testUnproven lets IMS fail as it is to accept the new secret: the old one stays, over a crash too, until
// the next rotation proves the new one.
func (r *rotated) testUnproven(t *testing.T, vault *vaulttest.Server) {
	before := r.config(t, vault)["client_secret_uuid"]
	remove := r.Inject(emulator.Fault{Path: emulator.TokenPath, Status: 503, Match: func(request *http.Request) bool {
		return request.PostForm.Get("scope") == provingScope
	}})
	message := r.refused(t, vault, http.StatusServiceUnavailable)
	require.Contains(t, message, "is not proven yet, so the old one stays in use")
	killPlugin(t, vault)

	config := r.config(t, vault)
	require.Equal(t, before, config["client_secret_uuid"])
	require.Equal(t, r.uuids()[1], config["pending_secret_uuid"])
	require.Contains(t, config["rotation_error"], "not proven yet")
	require.NotEmpty(t, config["rotation_error_time"])
	require.Regexp(t, `\[WARN\].*a rotation of the client secret failed`, vault.Logs())
	remove()
	r.requireWorks(t, vault)
	require.Equal(t, config["pending_secret_uuid"], r.rotate(t, vault)["client_secret_uuid"], "no third one is added")
	r.requireInOrder(t, vault)
}

// testCutOff lets Adobe add a secret whose answer breaks off in the middle of its value.
func (r *rotated) testCutOff(t *testing.T, vault *vaulttest.Server) {
	remove := r.Inject(emulator.Fault{
		Method: http.MethodPost, Path: secretsPath, After: true, Times: 1, Truncate: true, Body: `{"client_secret":"p8e-half-of-a-secret`,
	})
	defer remove()
	message := r.refused(t, vault, http.StatusBadGateway)
	require.NotContains(t, message, "p8e")
	r.rotate(t, vault) // clears up first, and does not wait
	r.requireInOrder(t, vault)
}

// testClientGone lets whoever asked go away as Adobe adds the secret: the rotation goes on.
func (r *rotated) testClientGone(t *testing.T, vault *vaulttest.Server) {
	before := r.config(t, vault)["client_secret_uuid"]
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	defer r.Inject(emulator.Fault{Method: http.MethodPost, Path: secretsPath, Match: func(*http.Request) bool {
		leave()
		return false
	}})()
	_, err := vault.Client(t).Logical().WriteWithContext(ctx, rotatePath, nil)
	require.ErrorIs(t, err, context.Canceled)
	vaulttest.WaitFor(t, 20*time.Second, "the rotation to end", func() error {
		config := r.config(t, vault)
		if config["client_secret_uuid"] == before || r.livingTokens() > 0 {
			return fmt.Errorf("it goes on, or has failed: %v", config["rotation_error"])
		}
		return nil
	})
	r.requireInOrder(t, vault)
	// Whoever asks again gets the outcome that nobody waited for.
	current := r.config(t, vault)["client_secret_uuid"]
	require.Equal(t, current, r.rotate(t, vault)["client_secret_uuid"])
}

// Rotations follow one upon the other while readers read and the plugin is killed again and again, most
// often in the middle of a rotation.
func TestRotationWhileThePluginIsKilled(t *testing.T) {
	t.Run("with a time of grace", func(t *testing.T) { rotateWhileThePluginIsKilled(t, time.Hour) })
	t.Run("without", func(t *testing.T) { rotateWhileThePluginIsKilled(t, 0) })
}

func rotateWhileThePluginIsKilled(t *testing.T, grace time.Duration) {
	const long, latency = 15 * time.Second, 10 * time.Millisecond
	ims := startRotated(t, emulator.Options{TokenLife: time.Hour, Latency: latency})
	vault := vaulttest.Start(t)
	ims.configure(t, vault, vaulttest.Data{"previous_secret_ttl": grace.String()})
	changing := func(turn int) vaulttest.Data {
		return vaulttest.Data{"scopes": fmt.Sprintf("AdobeID,of_turn_%d", turn), "leased": false}
	}
	vault.Write(t, "adobeims/roles/changing", changing(-1))
	vault.Write(t, "adobeims/roles/single", vaulttest.Data{"scopes": "firefly_api", "exclusive": true, "max_ttl": "2s"})

	var readers []*reader
	for i := range 8 {
		every := time.Duration(80+10*i) * time.Millisecond
		readers = append(readers,
			ims.startReader(t, tokenPath, every, vault),
			ims.startReader(t, "adobeims/token/changing", every, vault),
			ims.startReader(t, "adobeims/token/single", 4*every, vault))
	}
	changer := startWriter(t, vault, "adobeims/roles/changing", changing)
	rotator := startWriter(t, vault, rotatePath, func(int) vaulttest.Data { return nil })
	kills := ims.killAgainAndAgain(t, vault, time.Now().Add(long))
	changes, rotations := changer.end(), rotator.end()
	var reads []read
	for _, reader := range readers {
		reads = append(reads, reader.end()...)
	}

	failed := requireFailedAtKills(t, "reads", reads, kills)
	interrupted := requireFailedAtKills(t, "rotations", rotations, kills)
	requireFailedAtKills(t, "writes of a role", changes, kills)
	left := ims.livingTokens()
	t.Logf("%d kills; %d rotations, %d of them interrupted; %d reads by %d readers, %d of them failed at a kill; %d mints; %d management tokens left by killed processes",
		len(kills), len(rotations), interrupted, len(reads), len(readers), failed, ims.mints(), left)
	requireGood(t, reads, kills...)
	require.GreaterOrEqual(t, len(kills), fewestKills)
	require.Greater(t, interrupted, 3)
	require.Greater(t, len(rotations)-interrupted, 3)
	require.LessOrEqual(t, left, len(kills), "a process that was killed could not invalidate its own; no more than one rotates")
	for _, rotation := range answered(rotations) {
		ims.requireDiscreet(t, rotation.answer)
	}

	ims.rotate(t, vault)
	ims.requireInOrder(t, vault)
	require.Equal(t, left, ims.livingTokens(), "of an undisturbed rotation none is left")
	vault.RequireNotLogged(t, ims.confidential()...)
}

const fewestKills = 9

// startWriter writes again and again, as a reader reads.
func startWriter(t *testing.T, vault *vaulttest.Server, path string, data func(turn int) vaulttest.Data) *reader {
	t.Helper()
	client := vault.Client(t)
	writer := &reader{stop: make(chan struct{}), ended: make(chan struct{})}
	t.Cleanup(func() { writer.end() })
	go func() {
		defer close(writer.ended)
		for turn := 0; ; turn++ {
			write := read{sent: time.Now()}
			write.answer, write.err = client.Logical().Write(path, data(turn))
			write.received = time.Now()
			writer.reads = append(writer.reads, write)
			select {
			case <-writer.stop:
				return
			case <-time.After(rand.N(100 * time.Millisecond)):
			}
		}
	}()
	return writer
}

// killAgainAndAgain kills the plugin at random moments, each time once it serves again. On a slow machine
// it takes longer, so that it is killed often enough.
func (r *rotated) killAgainAndAgain(t *testing.T, vault *vaulttest.Server, until time.Time) (kills []span) {
	t.Helper()
	for time.Now().Before(until) || len(kills) < fewestKills && time.Since(until) < time.Minute {
		for range 2 + rand.N(12) { // a rotation has eight steps or nine
			select {
			case <-r.steps:
			case <-time.After(2 * time.Second):
				t.Fatal("nobody rotates")
			}
		}
		time.Sleep(rand.N(15 * time.Millisecond)) // the moment is a random one
		kills = append(kills, killPlugin(t, vault))
	}
	return kills
}

// killPlugin kills the plugin. The span lasts from before that until it serves again.
func killPlugin(t *testing.T, vault *vaulttest.Server) span {
	t.Helper()
	client := vault.Client(t)
	return during(func() {
		vault.KillPlugin(t)
		vaulttest.WaitFor(t, 20*time.Second, "the plugin to serve again", func() error {
			_, err := client.Logical().Read("adobeims/info")
			return err
		})
	})
}

// killed is what Vault answers to a request that was under way as the plugin was killed, or that came
// before Vault had noticed. An internal error is one of its check whether what is written exists.
var killed = regexp.MustCompile(
	`rpc error: code = Unavailable desc = .*(EOF|connection refused|connection reset|broken pipe)|\* (plugin is shut down|internal error)\s`)

// requireFailedAtKills wants the requests that failed to have failed for a kill, and returns how many did.
func requireFailedAtKills(t *testing.T, what string, requests []read, kills []span) (failed int) {
	t.Helper()
	kinds, latest := map[string]int{}, time.Duration(0)
	for _, request := range requests {
		if request.err == nil {
			continue
		}
		failed++
		var answer *api.ResponseError
		require.ErrorAs(t, request.err, &answer)
		require.Equal(t, http.StatusInternalServerError, answer.StatusCode, request.err)
		match := killed.FindStringSubmatch(strings.Join(answer.Errors, " "))
		require.NotNil(t, match, "an error that is not Vault's own: %v", request.err)
		kinds[match[1]+match[2]]++
		at := slices.IndexFunc(kills, request.overlaps)
		require.GreaterOrEqual(t, at, 0, "no kill then: %v", request.err)
		latest = max(latest, request.sent.Sub(kills[at].from))
	}
	t.Logf("%s that failed: %v; the latest was sent %s after a kill", what, kinds, latest)
	return failed
}

// A secret that somebody else added is in the way from the start: the rotation says so, and what to do,
// and changes nothing.
func TestRotationBesideAForeignSecret(t *testing.T) {
	ims := startRotated(t, emulator.Options{TokenLife: time.Hour})
	vault := vaulttest.Start(t)
	ims.configure(t, vault, nil)
	foreign, err := ims.AddSecret(clientID)
	require.NoError(t, err)
	before := ims.uuids()

	refused := func(says ...string) {
		message := ims.refused(t, vault, http.StatusBadRequest)
		for _, text := range append(says, before[1], "Developer Console", "Nothing was changed") {
			require.Contains(t, message, text)
		}
		require.Equal(t, before, ims.uuids())
		require.Contains(t, ims.config(t, vault)["rotation_error"], before[1])
		ims.requireWorks(t, vault)
	}
	refused("write adobeims/config/default client_secret_uuid=", before[0])
	vault.Write(t, configPath, vaulttest.Data{"client_secret_uuid": before[0]})
	refused("2 client secrets already")
	require.NotEmpty(t, readToken(t, vault))

	require.NoError(t, ims.RemoveSecret(clientID, foreign.UUID))
	ims.rotate(t, vault)
	ims.requireInOrder(t, vault)
	require.Zero(t, ims.livingTokens())
}

// The plugin is killed as it asks for a new secret, and somebody else adds one before that is cleared up.
func TestRotationWithAForeignSecretInBetween(t *testing.T) {
	clock := clockwork.NewFakeClockAt(time.Now()) // Adobe's
	ims := startRotated(t, emulator.Options{TokenLife: 24 * time.Hour, Clock: clock})
	vault := vaulttest.Start(t)
	ims.configure(t, vault, nil)
	asked := make(chan struct{})
	remove := ims.Inject(emulator.Fault{Method: http.MethodPost, Path: secretsPath, Hang: true, Match: func(*http.Request) bool {
		close(asked)
		return true
	}})
	client, answered := vault.Client(t), make(chan error)
	go func() {
		_, err := client.Logical().Write(rotatePath, nil)
		answered <- err
	}()
	<-asked
	killPlugin(t, vault)
	require.Regexp(t, killed, <-answered)
	remove()
	require.Len(t, ims.uuids(), 1, "the request never took effect")

	clock.Advance(20 * time.Second)
	foreign, err := ims.AddSecret(clientID)
	require.NoError(t, err)
	require.Contains(t, ims.refused(t, vault, http.StatusBadRequest), foreign.UUID)
	clock.Advance(time.Hour)
	require.Contains(t, ims.refused(t, vault, http.StatusBadRequest), foreign.UUID)
	require.Contains(t, ims.uuids(), foreign.UUID)
	ims.requireWorks(t, vault)

	require.NoError(t, ims.RemoveSecret(clientID, foreign.UUID))
	ims.rotate(t, vault)
	ims.requireInOrder(t, vault)
}

// waitTick waits for the rotation that Vault's tick brings about, once a minute.
func (r *rotated) waitTick(t *testing.T) {
	t.Helper()
	started := time.Now()
	vaulttest.WaitFor(t, 75*time.Second, "the rotation by period", func() error {
		if n := len(r.uuids()); n < 2 {
			return errors.New("there is one secret")
		}
		return nil
	})
	t.Logf("rotated after %s", time.Since(started).Round(time.Second))
}

// waitInOrder waits until a rotation in the background has come to its end.
func (r *rotated) waitInOrder(t *testing.T, s *vaulttest.Server) {
	t.Helper()
	vaulttest.WaitFor(t, 20*time.Second, "the rotation to end", func() error {
		if r.config(t, s)["previous_secret_uuid"] == nil || r.livingTokens() > 0 {
			return errors.New("it goes on")
		}
		return nil
	})
	r.requireInOrder(t, s)
}

// A rotation falls due while Vault is down.
func TestRotationByPeriodAfterARestart(t *testing.T) {
	t.Parallel()
	ims := startRotated(t, emulator.Options{TokenLife: time.Hour})
	vault := vaulttest.Start(t)
	ims.configure(t, vault, vaulttest.Data{"rotation_period": "1m", "previous_secret_ttl": "1m"})
	due, err := time.Parse(time.RFC3339, ims.config(t, vault)["next_rotation_time"].(string))
	require.NoError(t, err)
	vault.Kill()
	time.Sleep(time.Until(due))
	vault.Restart(t)
	require.Len(t, ims.uuids(), 1)

	ims.waitTick(t)
	ims.waitInOrder(t, vault)
	vault.RequireNotLogged(t, ims.confidential()...)
}

// The leader dies before its first tick, and the plugin of the next leader before that of its own.
func TestRotationByPeriodAfterAChangeOfLeader(t *testing.T) {
	t.Parallel()
	ims := startRotated(t, emulator.Options{TokenLife: time.Hour})
	cluster := vaulttest.StartCluster(t)
	leader := cluster.Leader(t)
	ims.configure(t, leader, vaulttest.Data{"rotation_period": "1m", "previous_secret_ttl": "1m"})
	leader.Kill()
	leader = cluster.NewLeader(t, leader)
	token := readToken(t, leader)
	leader.KillPlugin(t)

	ims.waitTick(t)
	ims.waitInOrder(t, leader)
	standby := cluster.Standby(t)
	requireNoPlugin(t, standby)
	require.Equal(t, token, readToken(t, standby))
	adds := 0
	for _, request := range ims.Requests(secretsPath) {
		if request.Method == http.MethodPost {
			adds++
		}
	}
	require.Equal(t, 1, adds, "one node rotates")
	for _, node := range cluster.Nodes {
		node.RequireNotLogged(t, ims.confidential()...)
	}
}

// SPDX-License-Identifier: MPL-2.0

package integrations

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

const (
	clientID     = "cm-p1234-integration-0"
	clientSecret = "p8e-never-to-be-seen"

	// tokenLife is short enough for a token to die in the test, and long enough for
	// the alerts to come before.
	tokenLife = 60 * time.Second
	// minTTL has the token replaced early, which leaves the more life to watch.
	minTTL = "45s"

	// loginTTL is how long Prometheus' token lives: it has to be replaced several
	// times in a test.
	loginTTL = 10 * time.Second
)

// The rule tests are Prometheus' own. Each alert has one in which it fires and one
// in which it is silent.
func TestAlertRules(t *testing.T) {
	run(t, tool("promtool"), "check", "config", "--syntax-only", examples+"prometheus.yml")
	run(t, tool("promtool"), "check", "rules", examples+"alerts.yml")
	run(t, tool("promtool"), "test", "rules", examples+"alerts_test.yml")

	var rules struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	require.NoError(t, yaml.Unmarshal([]byte(example(t, "alerts.yml")), &rules))
	var tests struct {
		Tests []struct {
			Alerts []struct {
				Name     string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(example(t, "alerts_test.yml")), &tests))
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, a := range test.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Expected) > 0
			silent[a.Name] = silent[a.Name] || len(a.Expected) == 0
		}
	}
	for _, rule := range rules.Groups[0].Rules {
		require.True(t, fires[rule.Alert], "%s never fires in a test", rule.Alert)
		require.True(t, silent[rule.Alert], "%s is never silent in a test", rule.Alert)
	}
}

// fixture is Prometheus that scrapes a Vault with a token that an Agent keeps
// alive, all by the examples, and an emulated Adobe behind.
type fixture struct {
	*prometheus
	vault     *vaulttest.Server
	ims       *emulator.Server
	tokenFile string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	ims := emulator.New(emulator.Options{TokenLife: tokenLife})
	ims.AddClient(emulator.Client{ID: clientID, Secrets: []string{clientSecret}})
	imsURL, err := ims.Start("")
	require.NoError(t, err)
	t.Cleanup(ims.Stop)
	vault := vaulttest.Start(t, vaulttest.Options{LogLevel: "info"})
	vault.Write(t, "adobeims/config/default", vaulttest.Data{
		"client_id": clientID, "client_secret": clientSecret, "ims_url": imsURL, "max_retries": 0, "request_timeout": "1s",
	})
	vault.Write(t, "adobeims/roles/firefly", vaulttest.Data{"scopes": "openid", "min_ttl": minTTL, "leased": false})
	vault.Write(t, "adobeims/roles/unread", vaulttest.Data{"scopes": "openid", "verify": false})
	f := &fixture{vault: vault, ims: ims, tokenFile: startAgent(t, vault)}
	f.prometheus = startPrometheus(t, vault.Addr, f.tokenFile)
	return f
}

// startAgent does what the comments of agent.hcl say, with tokens that live for
// seconds, and returns the file in which the Agent keeps one.
func startAgent(t *testing.T, vault *vaulttest.Server) string {
	t.Helper()
	dir := t.TempDir()
	config := example(t, "agent.hcl")
	client := vault.Client(t)
	require.NoError(t, client.Sys().PutPolicy("adobeims-metrics", example(t, "metrics.hcl")))
	vault.Write(t, "sys/auth/approle", vaulttest.Data{"type": "approle"})
	command := regexp.MustCompile(`vault write auth/approle/role/prometheus ((?:.*\\\n#)?.*)\n`).FindStringSubmatch(config)
	require.NotNil(t, command)
	fields := vaulttest.Data{}
	for _, argument := range strings.Fields(strings.NewReplacer("\\", "", "#", "").Replace(command[1])) {
		name, value, _ := strings.Cut(argument, "=")
		fields[name] = value
	}
	require.Equal(t, "1h", fields["token_ttl"])
	fields["token_ttl"], fields["token_max_ttl"] = loginTTL.String(), loginTTL.String()
	vault.Write(t, "auth/approle/role/prometheus", fields)
	for file, id := range map[string]any{
		"vault-role-id":   vault.Read(t, "auth/approle/role/prometheus/role-id").Data["role_id"],
		"vault-secret-id": vault.Write(t, "auth/approle/role/prometheus/secret-id", nil).Data["secret_id"],
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(id.(string)+"\n"), 0o400))
	}
	config = strings.NewReplacer("https://vault.example.com:8200", vault.Addr, "/etc/prometheus", dir, "/run/prometheus", dir).Replace(config)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "agent.hcl"), []byte(config), 0o600))
	start(t, vaultProgram(t), "agent", "-config="+filepath.Join(dir, "agent.hcl"))
	file := filepath.Join(dir, "vault-token")
	vaulttest.WaitFor(t, 20*time.Second, "the Agent to log in", func() error {
		_, err := os.Stat(file)
		return err
	})
	return file
}

// bearer sends a request as curl -H "Authorization: Bearer ..." does.
func (f *fixture) bearer(path string) (status int, contentType, body string) {
	f.t.Helper()
	token, err := os.ReadFile(f.tokenFile)
	require.NoError(f.t, err)
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.vault.Addr+"/v1/"+path, http.NoBody)
	require.NoError(f.t, err)
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	response, err := http.DefaultClient.Do(request)
	require.NoError(f.t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(f.t, err)
	return response.StatusCode, response.Header.Get("Content-Type"), string(text)
}

// read reads the token of the role as an application does.
func (f *fixture) read() (token string, err error) {
	secret, err := f.vault.Client(f.t).Logical().Read("adobeims/token/firefly")
	if err != nil {
		return "", err
	}
	return secret.Data["access_token"].(string), nil
}

// startReader reads the token of the role twice a second until it is ended.
func (f *fixture) startReader() (end func()) {
	stop, ended := make(chan struct{}), make(chan struct{})
	client := f.vault.Client(f.t).Logical()
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second / 2)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_, _ = client.Read("adobeims/token/firefly") // the metrics tell
			}
		}
	}()
	var once sync.Once
	end = func() { once.Do(func() { close(stop); <-ended }) }
	f.t.Cleanup(end)
	return end
}

// waitFiring waits until an alert fires, and returns it.
func (f *fixture) waitFiring(name string, timeout time.Duration) (found alert) {
	f.t.Helper()
	vaulttest.WaitFor(f.t, timeout, name+" to fire", func() error {
		firing, err := f.firing()
		if err != nil {
			return err
		}
		var fires bool
		if found, fires = firing[name]; !fires {
			return fmt.Errorf("these do: %v", firing)
		}
		return nil
	})
	return found
}

func (f *fixture) waitSilent(timeout time.Duration) {
	f.t.Helper()
	vaulttest.WaitFor(f.t, timeout, "all alerts to end", func() error {
		firing, err := f.firing()
		if err == nil && len(firing) > 0 {
			err = fmt.Errorf("these fire: %v", firing)
		}
		return err
	})
}

// An outage of IMS: Prometheus calls while tokens live, and before applications
// notice anything.
func TestOutage(t *testing.T) {
	f := newFixture(t)
	vaulttest.WaitFor(t, 20*time.Second, "a scrape", func() error {
		result, err := f.query(`up{job="adobeims"} == 1`)
		if err == nil && len(result) != 1 {
			err = fmt.Errorf("targets that are up: %d", len(result))
		}
		return err
	})
	f.requireMetricsOnly()
	f.waitSilent(10 * time.Second)
	endReads := f.startReader()
	f.vault.Delete(t, "adobeims/token/firefly") // the outage begins with a new token
	first, err := f.read()
	require.NoError(t, err)
	time.Sleep(6 * time.Second) // in which all is in order, for the picture

	began := time.Now()
	remove := f.ims.Inject(emulator.Fault{Path: emulator.TokenPath, Status: http.StatusServiceUnavailable})
	called := f.waitFiring("AdobeIMSRoleDegraded fireflydefault", 40*time.Second)
	t.Logf("degraded: called %s after the outage began", time.Since(began).Round(time.Second))
	token, err := f.read()
	require.NoError(t, err, "applications have noticed nothing")
	require.Equal(t, first, token)
	require.True(t, f.ims.Valid(token), "it lives")
	require.Equal(t, "adobeims", called.Labels["mount"])
	require.Contains(t, called.Annotations["description"], "vault read adobeims/status/firefly")

	f.waitFiring("AdobeIMSTokenNearEnd fireflydefault", tokenLife)
	token, err = f.read()
	require.NoError(t, err)
	require.True(t, f.ims.Valid(token), "it still lives")
	f.waitFiring("AdobeIMSRoleFailing fireflydefault", tokenLife)
	_, err = f.read()
	require.Error(t, err)
	f.requireDashboard()

	remove()
	over := time.Now()
	vaulttest.WaitFor(t, time.Minute, "a token", func() error { _, err := f.read(); return err })
	f.waitSilent(30 * time.Second)
	time.Sleep(6 * time.Second)
	endReads()
	require.Greater(t, time.Since(began), 3*loginTTL, "the Agent has replaced Prometheus' token")
	up := f.during(`min_over_time(up{job="adobeims"}[1s])`, began, time.Now())
	require.Len(t, up, 1)
	for _, s := range up[0].Values {
		require.Equal(t, "1", s.value, "no scrape failed")
	}
	f.plot(t, os.Getenv("OUTAGE_SVG"), began, over)
}

// requireMetricsOnly wants the token to read the metrics and nothing else.
func (f *fixture) requireMetricsOnly() {
	f.t.Helper()
	status, contentType, text := f.bearer("adobeims/metrics")
	require.Equal(f.t, http.StatusOK, status)
	require.Equal(f.t, "text/plain; version=0.0.4; charset=utf-8", contentType)
	require.Contains(f.t, text, `adobeims_role_state{config="default",role="firefly",state="ready"} 1`)
	require.NotContains(f.t, text, clientSecret)
	for _, path := range []string{
		"adobeims/status/firefly", "adobeims/status?list=true", "adobeims/token/firefly", "adobeims/config/default",
		"adobeims/roles/firefly", "adobeims/info", "auth/token/lookup-self", "sys/metrics",
	} {
		status, _, text := f.bearer(path)
		require.Equal(f.t, http.StatusForbidden, status, "%s: %s", path, text)
	}
}

// requireDashboard wants Prometheus to understand each query of the dashboard, and
// to have an answer to most. What Grafana makes of it is not tried.
func (f *fixture) requireDashboard() {
	f.t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(f.t, json.Unmarshal([]byte(example(f.t, "dashboard.json")), &dashboard))
	variables := strings.NewReplacer("$mount", ".*", "$__rate_interval", "10s")
	// No kill switch is unfinished, no person has authorized a role, no rotation is
	// planned, and no request waits at this moment.
	empty := []string{"uninvalidated", "unrevoked", "authorization_expire", "next_rotation"}
	for _, panel := range dashboard.Panels {
		require.NotEmpty(f.t, panel.Targets, panel.Title)
		for _, target := range panel.Targets {
			result, err := f.query(variables.Replace(target.Expr))
			require.NoError(f.t, err, panel.Title)
			mayBeEmpty := strings.Contains(panel.Title, "Time left")
			for _, name := range empty {
				mayBeEmpty = mayBeEmpty || strings.Contains(target.Expr, name)
			}
			require.True(f.t, mayBeEmpty || len(result) > 0, "%s: no answer to %s", panel.Title, target.Expr)
		}
	}
}

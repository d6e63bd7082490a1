// SPDX-License-Identifier: MPL-2.0

package integrations

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// prometheus is a server that scrapes as examples/monitoring/prometheus.yml says.
type prometheus struct {
	t    *testing.T
	addr string
}

// How much faster than in the examples everything goes.
const (
	scrapeInterval = "1s"
	faster         = 300 // the alerts' "for"
)

// startPrometheus starts a server with the example's configuration, in which the
// addresses, files and intervals are this machine's.
func startPrometheus(t *testing.T, vaultAddr, tokenFile string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	var config map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(example(t, "prometheus.yml")), &config))
	config["global"].(map[string]any)["evaluation_interval"] = scrapeInterval
	job := config["scrape_configs"].([]any)[0].(map[string]any)
	job["scheme"], job["scrape_interval"], job["scrape_timeout"] = "http", scrapeInterval, scrapeInterval
	job["authorization"].(map[string]any)["credentials_file"] = tokenFile
	job["static_configs"].([]any)[0].(map[string]any)["targets"] = []string{strings.TrimPrefix(vaultAddr, "http://")}
	writeYAML(t, filepath.Join(dir, "prometheus.yml"), config)
	writeYAML(t, filepath.Join(dir, "alerts.yml"), fasterRules(t))

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &prometheus{t: t, addr: listener.Addr().String()}
	require.NoError(t, listener.Close())
	start(t, tool("prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.addr, "--log.level=warn")
	return p
}

// fasterRules are the example's alerts, which wait for a part of their time.
func fasterRules(t *testing.T) map[string]any {
	t.Helper()
	var rules map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(example(t, "alerts.yml")), &rules))
	for _, group := range rules["groups"].([]any) {
		for _, rule := range group.(map[string]any)["rules"].([]any) {
			if text, ok := rule.(map[string]any)["for"].(string); ok {
				wait, err := time.ParseDuration(text)
				require.NoError(t, err)
				rule.(map[string]any)["for"] = fmt.Sprintf("%dms", wait.Milliseconds()/faster)
			}
		}
	}
	return rules
}

func writeYAML(t *testing.T, path string, value any) {
	t.Helper()
	text, err := yaml.Marshal(value)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

// get asks the server's API.
func (p *prometheus) get(path string, query url.Values, data any) error {
	response, err := http.Get("http://" + p.addr + "/api/v1/" + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return nil
}

// alert is one as the API has it.
type alert struct {
	Labels      map[string]string
	Annotations map[string]string
	State       string // pending or firing
}

// firing are the alerts that fire, by name; of a role or config if it has one.
func (p *prometheus) firing() (map[string]alert, error) {
	var data struct{ Alerts []alert }
	if err := p.get("alerts", nil, &data); err != nil {
		return nil, err
	}
	firing := map[string]alert{}
	for _, a := range data.Alerts {
		if a.State == "firing" {
			firing[strings.TrimRight(a.Labels["alertname"]+" "+a.Labels["role"]+a.Labels["config"], " ")] = a
		}
	}
	return firing, nil
}

// sample is one value of a series.
type sample struct {
	at    time.Time
	value string
}

func (s *sample) UnmarshalJSON(text []byte) error {
	var seconds float64
	err := json.Unmarshal(text, &[]any{&seconds, &s.value})
	s.at = time.UnixMilli(int64(seconds * 1000))
	return err
}

// series is what a query answers.
type series struct {
	Metric map[string]string
	Value  sample   // of query
	Values []sample // of during
}

// query evaluates an expression now.
func (p *prometheus) query(expression string) (result []series, err error) {
	data := struct{ Result *[]series }{&result}
	err = p.get("query", url.Values{"query": {expression}}, &data)
	return result, err
}

// during evaluates an expression for each second of a time.
func (p *prometheus) during(expression string, from, to time.Time) []series {
	p.t.Helper()
	var result []series
	data := struct{ Result *[]series }{&result}
	seconds := func(at time.Time) string { return fmt.Sprintf("%.3f", float64(at.UnixMilli())/1000) }
	require.NoError(p.t, p.get("query_range", url.Values{
		"query": {expression}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {"1"},
	}, &data))
	return result
}

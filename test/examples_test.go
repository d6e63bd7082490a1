// SPDX-License-Identifier: MPL-2.0

package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

const examples = "../examples/"

// The index names every example, so none is added without a word on how it is tested.
func TestExamplesIndex(t *testing.T) {
	index := example(t, "README.md")
	err := filepath.WalkDir(examples, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Name() != "README.md" {
			name, _ := filepath.Rel(examples, path) // cannot fail below examples
			require.Contains(t, index, "]("+filepath.ToSlash(name)+")")
		}
		return err
	})
	require.NoError(t, err)
}

// example reads a file of the examples.
func example(t *testing.T, name string) string {
	t.Helper()
	contents, err := os.ReadFile(examples + name)
	require.NoError(t, err)
	return string(contents)
}

// Each policy lets its holder do what it is for, and nothing of what the others are for.
func TestExamplePolicies(t *testing.T) {
	ims := startAdobe(t, time.Hour)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)
	vault.Write(t, "adobeims/roles/other", vaulttest.Data{"scopes": "openid"})
	vault.Write(t, "adobeims/roles/single", vaulttest.Data{"scopes": "openid", "exclusive": true})
	shared, exclusive := readToken(t, vault), vault.Read(t, "adobeims/token/single")
	alone := exclusive.Data["access_token"].(string)

	t.Run("reader", func(t *testing.T) {
		attempts(t, vault.ClientWithPolicy(t, example(t, "policies/reader.hcl")), []attempt{
			{"read", tokenPath, nil, done},
			{"write", tokenPath, nil, forbidden},
			{"delete", tokenPath, nil, forbidden},
			{"read", "adobeims/token/other", nil, forbidden},
			{"read", "adobeims/token/firefly2", nil, forbidden},
			{"read", "adobeims/status/firefly", nil, forbidden},
			{"read", rolePath, nil, forbidden},
			{"read", configPath, nil, forbidden},
			{"list", "adobeims/roles", nil, forbidden},
			{"write", "sys/leases/revoke-prefix/adobeims/token/firefly", nil, forbidden},
		})
		require.True(t, ims.Valid(shared))
	})

	t.Run("operator", func(t *testing.T) {
		operator := vault.ClientWithPolicy(t, example(t, "policies/operator.hcl"))
		attempts(t, operator, []attempt{
			{"read", "adobeims/status/firefly", nil, done},
			{"list", "adobeims/roles", nil, done},
			{"read", rolePath, nil, done},
			{"write", "adobeims/roles/mine", vaulttest.Data{"scopes": "openid"}, done},
			{"write", "adobeims/roles/mine", vaulttest.Data{"min_ttl": "10m"}, done},
			{"delete", "adobeims/roles/mine", nil, done},
			{"list", "adobeims/config", nil, done},
			{"read", configPath, nil, done},
			{"read", "adobeims/info", nil, done},

			{"read", tokenPath, nil, forbidden},
			{"write", tokenPath, nil, forbidden},
			{"write", configPath, vaulttest.Data{"allow_management_scopes": true, "verify": false}, forbidden},
			{"write", "adobeims/roles/mine", vaulttest.Data{"scopes": "manage_client_secrets"}, refused},
			{"delete", configPath, nil, forbidden},
			{"write", configPath + "/rotate", nil, forbidden},
			{"read", "adobeims/authorize/firefly", nil, forbidden},
			{"write", "sys/leases/revoke-prefix/auth", nil, forbidden},
			{"write", "sys/leases/revoke-prefix/adobeims", nil, forbidden},
		})
		require.NotContains(t, vault.List(t, "adobeims/roles"), "mine", "deleted, and not written again with such scopes")

		require.True(t, ims.Valid(shared))
		require.True(t, ims.Valid(alone))
		attempts(t, operator, []attempt{
			{"delete", tokenPath, nil, done},
			{"delete", "adobeims/token/single", nil, refused}, // the answer names the next command
			{"write", "sys/leases/revoke-prefix/adobeims/token/single", nil, done},
		})
		require.False(t, ims.Valid(shared), "the kill switch")
		vaulttest.WaitFor(t, 10*time.Second, "the revocation of the exclusive token", func() error {
			if ims.Valid(alone) {
				return errors.New("it is valid")
			}
			return nil
		})
	})

	t.Run("admin", func(t *testing.T) {
		attempts(t, vault.ClientWithPolicy(t, example(t, "policies/admin.hcl")), []attempt{
			{"write", "adobeims/config/mine", vaulttest.Data{
				"client_id": clientID, "client_secret": clientSecret, "ims_url": ims.URL}, done},
			{"write", "adobeims/config/mine", vaulttest.Data{"request_timeout": "5s"}, done},
			{"read", "adobeims/config/mine", nil, done},
			{"list", "adobeims/config", nil, done},
			{"delete", "adobeims/config/mine", nil, done},
			{"list", "adobeims/roles", nil, done},
			{"read", rolePath, nil, done},
			{"read", "adobeims/info", nil, done},
			// The engine's answer, for a credential that is not fit for these, is not the policy's matter.
			{"write", configPath + "/rotate", nil, permitted},
			{"read", "adobeims/authorize/firefly", nil, permitted},
			{"write", "adobeims/authorize/firefly", vaulttest.Data{"code": "c", "state": "s"}, permitted},
			{"delete", "adobeims/authorize/firefly", nil, permitted},

			{"read", tokenPath, nil, forbidden},
			{"delete", tokenPath, nil, forbidden},
			{"write", rolePath, vaulttest.Data{"scopes": "openid"}, forbidden},
			{"delete", rolePath, nil, forbidden},
		})
		require.NotContains(t, vault.List(t, "adobeims/config"), "mine")
	})
}

// attempt is a request and what becomes of it.
type attempt struct {
	operation, path string
	data            vaulttest.Data
	outcome         outcome
}

type outcome string

const (
	done      outcome = "done"
	refused   outcome = "refused by the engine, so not by the policy"
	forbidden outcome = "forbidden by the policy"
	permitted outcome = "anything but forbidden"
)

func attempts(t *testing.T, client *api.Client, list []attempt) {
	t.Helper()
	for _, a := range list {
		var answer *api.Secret
		var err error
		switch a.operation {
		case "read":
			answer, err = client.Logical().Read(a.path)
		case "list":
			answer, err = client.Logical().List(a.path)
		case "write":
			_, err = client.Logical().Write(a.path, a.data)
		case "delete":
			_, err = client.Logical().Delete(a.path)
		}
		what := a.operation + " " + a.path
		switch a.outcome {
		case done:
			require.NoError(t, err, what)
			if a.operation == "read" || a.operation == "list" {
				require.NotNil(t, answer, what)
			}
		case refused:
			requireStatus(t, http.StatusBadRequest, err, what)
		case forbidden:
			requireForbidden(t, err, what)
		case permitted:
			var status *api.ResponseError
			if errors.As(err, &status) {
				require.NotEqual(t, http.StatusForbidden, status.StatusCode, what)
			} else {
				require.NoError(t, err, what)
			}
		}
	}
}

// A Vault Agent with the example's files, but for the address and the directories in them, logs in, writes both
// files and replaces them before the token in them ends.
func TestExampleVaultAgent(t *testing.T) {
	ims := startAdobe(t, 8*time.Second)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir+"/etc", os.DirFS(examples+"vault-agent")))
	config := example(t, "vault-agent/agent.hcl")
	for here, there := range map[string]string{
		"https://vault.example.com:8200": vault.Addr,
		`"/etc/vault-agent/`:             `"` + dir + "/etc/",
		`"/run/adobe/`:                   `"` + dir + "/run/",
	} {
		require.Contains(t, config, here)
		config = strings.ReplaceAll(config, here, there)
	}
	write(t, dir+"/etc/agent.hcl", config)
	giveAppRole(t, vault, dir)
	logs := runAgent(t, dir)

	var env, headers map[string]string
	render := func(until func() bool) {
		t.Helper()
		vaulttest.WaitFor(t, 20*time.Second, "the agent to write both files", func() error {
			env, headers = readEnvironment(dir+"/run/adobe.env"), readHeaders(dir+"/run/headers.json")
			if !until() {
				return fmt.Errorf("they have %d and %d fields; the agent's log:\n%s", len(env), len(headers), logs())
			}
			return nil
		})
		require.Equal(t, "Bearer "+env["ADOBE_ACCESS_TOKEN"], headers["Authorization"], "one token in both")
		require.True(t, ims.Valid(env["ADOBE_ACCESS_TOKEN"]))
		require.Equal(t, clientID, env["ADOBE_CLIENT_ID"])
		require.Equal(t, clientID, headers["x-api-key"])
		_, err := time.Parse(time.RFC3339, env["ADOBE_TOKEN_EXPIRES"])
		require.NoError(t, err)
	}
	render(func() bool { return env != nil && headers != nil })
	require.Equal(t, orgID, env["ADOBE_ORG_ID"])
	require.Equal(t, orgID, headers["x-gw-ims-org-id"])
	for _, file := range []string{"adobe.env", "headers.json"} {
		info, err := os.Stat(dir + "/run/" + file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o640), info.Mode())
	}

	// The next ones have no organisation: the templates do without.
	vault.Write(t, configPath, vaulttest.Data{"org_id": ""})
	first := env["ADOBE_ACCESS_TOKEN"]
	render(func() bool {
		require.True(t, ims.Valid(env["ADOBE_ACCESS_TOKEN"]), "at any time the file has a token that works")
		return env["ADOBE_ACCESS_TOKEN"] != first && headers["Authorization"] != "Bearer "+first
	})
	require.NotContains(t, env, "ADOBE_ORG_ID")
	require.NotContains(t, headers, "x-gw-ims-org-id")
}

// giveAppRole lets the agent log in, with the policy that the example names.
func giveAppRole(t *testing.T, vault *vaulttest.Server, dir string) {
	t.Helper()
	sys := vault.Client(t).Sys()
	require.NoError(t, sys.PutPolicy("firefly-reader", example(t, "policies/reader.hcl")))
	require.NoError(t, sys.EnableAuthWithOptions("approle", &api.EnableAuthOptions{Type: "approle"}))
	vault.Write(t, "auth/approle/role/app", vaulttest.Data{"token_policies": "firefly-reader"})
	id := vault.Read(t, "auth/approle/role/app/role-id").Data["role_id"].(string)
	secret := vault.Write(t, "auth/approle/role/app/secret-id", nil).Data["secret_id"].(string)
	write(t, dir+"/etc/role-id", id)
	write(t, dir+"/etc/secret-id", secret)
}

func write(t *testing.T, file, contents string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, []byte(contents), 0o600))
}

// runAgent runs an agent with the configuration in dir until the test ends, and returns what tells its log.
// vaulttest's own agent has a configuration of its own making.
func runAgent(t *testing.T, dir string) (logs func() string) {
	t.Helper()
	server, err := exec.Command("../scripts/vault.sh").Output()
	require.NoError(t, err)
	log, err := os.Create(dir + "/log")
	require.NoError(t, err)
	defer log.Close()

	// The shell kills the agent when its standard input ends: with the test, or with this process, whatever ends that.
	leash := exec.Command("sh", "-c", `trap "" INT TERM HUP; "$@" & read -r _; kill -9 $!; wait`, "sh",
		strings.TrimSpace(string(server)), "agent", "-config="+dir+"/etc/agent.hcl")
	leash.Stdout, leash.Stderr = log, log
	stdin, err := leash.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, leash.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = leash.Wait() // that it was killed
	})
	return func() string {
		contents, _ := os.ReadFile(log.Name()) // empty if it cannot be read
		return string(contents)
	}
}

// readEnvironment is what a shell has in its environment from the file; nil as long as there is none.
func readEnvironment(file string) map[string]string {
	shell := exec.Command("sh", "-c", `set -e -u -a; . "$1"; env`, "sh", file)
	shell.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := shell.Output()
	if err != nil {
		return nil
	}
	env := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "="); strings.HasPrefix(name, "ADOBE_") {
			env[name] = value
		}
	}
	return env
}

// readHeaders is the object in the file; nil as long as there is none.
func readHeaders(file string) (headers map[string]string) {
	contents, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(contents, &headers) != nil {
		return nil
	}
	return headers
}

// What the manifests below have of the schemas of their custom resources: all other fields are refused. A field
// without omitempty is required, and one with an enum tag has one of its values.
type (
	manifest[Spec any] struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   struct {
			Name      string `yaml:"name"`
			Namespace string `yaml:"namespace"`
		} `yaml:"metadata"`
		Spec Spec `yaml:"spec"`
	}

	// secrets.hashicorp.com/v1beta1
	vsoConnection struct {
		Address         string `yaml:"address"`
		CACertSecretRef string `yaml:"caCertSecretRef,omitempty"`
		SkipTLSVerify   *bool  `yaml:"skipTLSVerify"`
	}
	vsoAuth struct {
		VaultConnectionRef string        `yaml:"vaultConnectionRef,omitempty"`
		Method             string        `yaml:"method,omitempty" enum:"kubernetes jwt appRole aws gcp"`
		Mount              string        `yaml:"mount,omitempty"`
		Kubernetes         vsoKubernetes `yaml:"kubernetes,omitempty"`
	}
	vsoKubernetes struct {
		Role           string   `yaml:"role,omitempty"`
		ServiceAccount string   `yaml:"serviceAccount,omitempty"`
		Audiences      []string `yaml:"audiences,omitempty"`
	}
	vsoDynamicSecret struct {
		VaultAuthRef          string         `yaml:"vaultAuthRef,omitempty"`
		Mount                 string         `yaml:"mount"`
		Path                  string         `yaml:"path"`
		AllowStaticCreds      bool           `yaml:"allowStaticCreds,omitempty"`
		RenewalPercent        int            `yaml:"renewalPercent,omitempty"`
		Destination           vsoDestination `yaml:"destination"`
		RolloutRestartTargets []struct {
			Kind string `yaml:"kind" enum:"Deployment DaemonSet StatefulSet argo.Rollout"`
			Name string `yaml:"name"`
		} `yaml:"rolloutRestartTargets,omitempty"`
	}
	vsoDestination struct {
		Name           string `yaml:"name"`
		Create         bool   `yaml:"create,omitempty"`
		Transformation struct {
			ExcludeRaw bool     `yaml:"excludeRaw,omitempty"`
			Excludes   []string `yaml:"excludes,omitempty"`
			Templates  map[string]struct {
				Text string `yaml:"text"`
			} `yaml:"templates,omitempty"`
		} `yaml:"transformation,omitempty"`
	}

	// generators.external-secrets.io/v1alpha1
	esoDynamicSecret struct {
		Path       string      `yaml:"path"`
		Method     string      `yaml:"method,omitempty"`
		ResultType string      `yaml:"resultType,omitempty" enum:"Data Auth Raw"`
		Provider   esoProvider `yaml:"provider"`
	}
	esoProvider struct {
		Server     string `yaml:"server"`
		CAProvider struct {
			Type string `yaml:"type" enum:"Secret ConfigMap"`
			Name string `yaml:"name"`
			Key  string `yaml:"key,omitempty"`
		} `yaml:"caProvider,omitempty"`
		Auth struct {
			Kubernetes struct {
				MountPath         string `yaml:"mountPath"`
				Role              string `yaml:"role"`
				ServiceAccountRef struct {
					Name      string   `yaml:"name"`
					Audiences []string `yaml:"audiences,omitempty"`
				} `yaml:"serviceAccountRef,omitempty"`
			} `yaml:"kubernetes,omitempty"`
		} `yaml:"auth,omitempty"`
	}

	// external-secrets.io/v1
	esoExternalSecret struct {
		RefreshPolicy   string    `yaml:"refreshPolicy,omitempty" enum:"CreatedOnce Periodic OnChange"`
		RefreshInterval string    `yaml:"refreshInterval,omitempty"`
		Target          esoTarget `yaml:"target,omitempty"`
		DataFrom        []struct {
			SourceRef struct {
				GeneratorRef struct {
					APIVersion string `yaml:"apiVersion,omitempty"`
					Kind       string `yaml:"kind"`
					Name       string `yaml:"name"`
				} `yaml:"generatorRef,omitempty"`
			} `yaml:"sourceRef,omitempty"`
		} `yaml:"dataFrom,omitempty"`
	}
	esoTarget struct {
		Name           string `yaml:"name,omitempty"`
		CreationPolicy string `yaml:"creationPolicy,omitempty" enum:"Owner Orphan Merge None CreateOrMerge"`
		Template       struct {
			EngineVersion string            `yaml:"engineVersion,omitempty" enum:"v2"`
			Data          map[string]string `yaml:"data,omitempty"`
		} `yaml:"template,omitempty"`
	}
)

const adobeNamespace = "adobe-app"

// The manifests are what the Vault Secrets Operator accepts, and what it would read and write by them is right: no
// operator runs here, but its requests and templates do.
func TestExampleVaultSecretsOperator(t *testing.T) {
	documents := manifests(t, "kubernetes/vso.yaml", 4)
	const version = "secrets.hashicorp.com/v1beta1"
	connection := decode[vsoConnection](t, documents[0], version, "VaultConnection")
	auth := decode[vsoAuth](t, documents[1], version, "VaultAuth")
	leased := decode[vsoDynamicSecret](t, documents[2], version, "VaultDynamicSecret")
	fleet := decode[vsoDynamicSecret](t, documents[3], version, "VaultDynamicSecret")
	require.Equal(t, connection.Metadata.Name, auth.Spec.VaultConnectionRef)
	for _, secret := range []vsoDynamicSecret{leased.Spec, fleet.Spec} {
		require.Equal(t, auth.Metadata.Name, secret.VaultAuthRef)
	}

	ims, vault := startKubernetesExample(t)
	want := map[string]string{"x-api-key": clientID, "x-gw-ims-org-id": orgID}

	answer := readLeast(t, vault, leased.Spec.Mount+"/"+leased.Spec.Path)
	require.False(t, leased.Spec.AllowStaticCreds)
	require.NotEmpty(t, answer.LeaseID, "the operator reads again in the course of the lease")
	require.InDelta(t, 86400, answer.LeaseDuration, 60)
	if percent := leased.Spec.RenewalPercent; percent != 0 { // 67 is the default
		require.GreaterOrEqual(t, percent, 50, "a read sooner than that may bring the same token")
	}
	got := render(t, leased.Spec.Destination, answer)
	want["authorization"] = bearer(t, ims, answer)
	require.Equal(t, want, got)
	delete(want, "authorization")

	answer = readLeast(t, vault, fleet.Spec.Mount+"/"+fleet.Spec.Path)
	require.True(t, fleet.Spec.AllowStaticCreds)
	require.Empty(t, answer.LeaseID)
	_, err := time.Parse(time.RFC3339Nano, answer.Data["last_vault_rotation"].(string))
	require.NoError(t, err)
	require.Positive(t, integer(t, answer.Data["rotation_period"]))
	require.InDelta(t, 43200, integer(t, answer.Data["ttl"]), 60, "the operator reads again after that")
	want["Authorization"] = bearer(t, ims, answer)
	var headers map[string]string
	require.NoError(t, json.Unmarshal([]byte(render(t, fleet.Spec.Destination, answer)["headers.json"]), &headers))
	require.Equal(t, want, headers)
}

// The same for the External Secrets Operator. It reads by the clock alone, so a token has to live longer than that.
func TestExampleExternalSecrets(t *testing.T) {
	documents := manifests(t, "kubernetes/eso.yaml", 2)
	generator := decode[esoDynamicSecret](t, documents[0], "generators.external-secrets.io/v1alpha1", "VaultDynamicSecret")
	secret := decode[esoExternalSecret](t, documents[1], "external-secrets.io/v1", "ExternalSecret")
	require.Len(t, secret.Spec.DataFrom, 1)
	reference := secret.Spec.DataFrom[0].SourceRef.GeneratorRef
	require.Equal(t, generator.APIVersion, reference.APIVersion)
	require.Equal(t, generator.Kind, reference.Kind)
	require.Equal(t, generator.Metadata.Name, reference.Name)
	require.Equal(t, "GET", generator.Spec.Method, "which is what the test does")

	ims, vault := startKubernetesExample(t)
	answer := readLeast(t, vault, generator.Spec.Path)
	require.Empty(t, answer.LeaseID, "nobody would end the lease")
	minted, err := time.Parse(time.RFC3339Nano, answer.Data["last_vault_rotation"].(string))
	require.NoError(t, err)
	expires, err := time.Parse(time.RFC3339, answer.Data["expire_time"].(string))
	require.NoError(t, err)
	shortest := expires.Sub(minted) - time.Duration(integer(t, answer.Data["rotation_period"]))*time.Second
	interval, err := time.ParseDuration(secret.Spec.RefreshInterval)
	require.NoError(t, err)
	require.Equal(t, "Periodic", secret.Spec.RefreshPolicy)
	require.Positive(t, interval)
	require.Less(t, interval, shortest/2, "what a token has left to live when it is handed out, and an outage")

	// The operator's templates see strings only; it makes JSON of what is none.
	values := map[string]string{}
	for name, value := range answer.Data {
		text, ok := value.(string)
		if !ok {
			encoded, err := json.Marshal(value)
			require.NoError(t, err)
			text = string(encoded)
		}
		values[name] = text
	}
	got := map[string]string{}
	for name, text := range secret.Spec.Target.Template.Data {
		got[name] = execute(t, text, values)
	}
	require.Equal(t, map[string]string{
		"authorization": bearer(t, ims, answer), "x-api-key": clientID, "x-gw-ims-org-id": orgID,
	}, got)
}

// manifests returns the documents of a file.
func manifests(t *testing.T, name string, count int) []string {
	t.Helper()
	documents := strings.Split(example(t, name), "\n---\n")[1:] // the first one is a comment
	require.Len(t, documents, count)
	return documents
}

// decode refuses what the schema of the custom resource does not have, or what it has and the manifest lacks.
func decode[Spec any](t *testing.T, document, version, kind string) manifest[Spec] {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(document))
	decoder.KnownFields(true)
	var m manifest[Spec]
	require.NoError(t, decoder.Decode(&m), document)
	require.ErrorIs(t, decoder.Decode(&m), io.EOF, "one document")
	requireSchema(t, reflect.ValueOf(m), kind)
	require.Equal(t, version, m.APIVersion)
	require.Equal(t, kind, m.Kind)
	require.Equal(t, adobeNamespace, m.Metadata.Namespace, "they find each other in one namespace only")
	return m
}

func requireSchema(t *testing.T, value reflect.Value, path string) {
	t.Helper()
	switch value.Kind() {
	case reflect.Slice:
		for i := range value.Len() {
			requireSchema(t, value.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.Map:
		for key, item := range value.Seq2() {
			requireSchema(t, item, path+"."+key.String())
		}
	case reflect.Struct:
		for i := range value.NumField() {
			tag := value.Type().Field(i).Tag
			name, options, _ := strings.Cut(tag.Get("yaml"), ",")
			if field := value.Field(i); !field.IsZero() {
				if enum := tag.Get("enum"); enum != "" {
					require.Contains(t, strings.Fields(enum), field.String(), "%s.%s", path, name)
				}
				requireSchema(t, field, path+"."+name)
			} else {
				require.Equal(t, "omitempty", options, "%s.%s is required", path, name)
			}
		}
	}
}

// startKubernetesExample has the roles that the manifests read, the one without leases as their comments say.
func startKubernetesExample(t *testing.T) (*adobe, *vaulttest.Server) {
	t.Helper()
	ims := startAdobe(t, 24*time.Hour)
	vault := vaulttest.Start(t)
	ims.configure(t, vault)
	command := regexp.MustCompile(`(?m)^# +vault write (adobeims/roles/firefly-fleet) (.*)$`)
	var commands [][]string
	for _, file := range []string{"kubernetes/vso.yaml", "kubernetes/eso.yaml"} {
		commands = append(commands, command.FindAllStringSubmatch(example(t, file), -1)...)
	}
	require.Len(t, commands, 2)
	require.Equal(t, commands[0][1:], commands[1][1:], "one role for both")
	fields := vaulttest.Data{}
	for _, argument := range strings.Fields(commands[0][2]) {
		name, value, _ := strings.Cut(argument, "=")
		fields[name] = value
	}
	vault.Write(t, commands[0][1], fields)
	return ims, vault
}

// readLeast reads with the one capability that the README asks for.
func readLeast(t *testing.T, vault *vaulttest.Server, path string) *api.Secret {
	t.Helper()
	client := vault.ClientWithPolicy(t, fmt.Sprintf(`path %q { capabilities = ["read"] }`, path))
	answer, err := client.Logical().Read(path)
	require.NoError(t, err)
	require.NotNil(t, answer)
	return answer
}

func bearer(t *testing.T, ims *adobe, answer *api.Secret) string {
	t.Helper()
	token := answer.Data["access_token"].(string)
	require.True(t, ims.Valid(token))
	return "Bearer " + token
}

// render is the Secret that the Vault Secrets Operator makes of an answer: with its own functions in addition to
// those of Go's templates, which the examples do without.
func render(t *testing.T, destination vsoDestination, answer *api.Secret) map[string]string {
	t.Helper()
	require.True(t, destination.Create)
	require.True(t, destination.Transformation.ExcludeRaw)
	require.Equal(t, []string{".*"}, destination.Transformation.Excludes, "nothing but the templates")
	secret := map[string]string{}
	for name, text := range destination.Transformation.Templates {
		secret[name] = execute(t, text.Text, map[string]any{"Secrets": answer.Data})
	}
	return secret
}

func execute(t *testing.T, text string, data any) string {
	t.Helper()
	parsed, err := template.New("").Option("missingkey=error").Parse(text)
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, parsed.Execute(&out, data))
	return out.String()
}

// Terraform itself only checks the syntax of the example here, and that only if it is installed: the provider is
// not. What the provider would ask of Vault, by the paths and fields in the file, is asked of a real Vault: it is
// accepted, a second plan would find no difference, and it can be destroyed again.
func TestExampleTerraform(t *testing.T) {
	t.Run("syntax", func(t *testing.T) {
		terraform, err := exec.LookPath("terraform")
		if err != nil {
			t.Log("there is no terraform on PATH: the file's form is not checked")
			return
		}
		check := exec.Command(terraform, "fmt", "-check", "-diff", examples+"terraform")
		check.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1")
		out, err := check.CombinedOutput()
		require.NoError(t, err, "%s", out)
	})

	ims := startAdobe(t, 24*time.Hour)
	vault := vaulttest.Start(t)
	client := vault.Client(t)
	require.NoError(t, client.Sys().Unmount(strings.TrimSuffix(vaulttest.Mount, "/"))) // the example mounts it
	blocks := parseTerraform(t, example(t, "terraform/main.tf"), map[string]any{
		"var.client_id": clientID, "var.client_secret": clientSecret, "var.org_id": orgID, "var.ims_url": ims.URL,
	})

	reader := ""
	for _, b := range blocks {
		path, _ := b.arguments["path"].(string)
		switch b.kind {
		case `resource "vault_mount"`:
			require.NoError(t, client.Sys().Mount(path, &api.MountInput{
				Type: b.arguments["type"].(string), Description: b.arguments["description"].(string),
			}))
		case `resource "vault_generic_endpoint"`:
			vault.Write(t, path, b.data)
			require.Equal(t, true, b.arguments["ignore_absent_fields"])
			requireNoDifference(t, vault, b)
		case `resource "vault_policy"`:
			require.NoError(t, client.Sys().PutPolicy(b.arguments["name"].(string), b.arguments["policy"].(string)))
			reader = b.arguments["policy"].(string)
		case `ephemeral "vault_generic_secret"`:
			answer, err := vault.ClientWithPolicy(t, reader).Logical().Read(path)
			require.NoError(t, err)
			require.True(t, ims.Valid(answer.Data["access_token"].(string)))
		}
	}

	// The secret can be taken out of the file later.
	config := blocks[slices.IndexFunc(blocks, func(b block) bool { return b.name == "config" })]
	mints := ims.Count(emulator.TokenPath)
	delete(config.data, "client_secret")
	vault.Write(t, config.arguments["path"].(string), config.data)
	require.Equal(t, mints, ims.Count(emulator.TokenPath), "a write that changes nothing asks nobody")
	requireNoDifference(t, vault, config)

	destroyTerraform(t, vault, blocks)
}

// requireNoDifference compares as the provider does: what the answer does not have, it leaves alone.
func requireNoDifference(t *testing.T, vault *vaulttest.Server, b block) {
	t.Helper()
	answer := vault.Read(t, b.arguments["path"].(string)).Data
	for name, written := range b.data {
		if name == "client_secret" {
			require.NotContains(t, answer, name)
			continue
		}
		require.Contains(t, answer, name)
		want, err := json.Marshal(written)
		require.NoError(t, err)
		got, err := json.Marshal(answer[name])
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got), "%s.%s would differ in every plan", b.name, name)
	}
}

// destroyTerraform deletes what was made, what depends on something before that.
func destroyTerraform(t *testing.T, vault *vaulttest.Server, blocks []block) {
	t.Helper()
	client := vault.Client(t)
	for _, b := range slices.Backward(blocks) {
		path, _ := b.arguments["path"].(string)
		switch b.kind {
		case `resource "vault_generic_endpoint"`:
			for _, dependency := range b.dependsOn {
				_, err := client.Logical().Delete(dependency)
				requireStatus(t, http.StatusBadRequest, err, "without depends_on this could come first")
			}
			vault.Delete(t, path)
		case `resource "vault_policy"`:
			require.NoError(t, client.Sys().DeletePolicy(b.arguments["name"].(string)))
		case `resource "vault_mount"`:
			require.NoError(t, client.Sys().Unmount(path))
		}
	}
	role := slices.IndexFunc(blocks, func(b block) bool { return b.name == "firefly" })
	require.NotEmpty(t, blocks[role].dependsOn)
}

// block is one of the file's resources.
type block struct {
	kind, name string
	arguments  map[string]any
	data       vaulttest.Data // data_json
	dependsOn  []string       // their paths
}

// The arguments of the provider's resources that the example has; a misspelt one is none of them.
var terraformArguments = map[string]string{
	`resource "vault_mount"`:            "path type description",
	`resource "vault_generic_endpoint"`: "path data_json ignore_absent_fields depends_on",
	`resource "vault_policy"`:           "name policy",
	`ephemeral "vault_generic_secret"`:  "path mount_id",
}

var (
	terraformBlock    = regexp.MustCompile(`(?ms)^(\w+(?: "\w+")?)(?: "(\w+)")? \{$(.*?)^\}$`)
	terraformArgument = regexp.MustCompile(
		`(?ms)^  (\w+) += (jsonencode\(\{$.*?^  \}\)$|<<-EOT$.*?^ +EOT$|[^\n]*?)(?: #[^\n]*)?$`)
	terraformField = regexp.MustCompile(`(?m)^    (\w+) += (.*)$`)
	interpolation  = regexp.MustCompile(`\$\{([\w.]+)\}`)
)

// parseTerraform understands the few forms of expressions that the example has, and fails for any other. The
// values are those of variables; those of resources are added in the order of the file.
func parseTerraform(t *testing.T, file string, values map[string]any) []block {
	t.Helper()
	var blocks []block
	for _, match := range terraformBlock.FindAllStringSubmatch(file, -1) {
		if match[1] == "terraform" || strings.HasPrefix(match[1], "variable ") {
			if strings.Contains(match[1], "secret") {
				require.Regexp(t, `sensitive +?= true`, match[3])
			}
			continue
		}
		b := block{kind: match[1], name: match[2], arguments: map[string]any{}}
		known := strings.Fields(terraformArguments[b.kind])
		require.NotEmpty(t, known, "%s is new: let the test know it", b.kind)
		for _, argument := range terraformArgument.FindAllStringSubmatch(match[3], -1) {
			require.Contains(t, known, argument[1], "%s.%s", b.kind, b.name)
			b.set(t, argument[1], argument[2], values)
		}
		_, kind, _ := strings.Cut(strings.ReplaceAll(b.kind, `"`, ""), " ")
		values[kind+"."+b.name+".path"] = b.arguments["path"]
		values[kind+"."+b.name+".id"] = b.arguments["path"]
		blocks = append(blocks, b)
	}
	require.Len(t, blocks, strings.Count(file, "\nresource ")+strings.Count(file, "\nephemeral "))
	return blocks
}

func (b *block) set(t *testing.T, name, expression string, values map[string]any) {
	t.Helper()
	switch {
	case name == "depends_on":
		for reference := range strings.SplitSeq(strings.Trim(expression, "[]"), ", ") {
			require.Contains(t, values, reference+".path")
			b.dependsOn = append(b.dependsOn, values[reference+".path"].(string))
		}
	case strings.HasPrefix(expression, "jsonencode("):
		b.data = vaulttest.Data{}
		for _, field := range terraformField.FindAllStringSubmatch(expression, -1) {
			b.data[field[1]] = evaluate(t, field[2], values)
		}
		require.Len(t, b.data, strings.Count(expression, "\n")-1, "a field on each line: %s", expression)
	case strings.HasPrefix(expression, "<<-EOT"):
		lines := strings.Split(expression, "\n")
		b.arguments[name] = interpolate(t, strings.Join(lines[1:len(lines)-1], "\n"), values)
	default:
		b.arguments[name] = evaluate(t, expression, values)
	}
}

// evaluate knows references and what is JSON as well.
func evaluate(t *testing.T, expression string, values map[string]any) (value any) {
	t.Helper()
	if value, ok := values[expression]; ok {
		return value
	}
	require.NoError(t, json.Unmarshal([]byte(interpolate(t, expression, values)), &value), "%s", expression)
	return value
}

func interpolate(t *testing.T, text string, values map[string]any) string {
	t.Helper()
	return interpolation.ReplaceAllStringFunc(text, func(reference string) string {
		name := interpolation.FindStringSubmatch(reference)[1]
		require.Contains(t, values, name)
		return fmt.Sprint(values[name])
	})
}

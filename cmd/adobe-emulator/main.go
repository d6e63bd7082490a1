// SPDX-License-Identifier: MPL-2.0

// Command adobe-emulator plays Adobe on this machine, for trying the secrets
// engine without an Adobe account: IMS, its sign-in page, and the Developer
// Console's API for client secrets. It prints what it serves and the commands
// that write it into Vault, and stops on SIGINT and SIGTERM. It protects
// nothing; keep it on a loopback address.
//
// Its client secret is in a file, made at the first start, so that a config in
// Vault still fits after a restart. Tokens and what was rotated are forgotten
// at the end.
//
// While it runs it can be made to misbehave:
//
//	EMULATOR=http://127.0.0.1:8280/emulator
//	curl -d '{"path": "/ims/token/*", "status": 503}' $EMULATOR/fault
//	curl -d '{"hang": true}' $EMULATOR/fault
//	curl -X DELETE $EMULATOR/fault
//	curl -d '{"life": "90s"}' $EMULATOR/token-life
//	curl $EMULATOR/counters
//
// POST /emulator/fault adds a fault, as JSON:
//
//	method, path        which requests; left out = any; a path may end in *
//	skip                how many requests pass first
//	times               how often it strikes; left out = until it is removed
//	after               the call takes effect, only its answer is lost
//	status              of the answer
//	code, description   an error in the shape of the endpoint
//	header              an object of headers and their values
//	retry_after         that header
//	body, content_type  an answer sent as it is
//	size                fill body up to that many bytes
//	truncate            break off before the promised end
//	drop                close the connection without an answer
//	hang                no answer, or none after body
//	redirect            to that URL
//
// DELETE /emulator/fault removes all faults, POST /emulator/token-life sets how
// long new access tokens live, and GET /emulator/counters tells for each path
// how many requests there were and the most at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// defaultScopes has those of Firefly Services, those that rotation asks for,
// and a person's.
const defaultScopes = "openid,AdobeID,session,additional_info,read_organizations,firefly_api,ff_apis," +
	"additional_info.projectedProductContext,additional_info.roles,adobeio_api,read_client_secret,manage_client_secrets," +
	"email,profile,offline_access"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "adobe-emulator:", err)
		os.Exit(1)
	}
}

// settings are what the flags say.
type settings struct {
	listen       string
	clientID     string
	secretFile   string
	scopes       string
	tokenLife    time.Duration
	latency      time.Duration
	orgID        string
	redirectURI  string
	consoleOrgID string
	credentialID string
}

func parseFlags(args []string, usage io.Writer) (settings, error) {
	var o settings
	flags := flag.NewFlagSet("adobe-emulator", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8280", "`address` to serve on")
	flags.StringVar(&o.clientID, "client-id", "emulated-client", "client ID of the server-to-server credential")
	flags.StringVar(&o.secretFile, "client-secret-file", "", "`file` of its client secret, made if it is not there "+
		"(default one in the user's cache folder)")
	flags.StringVar(&o.scopes, "scopes", defaultScopes, "`scopes` that it may be granted; none = any")
	flags.DurationVar(&o.tokenLife, "token-life", 24*time.Hour, "how long access tokens live")
	flags.DurationVar(&o.latency, "latency", 0, "time added to every answer")
	flags.StringVar(&o.orgID, "org-id", "0123456789ABCDEF01234567@AdobeOrg", "IMS organisation of the credential")
	flags.StringVar(&o.redirectURI, "redirect-uri", "", "serve an OAuth Web App credential too, with this redirect `URI`")
	flags.StringVar(&o.consoleOrgID, "console-org-id", "23294", "number of the organisation in the Developer Console")
	flags.StringVar(&o.credentialID, "credential-id", "436084", "number of the credential in the Developer Console")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.tokenLife < time.Second {
		return o, errors.New("-token-life must be at least 1s")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	var secret string
	if o.secretFile, secret, err = clientSecret(o.secretFile); err != nil {
		return err
	}
	server := emulator.New(emulator.Options{TokenLife: o.tokenLife, Latency: o.latency})
	o.addClients(server, secret)
	server.EnableControl()
	url, err := server.Start(o.listen)
	if err != nil {
		return err
	}
	defer server.Stop()
	if err := o.describe(stdout, url); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func (o settings) addClients(server *emulator.Server, secret string) {
	scopes := strings.FieldsFunc(o.scopes, func(r rune) bool { return r == ',' || r == ' ' })
	server.AddClient(emulator.Client{
		ID: o.clientID, Secrets: []string{secret}, Scopes: scopes, OrgID: o.orgID,
		ConsoleOrgID: o.consoleOrgID, CredentialID: o.credentialID,
	})
	if o.redirectURI != "" {
		server.AddClient(emulator.Client{
			ID: o.webAppID(), CredentialType: emulator.OAuthWebApp, Secrets: []string{secret}, Scopes: scopes,
			RedirectURIs: []string{o.redirectURI},
		})
	}
}

func (o settings) webAppID() string { return o.clientID + "-web" }

// describe tells what is served at url, as commands that can be copied.
func (o settings) describe(w io.Writer, url string) error {
	scopes := "Any scope is granted."
	if o.scopes != "" {
		scopes = "Scopes other than these are refused: " + o.scopes
	}
	text := fmt.Sprintf(`Emulating Adobe IMS and the Adobe Developer Console at %[1]s
Access tokens live %[2]s. Stop with Ctrl-C.
%[3]s

A server-to-server credential. In Vault, with the engine mounted at adobeims/:

  vault write adobeims/config/default \
      ims_url=%[1]s \
      client_id=%[4]s \
      client_secret=@%[5]s \
      org_id=%[6]s \
      console_url=%[1]s \
      console_org_id=%[7]s \
      credential_id=%[8]s
  vault write adobeims/roles/demo scopes=openid,AdobeID
  vault read adobeims/token/demo
`, url, o.tokenLife, scopes, o.clientID, quote(o.secretFile), o.orgID, o.consoleOrgID, o.credentialID)
	if o.redirectURI != "" {
		text += fmt.Sprintf(`
An OAuth Web App credential, for tokens of a person:

  vault write adobeims/config/web \
      credential_type=oauth_web_app \
      ims_url=%[1]s \
      client_id=%[2]s \
      client_secret=@%[3]s \
      redirect_uri=%[4]s
  vault write adobeims/roles/person config=web scopes=openid,AdobeID,offline_access
  vault write -f adobeims/authorize/person
`, url, o.webAppID(), quote(o.secretFile), o.redirectURI)
	}
	text += fmt.Sprintf(`
To make IMS fail, for instance, and to end that:

  curl -d '{"path": %[1]q, "status": 503}' %[2]s/emulator/fault
  curl -X DELETE %[2]s/emulator/fault
`, emulator.TokenPath, url)
	_, err := io.WriteString(w, text)
	return err
}

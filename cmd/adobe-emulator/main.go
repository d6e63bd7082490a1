// SPDX-License-Identifier: MPL-2.0

// Command adobe-emulator plays Adobe on this machine, for trying the secrets engine without an Adobe account: IMS, its sign-in
// page, and the Developer Console's API for client secrets. It prints what it serves and the values to write into Vault, and stops
// on SIGINT and SIGTERM. It protects nothing; keep it on a loopback address.
//
// While it runs it can be made to misbehave:
//
//	curl -d path=/ims/token/v3 -d status=503 -d retry_after=2 -d times=3 http://127.0.0.1:8280/emulator/fault
//	curl -H 'Content-Type: application/json' -d '{"hang":true}' http://127.0.0.1:8280/emulator/fault
//	curl -X DELETE http://127.0.0.1:8280/emulator/fault
//	curl -d life=90s http://127.0.0.1:8280/emulator/token-life
//	curl http://127.0.0.1:8280/emulator/counters
//
// POST /emulator/fault adds a fault, as a form or as JSON:
//
//	method, path              which requests; left out = any; a path may end in * for any rest
//	times, skip               how often it strikes (0 = until removed), and how many requests pass first
//	after                     the call takes effect, only its answer is lost
//	status, code, description an error answer
//	retry_after               the header of that name
//	body, content_type        an answer sent as it is
//	size, truncate            fill body up to size bytes; break off before the promised end
//	hang, drop                no answer at all, with the connection left open or closed
//	redirect                  to that URL
//
// DELETE /emulator/fault removes all faults, POST /emulator/token-life sets how long new access tokens live, and
// GET /emulator/counters tells for each path how many requests there were and the most at once.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

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
	clientSecret string
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
	flags.StringVar(&o.clientSecret, "client-secret", "", "its client secret (default a random one)")
	flags.DurationVar(&o.tokenLife, "token-life", 24*time.Hour, "how long access tokens live")
	flags.DurationVar(&o.latency, "latency", 0, "time added to every answer")
	flags.StringVar(&o.orgID, "org-id", "0123456789ABCDEF01234567@AdobeOrg", "IMS organization of the credential")
	flags.StringVar(&o.redirectURI, "redirect-uri", "", "serve an OAuth Web App credential too, with this redirect `URI`")
	flags.StringVar(&o.consoleOrgID, "console-org-id", "23294", "number of the organization in the Developer Console")
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
	if o.clientSecret == "" {
		o.clientSecret = rand.Text()
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	server := emulator.New(emulator.Options{TokenLife: o.tokenLife, Latency: o.latency})
	server.AddClient(emulator.Client{
		ID: o.clientID, Secrets: []string{o.clientSecret}, OrgID: o.orgID, ConsoleOrgID: o.consoleOrgID, CredentialID: o.credentialID,
	})
	if o.redirectURI != "" {
		server.AddClient(emulator.Client{
			ID: o.webAppID(), CredentialType: emulator.OAuthWebApp, Secrets: []string{o.clientSecret}, RedirectURIs: []string{o.redirectURI},
		})
	}
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

func (o settings) webAppID() string { return o.clientID + "-web" }

// describe tells what is served at url, as commands that can be copied.
func (o settings) describe(w io.Writer, url string) error {
	text := fmt.Sprintf(`Emulating Adobe IMS and the Adobe Developer Console at %[1]s
Access tokens live %[2]s. Stop with Ctrl-C.

A server-to-server credential, all scopes allowed. In Vault, with the engine mounted at adobeims/:

  vault write adobeims/config/default \
      ims_url=%[1]s \
      client_id=%[3]s \
      client_secret=%[4]s \
      org_id=%[5]s \
      console_url=%[1]s \
      console_org_id=%[6]s \
      credential_id=%[7]s
  vault write adobeims/roles/demo scopes=openid,AdobeID
  vault read adobeims/token/demo
`, url, o.tokenLife, o.clientID, o.clientSecret, o.orgID, o.consoleOrgID, o.credentialID)
	if o.redirectURI != "" {
		text += fmt.Sprintf(`
An OAuth Web App credential, for tokens of a person:

  vault write adobeims/config/web \
      credential_type=oauth_web_app \
      ims_url=%[1]s \
      client_id=%[2]s \
      client_secret=%[3]s \
      redirect_uri=%[4]s
  vault write adobeims/roles/person config=web scopes=openid,AdobeID,offline_access
  vault read adobeims/authorize/person
`, url, o.webAppID(), o.clientSecret, o.redirectURI)
	}
	text += fmt.Sprintf(`
To make IMS fail, for instance, and to end that:

  curl -d path=%[1]s -d status=503 %[2]s/emulator/fault
  curl -X DELETE %[2]s/emulator/fault
`, emulator.TokenPath, url)
	_, err := io.WriteString(w, text)
	return err
}

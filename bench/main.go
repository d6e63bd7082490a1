// SPDX-License-Identifier: MPL-2.0

// Command bench measures the engine inside a real Vault server with integrated
// storage, against the emulator of Adobe: first side by side with an engine that
// answers a constant, the ceiling of what a plugin can reach, then one mount with
// many roles. It is run by `make bench`, on a machine that does nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

const (
	module     = "github.com/adobeims/vault-plugin-secrets-adobeims"
	pluginName = "vault-plugin-secrets-adobeims"
)

type options struct {
	server  string
	clients int
	rounds  int
	round   time.Duration
	roles   int
}

func main() {
	var o options
	flag.IntVar(&o.clients, "clients", 32, "clients that read at the same time")
	flag.IntVar(&o.rounds, "rounds", 6, "rounds of each engine; 0 leaves the comparison out")
	flag.DurationVar(&o.round, "round", 2*time.Second, "length of a round")
	flag.IntVar(&o.roles, "roles", 10000, "roles in one mount; 0 leaves them out")
	flag.Parse()
	if o.clients < 1 || o.rounds < 0 || o.round <= 0 || o.roles < 0 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "bench: there has to be a client and a length of the rounds, and nothing can be negative")
		os.Exit(2)
	}

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	// What VAULT_BIN or PATH names; `make bench` sets it.
	o.server = os.Getenv("VAULT_BIN")
	if o.server == "" {
		o.server = "vault"
	}
	if o.server, err = exec.LookPath(o.server); err != nil {
		return fmt.Errorf("VAULT_BIN has to name a Vault server, see scripts/vault.sh: %w", err)
	}
	version, err := exec.CommandContext(ctx, o.server, "version").Output() //nolint:gosec // a program of the user's choice
	if err != nil {
		return fmt.Errorf("%s version: %w", o.server, err)
	}
	fmt.Printf("%s, %d processors\n", strings.TrimSpace(string(version)), runtime.NumCPU())

	var missed error
	if o.rounds > 0 {
		if err := throughput(ctx, o); errors.Is(err, errMissed) {
			missed = err
		} else if err != nil {
			return err
		}
	}
	if o.roles > 0 {
		if err := manyRoles(ctx, o); err != nil {
			return errors.Join(missed, err)
		}
	}
	return missed
}

// bench is a Vault server with the engine at adobeims/, and the IMS it uses.
type bench struct {
	vault *vault
	ims   *emulator.Server
}

// start starts Vault and IMS, mounts the engine and writes its config.
func start(ctx context.Context, o options) (*bench, error) {
	const id, secret = "cm-p1234-bench-0", "p8e-bench"
	b := &bench{ims: emulator.New(emulator.Options{})}
	b.ims.AddClient(emulator.Client{ID: id, Secrets: []string{secret}})
	url, err := b.ims.Start("")
	if err != nil {
		return nil, err
	}
	if b.vault, err = startVault(ctx, o.server, o.clients); err != nil {
		b.ims.Stop()
		return nil, err
	}
	err = b.vault.mount(ctx, "adobeims", module+"/cmd/"+pluginName)
	if err == nil {
		err = b.vault.write(ctx, "adobeims/config/default", data{
			"client_id": id, "client_secret": secret, "ims_url": url, "org_id": "0123456789ABCDEF01234567@AdobeOrg",
		})
	}
	if err != nil {
		return nil, errors.Join(err, b.stop())
	}
	return b, nil
}

func (b *bench) stop() error {
	b.ims.Stop()
	return b.vault.stop()
}

// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/emulator"
)

// manyRoles measures one mount with many roles, each with a token of its own.
func manyRoles(ctx context.Context, o options) (err error) {
	b, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	before, err := b.pluginMemory(ctx)
	if err != nil {
		return err
	}

	fmt.Printf("%d roles in one mount, clients: %d\n", o.roles, o.clients)
	// Without leases, whose memory is Vault's.
	err = b.forEachRole(o, "write", func(role string) error {
		return b.vault.write(ctx, "adobeims/roles/"+role, data{"scopes": "openid,AdobeID," + role, "leased": false})
	})
	if err != nil {
		return err
	}
	read := func(role string) error { return b.vault.drain(ctx, "adobeims/token/"+role) }
	if err := b.forEachRole(o, "read for the first time", read); err != nil {
		return err
	}
	minted, err := b.pluginMemory(ctx)
	if err != nil {
		return err
	}
	if err := b.forEachRole(o, "read again", read); err != nil {
		return err
	}
	if err := b.vault.write(ctx, "sys/plugins/reload/backend", data{"plugin": pluginName}); err != nil {
		return err
	}
	if err := b.forEachRole(o, "read after a restart of the plugin", read); err != nil {
		return err
	}
	loaded, err := b.pluginMemory(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("  resident memory of the plugin's process: %d KiB empty; %d KiB after the first reads, %.1f KiB for each role;"+
		" %d KiB after the restart, %.1f KiB for each role\n",
		before, minted, float64(minted-before)/float64(o.roles), loaded, float64(loaded-before)/float64(o.roles))
	return nil
}

// forEachRole does the same with all roles, a few at a time, and prints how long
// that took and how often IMS was asked.
func (b *bench) forEachRole(o options, what string, do func(role string) error) error {
	asked, began := b.ims.Count(emulator.TokenPath), time.Now()
	var group errgroup.Group
	group.SetLimit(o.clients)
	for i := range o.roles {
		group.Go(func() error { return do(fmt.Sprintf("role-%05d", i)) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Printf("  %-35s %6.1f s, %d requests to IMS\n", what+":", time.Since(began).Seconds(), b.ims.Count(emulator.TokenPath)-asked)
	return nil
}

// pluginMemory is the resident memory of the plugin's process, in KiB.
func (b *bench) pluginMemory(ctx context.Context) (int, error) {
	pid, err := b.vault.pluginPID(ctx, pluginName)
	if err != nil {
		return 0, err
	}
	out, err := exec.CommandContext(ctx, "ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
	if err != nil {
		return 0, fmt.Errorf("ask for the memory of process %d: %w", pid, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}

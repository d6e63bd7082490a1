// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// target is how much of the ceiling the engine has to reach.
const target = 0.95

var errMissed = errors.New("the target was missed")

// throughput compares the reads a second of this engine with those of one that
// answers a constant.
func throughput(ctx context.Context, o options) (err error) {
	b, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.mountCeiling(ctx); err != nil {
		return err
	}
	fmt.Printf("Reads a second, %d clients, raft storage, %d rounds of %s each; the ratio should be at least %.2f:\n",
		o.clients, o.rounds, o.round, target)
	// The leases come last: they pile up in Vault.
	return errors.Join(b.compare(ctx, "leaseless", o), b.compare(ctx, "leased", o))
}

// mountCeiling mounts the constant engine, which answers what the roles do.
func (b *bench) mountCeiling(ctx context.Context) error {
	answers := data{}
	for _, role := range []string{"leased", "leaseless"} {
		err := b.vault.write(ctx, "adobeims/roles/"+role, data{"scopes": "openid,AdobeID,firefly_api", "leased": role == "leased"})
		if err != nil {
			return err
		}
		if answers[role], err = b.vault.read(ctx, "adobeims/token/"+role); err != nil {
			return err
		}
	}
	encoded, err := json.Marshal(answers)
	if err != nil {
		return err
	}
	return b.vault.mount(ctx, "constant", module+"/bench/constant", "CONSTANT_ANSWERS="+string(encoded))
}

// engine is one of the two that are compared.
type engine struct {
	path    string
	plugin  string
	results []result
}

// result is what a round has shown.
type result struct {
	rate   float64       // reads a second
	server time.Duration // processor time of Vault for each read
	plugin time.Duration // that of the plugin
}

// compare lets the engines take turns in short rounds, since a machine is not
// equally fast all the time, and goes by the ratio within each pair of rounds.
func (b *bench) compare(ctx context.Context, role string, o options) error {
	engines := [2]*engine{
		{path: "adobeims/token/" + role, plugin: pluginName},
		{path: "constant/" + role, plugin: "constant"},
	}
	for round := range o.rounds + 1 {
		for turn := range engines {
			e := engines[(round+turn)%2] // each is the first one every other time
			r, err := b.vault.readRound(ctx, e, o)
			if err != nil {
				return err
			}
			if round > 0 { // the first one is to warm up
				e.results = append(e.results, r)
			}
		}
	}
	return report(role, engines[0].results, engines[1].results)
}

func report(role string, ours, ceiling []result) error {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i].rate / ceiling[i].rate
	}
	ratio := median(ratios)
	fmt.Printf("  %-9s  this engine %.0f, constant %.0f; ratio %.3f (from %.3f to %.3f)\n", role,
		medianOf(ours, result.reads), medianOf(ceiling, result.reads), ratio, slices.Min(ratios), slices.Max(ratios))
	if ours[0].server > 0 {
		fmt.Printf("  %-9s  processor time of a read in µs: this engine %.0f in Vault + %.0f in the plugin, constant %.0f + %.0f\n", "",
			medianOf(ours, result.serverMicros), medianOf(ours, result.pluginMicros),
			medianOf(ceiling, result.serverMicros), medianOf(ceiling, result.pluginMicros))
	}
	if ratio < target {
		return fmt.Errorf("%s: the ratio is %.3f and should be at least %.2f: %w", role, ratio, target, errMissed)
	}
	return nil
}

func (r result) reads() float64        { return r.rate }
func (r result) serverMicros() float64 { return float64(r.server) / float64(time.Microsecond) }
func (r result) pluginMicros() float64 { return float64(r.plugin) / float64(time.Microsecond) }

// readRound has all clients read for the length of a round.
func (v *vault) readRound(ctx context.Context, e *engine, o options) (result, error) {
	plugin, err := v.pluginPID(ctx, e.plugin)
	if err != nil {
		return result{}, err
	}
	server := v.process.Process.Pid
	serverBefore, pluginBefore := processorTime(server), processorTime(plugin)
	began := time.Now()
	var reads atomic.Int64
	var group errgroup.Group
	for range o.clients {
		group.Go(func() error {
			for time.Since(began) < o.round {
				if err := v.drain(ctx, e.path); err != nil {
					return err
				}
				reads.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return result{}, err
	}
	elapsed, n := time.Since(began), max(reads.Load(), 1)
	return result{
		rate:   float64(n) / elapsed.Seconds(),
		server: (processorTime(server) - serverBefore) / time.Duration(n),
		plugin: (processorTime(plugin) - pluginBefore) / time.Duration(n),
	}, nil
}

// processorTime is what a process has used up so far: 0 where there is no Linux
// to tell. It says more than the rate on a machine that is busy otherwise.
func processorTime(pid int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// Behind the program's name, in parentheses, utime and stime are the 12th and
	// the 13th field, in hundredths of a second.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, errUser := strconv.Atoi(string(fields[11]))
	system, errSystem := strconv.Atoi(string(fields[12]))
	if errUser != nil || errSystem != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// drain reads a secret and does no more than a client has to.
func (v *vault) drain(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.address+"/v1/"+path, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", v.token)
	resp, err := v.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func medianOf(results []result, value func(result) float64) float64 {
	values := make([]float64, len(results))
	for i, r := range results {
		values[i] = value(r)
	}
	return median(values)
}

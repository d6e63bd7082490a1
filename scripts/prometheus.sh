#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Prints the directory of the programs prometheus and promtool for `make test-integrations`: the first of
#
#   1. $PROMETHEUS_DIR
#   2. that of prometheus on PATH, with promtool beside it
#   3. the one this script built earlier
#   4. the one it builds now, at the version that test/prometheus/go.mod names
#
# Everything but the path goes to stderr.
set -euo pipefail

module=$(cd "$(dirname "${BASH_SOURCE[0]}")/../test/prometheus" && pwd)
package=github.com/prometheus/prometheus
version=$(sed -n "s|^[[:space:]]*${package} \(v[^[:space:]]*\).*|\1|p" "$module/go.mod" | head -n 1)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vault-plugin-secrets-adobeims
dir=$cache/prometheus-${version#v}
scratch=
started=$(date +%s)

say() { printf 'prometheus.sh: %s\n' "$*" >&2; }
runs() { [ -d "$1" ] && "$1/prometheus" --version >/dev/null 2>&1 && "$1/promtool" --version >/dev/null 2>&1; }
compiled() { grep -vc '^go: ' "$scratch/log" || true; }

found() {
  printf '%s\n' "$1"
  exit 0
}

# cleanup ends the build too, where this script is interrupted.
# shellcheck disable=SC2317 # called through a trap
cleanup() {
  local jobs
  jobs=$(jobs -p)
  # shellcheck disable=SC2086 # a list of process ids
  if [ -n "$jobs" ]; then kill $jobs 2>/dev/null || true; fi
  if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
}

# build renames what it built into place, so that two builds at once do no harm.
build() {
  local seconds=0
  mkdir -p "$cache"
  scratch=$(mktemp -d "$cache/prometheus-build.XXXXXX")
  mkdir "$scratch/bin"
  say "no prometheus found in PROMETHEUS_DIR or on PATH: building $version once, into $dir"
  say "this downloads up to 400 MB (about 180 Go modules) and takes about 6 minutes on two cores"
  # The tag leaves out the clouds' service discovery. The web interface is left out too: it is no part of the module.
  (cd "$module" && exec go build -v -tags netgo,remove_all_sd -o "$scratch/bin/" "$package/cmd/prometheus" "$package/cmd/promtool") \
    >"$scratch/log" 2>&1 &
  while kill -0 $! 2>/dev/null; do
    sleep 1
    seconds=$((seconds + 1))
    if [ $((seconds % 15)) -eq 0 ]; then say "$(($(date +%s) - started)) s, $(compiled) packages compiled"; fi
  done
  if ! wait $! || ! runs "$scratch/bin"; then
    say "the build failed. The end of what go said:"
    tail -n 20 "$scratch/log" >&2
    say "Install Prometheus and put it on PATH, or name its directory in PROMETHEUS_DIR."
    exit 1
  fi
  rm -rf "$dir"
  mv "$scratch/bin" "$dir"
  say "$(($(date +%s) - started)) s, done: $dir"
}

if [ -n "${PROMETHEUS_DIR:-}" ]; then
  if ! runs "$PROMETHEUS_DIR"; then
    say "PROMETHEUS_DIR is $PROMETHEUS_DIR, and that has no prometheus and promtool that run"
    exit 1
  fi
  found "$(cd "$PROMETHEUS_DIR" && pwd)"
fi
if path=$(type -P prometheus) && path=$(dirname "$(realpath "$path")"); then
  if runs "$path"; then found "$path"; fi
  say "$path has no prometheus and promtool that run, passing it over"
fi
if runs "$dir"; then found "$dir"; fi
if [ -z "$version" ]; then
  say "found no version of $package in $module/go.mod"
  exit 1
fi
trap cleanup EXIT
trap 'exit 130' INT TERM
build
found "$dir"

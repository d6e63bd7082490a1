#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Prints the path of a Vault server binary for the tests and the demo: the first of
#
#   1. $VAULT_BIN: any release of Vault, or OpenBao's bao
#   2. vault on PATH
#   3. the one this script built earlier
#   4. the one it builds now, at the version that test/vault/go.mod names
#
# Everything but the path goes to stderr.
#
# Vault is under the Business Source License: what is built here is a tool for this machine, which
# is never redistributed with the plugin and never linked into it. Hence a Go module of its own.
#
# shellcheck disable=SC2317 # functions called through a trap or a variable
set -euo pipefail

module=$(cd "$(dirname "${BASH_SOURCE[0]}")/../test/vault" && pwd)
package=github.com/hashicorp/vault
version=$(sed -n "s|^[[:space:]]*${package} \(v[^[:space:]]*\).*|\1|p" "$module/go.mod" | head -n 1)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/vault-plugin-secrets-adobeims/vault-${version#v}
binary=$dir/vault
lock=$dir/lock
scratch=
started=$(date +%s)

say() { printf 'vault.sh: %s\n' "$*" >&2; }
runs() { "$1" version >/dev/null 2>&1; }
elapsed() {
  local s=$(($(date +%s) - started))
  printf '%d:%02d' $((s / 60)) $((s % 60))
}

found() {
  printf '%s\n' "$1"
  exit 0
}

cleanup() {
  local jobs
  jobs=$(jobs -p)
  # shellcheck disable=SC2086 # a list of process ids
  if [ -n "$jobs" ]; then kill $jobs 2>/dev/null || true; fi
  if [ -n "$scratch" ]; then
    rm -rf "$scratch"
    rm -f "$lock"
  fi
}

# take_lock lets one build run at a time. It only saves work: a finished binary is renamed into
# place, so even two builds at once could do no harm. Returns 1 if another build finished meanwhile.
take_lock() {
  local owner='' told=''
  until (set -C && echo $$ >"$lock") 2>/dev/null; do
    owner=$(cat "$lock" 2>/dev/null || true)
    if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
      rm -f "$lock" # left by a build that was killed
      continue
    fi
    if [ -z "$told" ]; then say "another build of it is under way (process $owner), waiting for that"; fi
    told=yes
    sleep 2
    if [ -x "$binary" ]; then return 1; fi
  done
  scratch=$(mktemp -d "$dir/build.XXXXXX")
}

# watch PID WHAT COUNTER [TOTAL]: says every 15 seconds how far it is, until process PID ends.
watch() {
  local pid=$1 what=$2 counter=$3 total=${4:-} tick=0
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    tick=$((tick + 1))
    if [ $((tick % 15)) -eq 0 ]; then say "$(elapsed)  $($counter)${total:+ of $total} $what"; fi
  done
  wait "$pid"
}

downloaded() { grep -c '^go: downloading' "$scratch/log" || true; }
compiled() { grep -vc '^go: ' "$scratch/log" || true; }

failed() {
  say "$1. The end of what go said:"
  tail -n 20 "$scratch/log" >&2
  say "No vault could be built. Install one and put it on PATH, or name it in VAULT_BIN."
  exit 1
}

build() {
  cd "$module"
  # The tag leaves out the storage, login and secret plugins of the clouds: half of the code.
  say "no vault found in VAULT_BIN or on PATH: building Vault $version once, into $dir"
  say "this downloads up to 500 MB (362 Go modules) and takes about 5 minutes on two cores"
  go list -deps -tags minimal -f '{{if .Stale}}{{.ImportPath}}{{end}}' "$package" \
    >"$scratch/stale" 2>"$scratch/log" &
  watch $! 'modules downloaded' downloaded || failed 'Downloading the sources of Vault failed'

  local total
  total=$(grep -c . "$scratch/stale" || true)
  say "$(elapsed)  sources are there; $total packages to compile"
  : >"$scratch/log"
  go build -v -tags minimal -o "$scratch/vault" "$package" >"$scratch/log" 2>&1 &
  watch $! 'packages compiled' compiled "$total" || failed 'Compiling Vault failed'

  runs "$scratch/vault" || failed 'The vault just built does not run'
  mv -f "$scratch/vault" "$binary"
  say "$(elapsed)  done: $binary"
}

if [ -n "${VAULT_BIN:-}" ]; then
  # An absolute path, for callers in other directories.
  if ! path=$(type -P "$VAULT_BIN") || ! runs "$path"; then
    say "VAULT_BIN is $VAULT_BIN, and that is no program that runs with the argument 'version'"
    exit 1
  fi
  found "$(cd "$(dirname "$path")" && pwd)/$(basename "$path")"
fi
if path=$(type -P vault); then
  if runs "$path"; then found "$path"; fi
  say "$path does not run, passing it over"
fi
if [ -x "$binary" ]; then found "$binary"; fi

if [ -z "$version" ]; then
  say "found no version of $package in $module/go.mod"
  exit 1
fi
mkdir -p "$dir"
trap cleanup EXIT
trap 'exit 130' INT TERM
if take_lock; then build; fi
found "$binary"

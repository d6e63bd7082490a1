#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Starts a Vault development server with the plugin and an emulated Adobe, writes a config and a role,
# reads a token, and stays running to be tried out. Ctrl-C stops everything and leaves nothing behind.
#
# Environment:
#   VAULT_BIN      the Vault or OpenBao binary to use; see scripts/vault.sh
#   DEMO_PORT      Vault's port; by default 8200, or the next one that is free
#   DEMO_EXIT=1    stop after the first token, for scripts
#
#   ADOBE_CLIENT_ID, ADOBE_CLIENT_SECRET, ADOBE_SCOPES
#                  a server-to-server credential of the Adobe Developer Console: with these three set,
#                  Vault talks to Adobe instead of the emulator
#   ADOBE_IMS_URL  another address of Adobe IMS than the usual one
#
# shellcheck disable=SC2317 # functions called through a trap
set -euo pipefail
umask=$(umask) # what is built is for whoever may see the checkout
umask 077

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
plugin='vault-plugin-secrets-adobeims'
server=
emulator=
work=$(cd "$(mktemp -d "${TMPDIR:-/tmp}/adobeims-demo.XXXXXX")" && pwd -P)

bold='' dim='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'; fi

note() { printf '%s# %s%s\n' "$dim" "$*" "$plain"; }
die() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}

# run prints a command as a person would type it, and runs it.
run() {
  printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"
  local program=$1
  shift
  "$(dirname "$vault")/$program" "$@"
}

cleanup() {
  trap '' INT TERM HUP # once is enough
  local pid
  for pid in $server $emulator; do kill "$pid" 2>/dev/null || true; done
  for pid in $server $emulator; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}

interrupted() {
  printf '\nStopping.\n'
  exit 0
}

busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port FIRST: the first port from there on that nobody listens on.
free_port() {
  local port
  for ((port = $1; port < $1 + 80; port++)); do
    if ! busy "$port"; then
      echo "$port"
      return
    fi
  done
  die "no port from $1 to $port is free"
}

# await PID LOG COMMAND...: waits until the command succeeds, as long as the process lives.
await() {
  local pid=$1 log=$2 tries
  shift 2
  for ((tries = 0; tries < 300; tries++)); do
    if "$@" >/dev/null 2>&1; then return; fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$log" >&2
  die "it did not start; above is the end of what it said"
}

checksum() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# choose_adobe decides between Adobe and the emulator, and takes the secret out of the environment, so
# that no other program inherits it.
choose_adobe() {
  real=${ADOBE_CLIENT_ID:+1}${ADOBE_CLIENT_SECRET:+1}${ADOBE_SCOPES:+1}
  case $real in
    111)
      client_id=$ADOBE_CLIENT_ID client_secret=$ADOBE_CLIENT_SECRET
      scopes=$(printf '%s' "$ADOBE_SCOPES" | tr -s ', \t' ',') # either way of writing them will do
      ims_url=${ADOBE_IMS_URL:-https://ims-na1.adobelogin.com}
      ;;
    '')
      client_id=demo-client client_secret=demo-secret scopes=openid,AdobeID,firefly_api
      ims_url=
      ;;
    *) die "to talk to Adobe, set all of ADOBE_CLIENT_ID, ADOBE_CLIENT_SECRET and ADOBE_SCOPES" ;;
  esac
  # A file, since everybody on the machine can see what is on command lines.
  printf '%s' "$client_secret" >"$work/client-secret"
  unset client_secret ADOBE_CLIENT_SECRET
}

start_emulator() {
  local port
  port=$(free_port 8280)
  ims_url=http://127.0.0.1:$port
  "$work/adobe-emulator" -listen "127.0.0.1:$port" -client-id "$client_id" \
    -client-secret-file "$work/client-secret" >"$work/emulator.log" 2>&1 &
  emulator=$!
  await "$emulator" "$work/emulator.log" busy "$port"
}

start_vault() {
  local port variable
  port=${DEMO_PORT:-$(free_port 8200)}
  case $port in '' | *[!0-9]*) die "DEMO_PORT=$port is not a port number" ;; esac
  if busy "$port"; then die "port $port is in use; set DEMO_PORT to another one, or unset it to have a free one taken"; fi
  # What is set for another Vault must not reach this one.
  for variable in $(compgen -e); do
    case $variable in
      VAULT_LICENSE*) ;;
      VAULT_* | BAO_*) unset "$variable" ;;
    esac
  done
  token=root
  if [ -n "$real" ]; then token=$(od -An -N 16 -t x1 /dev/urandom | tr -d ' \n'); fi
  printf 'plugin_directory = "%s"\n' "$work/plugins" >"$work/vault.hcl"
  TMPDIR=$work VAULT_DEV_ROOT_TOKEN_ID=$token BAO_DEV_ROOT_TOKEN_ID=$token \
    "$vault" server -dev -dev-no-store-token -dev-listen-address="127.0.0.1:$port" \
    -config="$work/vault.hcl" >"$work/vault.log" 2>&1 &
  server=$!
  export VAULT_ADDR=http://127.0.0.1:$port VAULT_TOKEN=$token
  await "$server" "$work/vault.log" "$vault" status
}

first_token() {
  note "A Vault development server is running at $VAULT_ADDR. It learns about the plugin by its checksum:"
  run "$cli" plugin register -sha256="$(checksum "$work/plugins/$plugin")" secret "$plugin"
  run "$cli" secrets enable -path=adobeims "$plugin"
  echo
  note "A credential of the Adobe Developer Console${real:+, that Vault tries out at $ims_url}:"
  run "$cli" write adobeims/config/default client_id="$client_id" client_secret=@"$work/client-secret" ims_url="$ims_url"
  run "$cli" write adobeims/roles/firefly scopes="$scopes"
  echo
  note "And this is all that an application does:"
  run "$cli" read adobeims/token/firefly | sed 's/^\(access_token  *.\{12\}\).*/\1... (shortened by this script)/'
}

what_next() {
  local path=''
  if [ "$(type -P "$cli" || true)" != "$vault" ]; then path=" PATH=\"$(dirname "$vault"):\$PATH\""; fi
  cat <<TEXT

${bold}Vault is running. To go on in another terminal:${plain}

  export VAULT_ADDR=$VAULT_ADDR VAULT_TOKEN=$VAULT_TOKEN$path

  $cli read adobeims/token/firefly        # the same token again: Adobe is not asked
  $cli read adobeims/status/firefly       # when it was obtained, and when it will be replaced
  $cli delete adobeims/token/firefly      # the kill switch: Adobe no longer accepts it
  $cli path-help adobeims                 # everything there is

  $cli write adobeims/roles/single scopes=$scopes exclusive=true
  $cli read adobeims/token/single         # a token for one reader, that ends with its lease
  $cli lease revoke -prefix adobeims/token/single
TEXT
  if [ -z "$real" ]; then
    cat <<TEXT

Make Adobe fail, and see that readers are served as long as a token lives (90 seconds here):

  curl -d '{"life":"90s"}' $ims_url/emulator/token-life
  $cli delete adobeims/token/firefly && $cli read adobeims/token/firefly
  curl -d '{"path":"/ims/token/v3","status":503}' $ims_url/emulator/fault
  sleep 45; $cli read adobeims/token/firefly    # the token still works, and a warning says why it is not newer

Let Adobe work again, and read the next token. It takes the engine a few seconds to ask again:

  curl -X DELETE $ims_url/emulator/fault
  sleep 20; $cli read adobeims/token/firefly    # another token, and no warning
  curl -d '{"life":"24h"}' $ims_url/emulator/token-life

  curl $ims_url/emulator/counters               # what Adobe was asked so far
TEXT
  fi
  printf '\nThe logs are in %s\n\n%sCtrl-C stops everything.%s\n' "$work" "$bold" "$plain"
}

trap cleanup EXIT
trap interrupted INT TERM HUP

vault=$("$root/scripts/vault.sh")
cli=$(basename "$vault")
choose_adobe

note "Building the plugin"
(umask "$umask" && make -s --no-print-directory -C "$root" build)
mkdir "$work/plugins"
cp "$root/bin/$plugin" "$work/plugins/"
if [ -z "$real" ]; then
  (cd "$root" && go build -o "$work/adobe-emulator" ./cmd/adobe-emulator)
  start_emulator
fi
start_vault
first_token
if [ -n "${DEMO_EXIT:-}" ]; then exit 0; fi
what_next
# A trap runs during wait, not during a program in the foreground.
wait "$server" || true
tail -n 20 "$work/vault.log" >&2
die "Vault has ended; above is the end of its log"

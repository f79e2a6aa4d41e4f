#!/bin/sh
# make fuzz: every target (or TARGET) for SECONDS each under libFuzzer, and a table of what ran. Works on the stable toolchain: rustc's
# own coverage pass is asked for by name, and libFuzzer comes with the crate libfuzzer-sys. There is no address sanitizer: `unsafe` is
# denied in what is fuzzed, so a wrong index is a panic.
set -eu
cd "$(dirname "$0")"
seconds=${SECONDS_EACH:-60}
out=${CARGO_TARGET_DIR:-../../target}/fuzz
mkdir -p "$out/corpus" "$out/log" artifacts
out=$(cd "$out" && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')

# With --target the flags reach what is fuzzed and not build scripts.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
	${CARGO:-cargo} build --quiet --locked --release --target "$host" --target-dir "$out/build"
program=$out/build/$host/release/fuzz

failed=0
printf '| Target | Executions | a second | Edges | Corpus | Crashes |\n|---|---|---|---|---|---|\n'
for target in ${TARGET:-$(ls corpus)}; do
	[ -d "corpus/$target" ] || { echo "no corpus/$target: a target is one of $(ls corpus | tr '\n' ' ')" >&2; exit 64; }
	mkdir -p "$out/corpus/$target"
	log=$out/log/$target.log
	status=0
	# What is found is kept outside the tree; the seeds are only read. Lengths grow from short ones, as long as they find something.
	FUZZ_TARGET=$target ${FUZZ_UNDER:-} "$program" "$out/corpus/$target" "corpus/$target" -max_total_time="$seconds" \
		-max_len="${MAX_LEN:-16384}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 \
		-artifact_prefix="artifacts/$target-" >"$log" 2>&1 || status=$?
	stat() { sed -n "s/^stat::$1: *//p" "$log"; }
	edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
	kept=$(ls "$out/corpus/$target" | wc -l)
	crashes=0
	[ "$status" = 0 ] || { crashes=1; failed=1; }
	printf '| %s | %s | %s | %s | %s | %s |\n' "$target" "$(stat number_of_executed_units)" \
		"$(stat average_exec_per_sec)" "$edges" "$kept" "$crashes"
	[ "$status" = 0 ] || { echo; tail -n 30 "$log"; echo "the input is in proto/fuzz/artifacts; with its cure it becomes a seed in corpus/$target"; } >&2
done
exit $failed

#!/usr/bin/env bash
# Counts the instructions of the main ways of a request, with callgrind, and prints them as a table.
#
#   benches/instructions.sh                          prints the table
#   benches/instructions.sh > benches/instructions.txt     keeps it
#   benches/instructions.sh | diff benches/instructions.txt -   compares
#
# Needs valgrind (Debian: apt-get install valgrind). The counts are the same on each run of one binary; another
# compiler, another processor or another version of a dependency moves them a little.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "valgrind is not installed: apt-get install valgrind" >&2; exit 1; }

binary=$(cargo bench -p benches --no-run --bench instructions --message-format=json 2>/dev/null |
  grep '"name":"instructions"' | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
[ -n "$binary" ] || { echo "the benchmark does not compile: cargo bench -p benches --no-run --bench instructions" >&2; exit 1; }

count=1000
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# Instructions of one request.
instructions() {
  valgrind --tool=callgrind --callgrind-out-file="$out" --collect-atstart=no \
    --toggle-collect='instructions::measured*' "$binary" "$1" "$count" >/dev/null 2>&1
  awk -v count="$count" '/^(summary|totals):/ { printf "%d", $2 / count; exit }' "$out"
}

"$binary" | {
  bare=""
  printf '%-40s %12s %8s\n' "request" "instructions" "ratio"
  while read -r name; do
    found=$(instructions "$name")
    bare=${bare:-$found}
    printf '%-40s %12d %8s\n' "$name" "$found" "$(awk -v a="$found" -v b="$bare" 'BEGIN { printf "%.2f", a / b }')"
  done
}

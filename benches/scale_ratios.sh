#!/usr/bin/env bash
# Prints the benchmark of what grows as ratios to its smallest size, from what the last run left in target/criterion.
#
#   cargo bench -p benches --bench scale && benches/scale_ratios.sh
set -euo pipefail
cd "$(dirname "$0")/.."
criterion="${CARGO_TARGET_DIR:-target}/criterion"
[ -d "$criterion/remembered tokens" ] || {
  echo "run first: cargo bench -p benches --bench scale" >&2
  exit 1
}

# The median of one benchmark in nanoseconds.
median() {
  sed 's/.*"median":{"confidence_interval":{[^}]*},"point_estimate":\([0-9.]*\).*/\1/' \
    "$criterion/$1/new/estimates.json"
}

# A table: its group, what its columns count, the columns, and its rows, each in relation to its first column.
table() {
  local group=$1 counted=$2 columns=$3
  shift 3
  echo "| $counted |$(printf ' %s |' $columns)"
  echo "|---|$(printf -- '---|%.0s' $columns)"
  for name in "$@"; do
    local first="" row="| $name |"
    for column in $columns; do
      local found
      found=$(median "$group/$name/$column")
      first=${first:-$found}
      row="$row $(awk -v a="$found" -v b="$first" 'BEGIN { printf "%.2f", a / b }') |"
    done
    echo "$row"
  done
  echo
}

table "remembered tokens" "remembered tokens" "1 100 10000 100000 1000000" \
  "any of them" "a thousand of them" "bare"
table "issuers" "issuers" "1 10 100 1000" "remembered" "not remembered"
table "revocations" "entries of a revocation list" "0 1000 1000000" "one look" "remembered token"
table "tasks" "tasks" "1 2 4 8 16" "one token" "bare, one token" "a token each" "bare, a token each"

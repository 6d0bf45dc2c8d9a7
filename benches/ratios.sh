#!/usr/bin/env bash
# Prints the benchmarks as ratios, from what the last run left in target/criterion.
#
#   cargo bench -p benches --features axum --bench hot_path --bench rules && benches/ratios.sh
set -euo pipefail
cd "$(dirname "$0")/.."
criterion="${CARGO_TARGET_DIR:-target}/criterion"

# The median of one benchmark in nanoseconds.
median() {
  sed 's/.*"median":{"confidence_interval":{[^}]*},"point_estimate":\([0-9.]*\).*/\1/' \
    "$criterion/$1/new/estimates.json"
}

ratio() { awk -v a="$(median "$1")" -v b="$(median "$2")" 'BEGIN { printf "%.2f", a / b }'; }

[ -d "$criterion/hot_path" ] || { echo "run first: cargo bench -p benches --features axum --bench hot_path --bench rules" >&2; exit 1; }

echo "| request | against the bare \`service_fn\` |"
echo "|---|---|"
for name in "bare" "tower-http static bearer" "opaque allowed" "opaque refused" "missing" "malformed" "oversized" \
  "digest of the token" "first entry of the extensions"; do
  echo "| $name | $(ratio "hot_path/$name" hot_path/bare) |"
done
echo "| public path | $(ratio "hot_path/public path" "hot_path/bare, no token") |"
echo "| JWT remembered | $(ratio "hot_path/JWT remembered" "hot_path/bare, JWT") |"
echo
echo "| axum router | against the bare router |"
echo "|---|---|"
echo "| public path | $(ratio "axum/public path" "axum/bare router, public path") |"
echo "| opaque allowed | $(ratio "axum/opaque allowed" "axum/bare router") |"
echo
echo "| rules | 10 | 100 | 1,000 | 10,000 |"
echo "|---|---|---|---|---|"
for name in "matching" "not matching" "public"; do
  row="| $name"
  for count in 10 100 1000 10000; do
    row="$row | $(ratio "rules, $name/$count" "rules, $name/10")"
  done
  echo "$row |"
done

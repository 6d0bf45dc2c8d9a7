#!/usr/bin/env bash
# Prints the benchmark of JWTs as ratios, from what the last run left in target/criterion.
#
#   cargo bench --bench jwt --features aws_lc_rs && benches/jwt_ratios.sh
set -euo pipefail
cd "$(dirname "$0")/.."
criterion="${CARGO_TARGET_DIR:-target}/criterion"
[ -d "$criterion/jwt RS256" ] || { echo "run first: cargo bench --bench jwt --features aws_lc_rs" >&2; exit 1; }

# The median of one benchmark in nanoseconds.
median() {
  sed 's/.*"median":{"confidence_interval":{[^}]*},"point_estimate":\([0-9.]*\).*/\1/' \
    "$criterion/$1/new/estimates.json"
}

ratio() { awk -v a="$(median "$1")" -v b="$(median "$2")" 'BEGIN { printf "%.2f", a / b }'; }

echo "| algorithm | tower-bearer against the raw verification | jsonwebtoken against the raw verification | jsonwebtoken against tower-bearer |"
echo "|---|---|---|---|"
for alg in HS256 RS256 PS256 ES256 ES384 EdDSA; do
  echo "| $alg | $(ratio "jwt $alg/tower-bearer" "jwt $alg/raw") | $(ratio "jwt $alg/jsonwebtoken" "jwt $alg/raw") | $(ratio "jwt $alg/jsonwebtoken" "jwt $alg/tower-bearer") |"
done

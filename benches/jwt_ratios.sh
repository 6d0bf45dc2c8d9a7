#!/usr/bin/env bash
# Prints the benchmark of JWTs as ratios to the bare verification of the signature, from what the last run left in target/criterion.
#
#   cargo bench -p benches --bench jwt && benches/jwt_ratios.sh
set -euo pipefail
cd "$(dirname "$0")/.."
criterion="${CARGO_TARGET_DIR:-target}/criterion"
[ -d "$criterion/jwt RS256" ] || { echo "run first: cargo bench -p benches --bench jwt" >&2; exit 1; }

# The median of one benchmark in nanoseconds.
median() {
  sed 's/.*"median":{"confidence_interval":{[^}]*},"point_estimate":\([0-9.]*\).*/\1/' \
    "$criterion/$1/new/estimates.json"
}

ratio() { awk -v a="$(median "$1")" -v b="$(median "$2")" 'BEGIN { printf "%.2f", a / b }'; }

echo "| algorithm | tower-bearer | jsonwebtoken | an unknown \`kid\`, refused |"
echo "|---|---|---|---|"
for alg in HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA; do
  raw="jwt $alg/raw"
  theirs="–"
  [ "$alg" = ES512 ] || theirs=$(ratio "jwt $alg/jsonwebtoken" "$raw")
  echo "| $alg | $(ratio "jwt $alg/tower-bearer" "$raw") | $theirs | $(ratio "jwt $alg/tower-bearer, unknown kid" "$raw") |"
done

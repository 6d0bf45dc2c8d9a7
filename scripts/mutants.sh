#!/usr/bin/env bash
# Tests fail for each small change of the code in the given folders: src/policy, src/extract and src/cache if none is given.
# Takes hours. Results are in target/mutants.out.
#   MUTANTS_SHARD=2/10   only the third of ten parts
# Needs: cargo-mutants, python3.
source "$(dirname "$0")/lib.sh"
need_cargo mutants

[ $# -gt 0 ] || set -- src/policy src/extract src/cache
files=()
for folder in "$@"; do
  [ -e "$folder" ] || { echo "error: $folder does not exist" >&2; exit 2; }
  if [ -d "$folder" ]; then files+=(--file "$folder/**/*.rs"); else files+=(--file "$folder"); fi
done
if [ -n "${MUTANTS_SHARD-}" ]; then files+=(--shard "$MUTANTS_SHARD"); fi
run cargo mutants --package "$(workspace root)" --all-features --output target "${files[@]}"

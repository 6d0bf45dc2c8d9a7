#!/usr/bin/env bash
# The package at the root has at most 15 dependencies without features, transitive ones included.
# Needs: python3.
source "$(dirname "$0")/lib.sh"
limit=15

root=$(workspace root)
crates=$(cargo tree --locked -p "$root" -e normal --no-default-features --prefix none --format '{p}' |
  sed 's/ (.*//' | sort -u | grep -v "^$root ")
count=$(wc -l <<<"$crates")
echo "$count dependencies, limit $limit"
if [ "$count" -gt "$limit" ]; then
  echo "$crates"
  exit 1
fi

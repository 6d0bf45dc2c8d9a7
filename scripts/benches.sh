#!/usr/bin/env bash
# Each benchmark runs once, unmeasured.
# Needs: python3.
source "$(dirname "$0")/lib.sh"

facts=$(workspace benchmarks)
while IFS=$'\t' read -r package features; do
  run cargo test --locked -p "$package" --features "$features" --benches
done <<<"$facts"

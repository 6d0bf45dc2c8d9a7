#!/usr/bin/env bash
# Tests under other features than all: each crypto back end alone, none, and path rules without the feature `axum`.
# Needs: a C compiler, python3.
source "$(dirname "$0")/lib.sh"

root=$(workspace root)
for feature in aws_lc_rs rust_crypto jwt; do
  run cargo test --locked -p "$root" --no-default-features --features "$feature" --test backends
done
run cargo test --locked -p "$root" --no-default-features --test nested

#!/usr/bin/env bash
# Formatting of every package, including those outside the workspace.
# Needs: rustfmt.
source "$(dirname "$0")/lib.sh"
need_cargo fmt rustfmt

run cargo fmt --all --check
for manifest in benches/*/Cargo.toml fuzz/Cargo.toml; do
  [ -f "$manifest" ] || continue
  run cargo fmt --manifest-path "$manifest" --check
done

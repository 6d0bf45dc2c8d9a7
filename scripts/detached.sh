#!/usr/bin/env bash
# Clippy on the packages outside the workspace, which have lock files of their own.
#   TOWER_BEARER_PEERS=1   check benches/peers too, which compiles six other middleware crates
# Needs: clippy.
source "$(dirname "$0")/lib.sh"
need_cargo clippy clippy
target="${CARGO_TARGET_DIR:-target}"

CARGO_TARGET_DIR="$target/detached" \
  run cargo clippy --locked --manifest-path benches/load/Cargo.toml --all-targets -- -D warnings
CARGO_TARGET_DIR="$target/detached" \
  run cargo clippy --locked --manifest-path fuzz/Cargo.toml --all-targets -- -D warnings
if [ -n "${TOWER_BEARER_PEERS:-}" ]; then
  run cargo clippy --locked --manifest-path benches/peers/Cargo.toml --all-targets -- -D warnings
else
  echo "not checked: benches/peers (TOWER_BEARER_PEERS=1 checks it)"
fi

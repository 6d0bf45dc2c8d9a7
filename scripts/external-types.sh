#!/usr/bin/env bash
# The public API of each published package uses only the foreign types that its Cargo.toml allows
# (`package.metadata.cargo_check_external_types`).
#   EXTERNAL_TYPES_TOOLCHAIN   the toolchain whose rustdoc JSON the installed tool reads; `nightly` if unset
# Needs: cargo-check-external-types, a nightly toolchain, python3.
source "$(dirname "$0")/lib.sh"
toolchain="${EXTERNAL_TYPES_TOOLCHAIN-nightly}"
need rustup "https://rustup.rs"
need_cargo check-external-types
rustup run "$toolchain" rustc --version >/dev/null 2>&1 || {
  echo "error: $toolchain is not installed. Install it: rustup toolchain install --profile minimal $toolchain" >&2
  exit 1
}
# cargo clears the documentation of another toolchain.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/external-types"

packages=$(workspace publishable)
for package in $packages; do
  manifest=$(cargo pkgid -p "$package" | sed 's|.*file://||; s|#.*||')/Cargo.toml
  run rustup run "$toolchain" cargo check-external-types --all-features --manifest-path "$manifest"
done

#!/usr/bin/env bash
# Each package compiles with all features on its `rust-version`.
# Needs: rustup with those toolchains, python3.
source "$(dirname "$0")/lib.sh"
need rustup "https://rustup.rs"

missing=()
versions=$(workspace rust-versions)
for version in $(cut -f 2 <<<"$versions" | sort -u); do
  rustup run "$version" rustc --version >/dev/null 2>&1 || missing+=("$version")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "error: toolchains are not installed. Install them: rustup toolchain install --profile minimal ${missing[*]}" >&2
  exit 1
fi
facts=$(workspace rust-versions)
while IFS=$'\t' read -r package version; do
  run rustup run "$version" cargo check --locked -p "$package" --all-features
done <<<"$facts"

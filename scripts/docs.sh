#!/usr/bin/env bash
# Documentation of each published package without warnings, with all features and with none.
# Needs: rustdoc, python3.
source "$(dirname "$0")/lib.sh"
export RUSTDOCFLAGS="${RUSTDOCFLAGS-} -D warnings"

packages=$(workspace publishable)
for package in $packages; do
  run cargo doc --locked -p "$package" --no-deps --all-features
  run cargo doc --locked -p "$package" --no-deps --no-default-features
done

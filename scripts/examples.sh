#!/usr/bin/env bash
# Each example compiles with only the features that it names.
# Needs: python3.
source "$(dirname "$0")/lib.sh"

facts=$(workspace examples)
while IFS=$'\t' read -r package example features; do
  run cargo check --locked -p "$package" --example "$example" --no-default-features --features "$features"
done <<<"$facts"

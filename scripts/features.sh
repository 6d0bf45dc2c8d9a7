#!/usr/bin/env bash
# Each feature of each published package compiles without the others, without warnings. So does no feature at all.
#   --pairs   check every pair of features too
# Needs: clippy, python3; cargo-hack for --pairs.
source "$(dirname "$0")/lib.sh"
need_cargo clippy clippy

case ${1-} in
  '') pairs= ;;
  --pairs) pairs=1 ;;
  *) echo "usage: $0 [--pairs]" >&2 && exit 2 ;;
esac

packages=$(workspace publishable)
for package in $packages; do
  if [ "$pairs" ]; then
    need_cargo hack
    run cargo hack clippy --locked -p "$package" --lib --feature-powerset --depth 2 -- -D warnings
    continue
  fi
  run cargo clippy --locked -p "$package" --lib --no-default-features -- -D warnings
  features=$(workspace features "$package")
  for feature in $features; do
    run cargo clippy --locked -p "$package" --lib --no-default-features --features "$feature" -- -D warnings
  done
done

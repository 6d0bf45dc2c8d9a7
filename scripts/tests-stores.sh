#!/usr/bin/env bash
# The tests of the store packages with all features, against a redis-server that they start.
# Needs: redis-server, redis-cli, python3.
source "$(dirname "$0")/lib.sh"
need redis-server "apt-get install redis-server"
need redis-cli "apt-get install redis-tools"

root=$(workspace root)
packages=()
names=$(workspace publishable)
for package in $names; do
  [ "$package" = "$root" ] || packages+=(-p "$package")
done
[ ${#packages[@]} -gt 0 ] || { echo "error: the workspace has no store package" >&2; exit 1; }
run cargo test --locked "${packages[@]}" --all-features

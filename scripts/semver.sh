#!/usr/bin/env bash
# The public API of each published package is compatible with its last release, or its version says that it is not.
# Before the first release there is no baseline: the script says so and passes. CHANGELOG.md then has no heading `## 0.1.0`
# or the like. A package that crates.io does not have yet is skipped with a line, too.
# Needs: cargo-semver-checks, access to crates.io, python3.
source "$(dirname "$0")/lib.sh"

if ! grep -qE '^## \[?[0-9]+\.[0-9]+\.[0-9]+' CHANGELOG.md; then
  echo "no baseline: CHANGELOG.md has no release yet"
  exit 0
fi
need_cargo semver-checks
packages=$(workspace publishable)
for package in $packages; do
  # Outside of the workspace, so that cargo asks the registry.
  if info=$(cd / && cargo info --registry crates-io "$package" 2>&1); then
    run cargo semver-checks --package "$package" --all-features
  elif grep -q "could not find \`$package\`" <<<"$info"; then
    echo "no baseline: $package has no release yet"
  else
    echo "$info" >&2
    exit 1
  fi
done

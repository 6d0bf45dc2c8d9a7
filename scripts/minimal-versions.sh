#!/usr/bin/env bash
# Each published package compiles with the lowest versions that its Cargo.toml allows for its dependencies.
# Works on a copy, so Cargo.lock stays as it is.
# Needs: git, python3, access to crates.io. The installed cargo resolves with `-Z direct-minimal-versions`.
source "$(dirname "$0")/lib.sh"
need git "https://git-scm.com/downloads"

packages=$(workspace publishable)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard -- Cargo.toml Cargo.lock README.md CHANGELOG.md SECURITY.md docs src crates |
  while IFS= read -r -d '' file; do [ -f "$file" ] && printf '%s\0' "$file"; done |
  tar --create --null --files-from=- | tar --extract --directory="$copy"

# Only what users compile: no dev-dependencies, and of the workspace only the published packages.
python3 - "$copy" <<'PYTHON'
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
for manifest in [root / "Cargo.toml", *root.glob("crates/*/Cargo.toml")]:
    text = manifest.read_text()
    text = re.sub(r"(?ms)^\[dev-dependencies.*?(?=^\[|\Z)", "", text)
    text = re.sub(r"(?ms)^\[\[(test|bench|example)\]\].*?(?=^\[|\Z)", "", text)
    text = re.sub(r"(?ms)^members = \[.*?\]", 'members = ["crates/*"]', text)
    text = re.sub(r"(?ms)^default-members = \[.*?\]\n", "", text)
    manifest.write_text(text)
PYTHON

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}/minimal-versions"
cd "$copy"
RUSTC_BOOTSTRAP=1 run cargo -Z direct-minimal-versions generate-lockfile
for package in $packages; do
  run cargo check --locked -p "$package" --lib --all-features
done

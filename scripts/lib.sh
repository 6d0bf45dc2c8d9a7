# shellcheck shell=bash
# Sourced by the scripts in this folder. Changes to the root of the repository, and reports missing tools.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Fails with the command that installs a tool, if the tool is not installed.
need() {
  command -v "$1" >/dev/null 2>&1 || {
    echo "error: $1 is not installed. Install it: $2" >&2
    exit 1
  }
}

# Fails if a subcommand of cargo is not installed.
need_cargo() {
  cargo "$1" --version >/dev/null 2>&1 || cargo "$1" --help >/dev/null 2>&1 || {
    echo "error: cargo $1 is not installed. Install it: cargo install --locked ${2:-cargo-$1}" >&2
    exit 1
  }
}

# Prints facts about the workspace: see workspace.py. No fact is an error, except for features. Assign the output to a variable first: bash
# ignores the exit status of a substitution in a `for` or behind `<`.
workspace() {
  local facts
  need python3 "https://www.python.org/downloads/"
  # Python ends lines with CR LF on Windows.
  facts=$(python3 scripts/workspace.py "$@" | tr -d '\r') || return 1
  [ -n "$facts" ] || [ "$1" = features ] || { echo "error: scripts/workspace.py $* prints nothing" >&2; return 1; }
  [ -z "$facts" ] || printf '%s\n' "$facts"
}

# Runs a command, and prints it first.
run() {
  printf '+ %s\n' "$*"
  "$@"
}

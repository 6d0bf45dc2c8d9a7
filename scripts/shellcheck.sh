#!/usr/bin/env bash
# Shell scripts by shellcheck, warnings and errors. A file without `#!` is a list of commands to paste, and no script.
# Needs: shellcheck, git.
source "$(dirname "$0")/lib.sh"
need shellcheck "apt-get install shellcheck"

files=()
while IFS= read -r -d '' file; do
  IFS= read -r line <"$file" || continue
  case $line in '#!'*sh | '# shellcheck shell='*) files+=("$file") ;; esac
done < <(git ls-files -z --cached --others --exclude-standard '*.sh' .ci/run)
[ ${#files[@]} -gt 0 ] || { echo "error: there is no script" >&2; exit 1; }
run shellcheck --severity=warning --external-sources --source-path=SCRIPTDIR "${files[@]}"

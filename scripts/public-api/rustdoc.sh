#!/usr/bin/env bash
# rustdoc of the installed toolchain, with its unstable options turned on. Only rustdoc: dependencies compile as always.
RUSTC_BOOTSTRAP=1 exec "${RUSTDOC_ORIGINAL:-rustdoc}" "$@"

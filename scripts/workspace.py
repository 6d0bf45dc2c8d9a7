#!/usr/bin/env python3
"""Prints facts about the workspace, one per line, from `cargo metadata`.

  root                 the package at the root
  members              all packages
  publishable          packages that are published, each after the packages it depends on
  others               packages that are neither published, nor default members, nor benchmarks
  features PACKAGE     features of a package, without `default`
  examples             package, example and required features, separated by tabs
  benchmarks           package and all its features, separated by a tab
  rust-versions        package and rust-version, separated by a tab
"""

import json
import os
import subprocess
import sys


def main(what, *arguments):
    metadata = json.loads(
        subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"])
    )
    packages = sorted(metadata["packages"], key=lambda package: package["name"])
    root = os.path.join(metadata["workspace_root"], "Cargo.toml")
    defaults = set(metadata.get("workspace_default_members", []))
    # `publish = false` is an empty list of registries.
    publishable = [package for package in packages if package["publish"] != []]

    def has(package, kind):
        return any(kind in target["kind"] for target in package["targets"])

    if what == "root":
        return [package["name"] for package in packages if os.path.samefile(package["manifest_path"], root)]
    if what == "members":
        return [package["name"] for package in packages]
    if what == "publishable":
        names = {package["name"] for package in publishable}
        needs = {
            package["name"]: {
                dependency["name"]
                for dependency in package["dependencies"]
                if dependency["name"] in names and dependency["kind"] != "dev"
            }
            for package in publishable
        }
        ordered = []
        while needs:
            ready = sorted(name for name, others in needs.items() if others <= set(ordered))
            if not ready:
                sys.exit(f"dependency cycle: {sorted(needs)}")
            ordered += ready
            needs = {name: others for name, others in needs.items() if name not in ordered}
        return ordered
    if what == "others":
        return [
            package["name"]
            for package in packages
            if package not in publishable and package["id"] not in defaults and not has(package, "bench")
        ]
    if what == "features":
        return [
            feature
            for package in packages
            if package["name"] == arguments[0]
            for feature in sorted(package["features"])
            if feature != "default"
        ]
    if what == "examples":
        return [
            "\t".join([package["name"], target["name"], ",".join(target.get("required-features", []))])
            for package in packages
            for target in package["targets"]
            if "example" in target["kind"]
        ]
    if what == "benchmarks":
        return [
            package["name"] + "\t" + ",".join(sorted(package["features"]))
            for package in packages
            if has(package, "bench")
        ]
    if what == "rust-versions":
        return [f"{package['name']}\t{package['rust_version']}" for package in packages if package["rust_version"]]
    sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for line in main(*sys.argv[1:]):
        print(line)

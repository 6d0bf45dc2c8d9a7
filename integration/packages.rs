//! Tools that are not Rust, with packages that are pinned in `tests/<suite>` of a package and installed below the target directory.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

const NODE: &str = "Node.js 20.12 or newer with npm is needed: apt-get install nodejs npm";

/// Whether what is missing is a failure: `TOWER_BEARER_REQUIRE` names the suite.
pub(crate) fn is_required(suite: &str) -> bool {
    env::var("TOWER_BEARER_REQUIRE")
        .is_ok_and(|names| names.split([',', ' ']).any(|name| name == suite))
}

/// The folder with the packages of `package-lock.json` and these scripts.
pub(crate) fn node(suite: &str, scripts: &[&str]) -> Result<PathBuf, String> {
    let version = output(Command::new("node").arg("--version"), NODE)?;
    if !is_recent(&version) {
        return Err(format!("{NODE}; found {}", version.trim()));
    }
    output(Command::new("npm").arg("--version"), NODE)?;
    let files = ["package.json", "package-lock.json"];
    let folder = installed(suite, "node", &files, |folder| {
        let mut command = Command::new("npm");
        command.current_dir(folder);
        command.args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]);
        command.args(["--fetch-retries=1", "--fetch-timeout=30000"]);
        command
    })?;
    for script in scripts {
        put(&folder, suite, script);
    }
    Ok(folder)
}

/// The folder for these files, with the packages that they name. It is there as a whole or not at all,
/// also when several processes start at once, as those of cargo-nextest do.
pub(crate) fn installed(
    suite: &str,
    name: &str,
    files: &[&str],
    install: impl FnOnce(&Path) -> Command,
) -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(source(suite, file)).unwrap().hash(&mut hasher);
    }
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(suite);
    let folder = base.join(format!("{name}-{:016x}", hasher.finish()));
    if folder.is_dir() {
        return Ok(folder);
    }
    let unfinished = base.join(format!("{name}-unfinished-{}", std::process::id()));
    fs::create_dir_all(&unfinished).unwrap();
    for file in files {
        put(&unfinished, suite, file);
    }
    let result = output(
        &mut install(&unfinished),
        &format!("the packages for {name} could not be installed; is their registry reachable?"),
    );
    if result.is_ok() && fs::rename(&unfinished, &folder).is_ok() {
        return Ok(folder);
    }
    let _ = fs::remove_dir_all(&unfinished);
    // If the folder could not be moved there, somebody else was quicker.
    result.map(|_| folder)
}

/// Runs a command, and returns what it prints; or else `otherwise` and the last lines of its complaint.
pub(crate) fn output(command: &mut Command, otherwise: &str) -> Result<String, String> {
    let command = command.stdin(Stdio::null());
    let output = command
        .output()
        .map_err(|error| format!("{otherwise} ({error})"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let mut lines: Vec<_> = complaint.lines().rev().take(8).collect();
    lines.reverse();
    Err(format!("{otherwise}\n{}", lines.join("\n")))
}

fn is_recent(version: &str) -> bool {
    let mut numbers = version.trim().trim_start_matches('v').split('.');
    let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    (number(), number()) >= (Some(20), Some(12))
}

fn source(suite: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(suite)
        .join(file)
}

/// Copies a file of `tests/<suite>`. Whoever reads it meanwhile sees the old one or the new one.
pub(crate) fn put(folder: &Path, suite: &str, file: &str) {
    let unfinished = folder.join(format!("{file}-{}", std::process::id()));
    fs::copy(source(suite, file), &unfinished).unwrap();
    fs::rename(&unfinished, folder.join(file)).unwrap();
}

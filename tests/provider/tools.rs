//! Node.js and Python with the pinned packages, installed below the target directory.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, thread};

const NODE: &str = "Node.js 20.12 or newer with npm is needed: apt-get install nodejs npm";
const PYTHON: &str = "Python 3.11 or newer with pip is needed: apt-get install python3 python3-pip";

/// Where the scripts and their packages are, or what is missing.
pub(crate) struct Tools {
    pub(crate) node: Result<PathBuf, String>,
    pub(crate) python: Result<PathBuf, String>,
}

impl Tools {
    /// Installs what is not installed yet.
    pub(crate) fn install() -> Self {
        let node = thread::spawn(node);
        let python = python();
        let node = node.join().expect("installing does not panic");
        Self { node, python }
    }

    /// For a list of the tests, which needs none.
    pub(crate) fn not_needed() -> Self {
        Self {
            node: Ok(PathBuf::new()),
            python: Ok(PathBuf::new()),
        }
    }

    /// Says on stderr what is missing.
    pub(crate) fn complain(&self) {
        for missing in [&self.node, &self.python]
            .into_iter()
            .filter_map(|tool| tool.as_ref().err())
        {
            eprintln!("\n=== NOT TESTED against other implementations: {missing} ===\n");
        }
    }
}

/// Whether what is missing is a failure: `TOWER_BEARER_REQUIRE=provider`.
pub(crate) fn is_required() -> bool {
    env::var("TOWER_BEARER_REQUIRE")
        .is_ok_and(|names| names.split([',', ' ']).any(|name| name == "provider"))
}

/// `node <script>` or `python3 <script>`, with the packages.
pub(crate) fn script(tool: &Path, name: &str) -> Command {
    let is_python = name.ends_with(".py");
    let mut command = Command::new(if is_python { "python3" } else { "node" });
    command.arg(tool.join(name));
    if is_python {
        command
            .env("PYTHONPATH", tool)
            .env("PYTHONDONTWRITEBYTECODE", "1");
    }
    command
}

fn node() -> Result<PathBuf, String> {
    let version = output(Command::new("node").arg("--version"), NODE)?;
    if !is_recent(&version) {
        return Err(format!("{NODE}; found {}", version.trim()));
    }
    output(Command::new("npm").arg("--version"), NODE)?;
    let files = ["package.json", "package-lock.json"];
    let folder = installed("node", &files, |folder| {
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
    put(&folder, "server.mjs");
    put(&folder, "tokens.mjs");
    Ok(folder)
}

fn python() -> Result<PathBuf, String> {
    output(
        Command::new("python3").args(["-m", "pip", "--version"]),
        PYTHON,
    )?;
    let folder = installed("python", &["requirements.txt"], |folder| {
        let mut command = Command::new("python3");
        command.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        // Wheels only: nothing is built, and no code of a package runs.
        command.args([
            "--only-binary",
            ":all:",
            "--no-deps",
            "--root-user-action=ignore",
        ]);
        command.args(["--retries", "1", "--timeout", "30"]);
        command.arg("--target").arg(folder);
        command
            .arg("--requirement")
            .arg(folder.join("requirements.txt"));
        command
    })?;
    put(&folder, "tokens.py");
    Ok(folder)
}

/// The folder for these files, with the packages that they name. It is there as a whole or not at all,
/// also when several processes start at once, as those of cargo-nextest do.
fn installed(
    name: &str,
    files: &[&str],
    install: impl FnOnce(&Path) -> Command,
) -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(source(file)).unwrap().hash(&mut hasher);
    }
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("provider");
    let folder = base.join(format!("{name}-{:016x}", hasher.finish()));
    if folder.is_dir() {
        return Ok(folder);
    }
    let unfinished = base.join(format!("{name}-unfinished-{}", std::process::id()));
    fs::create_dir_all(&unfinished).unwrap();
    for file in files {
        put(&unfinished, file);
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
fn output(command: &mut Command, otherwise: &str) -> Result<String, String> {
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

fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/provider")
        .join(file)
}

/// Copies a file of `tests/provider`. Whoever reads it meanwhile sees the old one or the new one.
fn put(folder: &Path, file: &str) {
    let unfinished = folder.join(format!("{file}-{}", std::process::id()));
    fs::copy(source(file), &unfinished).unwrap();
    fs::rename(&unfinished, folder.join(file)).unwrap();
}

//! Node.js and Python with the pinned packages, installed below the target directory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::packages::{self, installed, output, put};

const SUITE: &str = "provider";
const PYTHON: &str = "Python 3.11 or newer with pip is needed: apt-get install python3 python3-pip";

/// Where the scripts and their packages are, or what is missing.
pub(crate) struct Tools {
    pub(crate) node: Result<PathBuf, String>,
    pub(crate) python: Result<PathBuf, String>,
}

impl Tools {
    /// Installs what is not installed yet.
    pub(crate) fn install() -> Self {
        let node = thread::spawn(|| packages::node(SUITE, &["server.mjs", "tokens.mjs"]));
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

fn python() -> Result<PathBuf, String> {
    output(
        Command::new("python3").args(["-m", "pip", "--version"]),
        PYTHON,
    )?;
    let folder = installed(SUITE, "python", &["requirements.txt"], |folder| {
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
    put(&folder, SUITE, "tokens.py");
    Ok(folder)
}

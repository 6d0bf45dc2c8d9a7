//! The example `login` in a real browser: its page, attacks from other sites, and the button of Swagger UI. Without Chromium
//! or npm the tests are ignored, and say so; see `browser/README.md`.

#[path = "../../../integration/packages.rs"]
#[allow(dead_code, reason = "each suite uses some of it")]
mod packages;
#[path = "login/service.rs"]
#[allow(dead_code, reason = "each test uses some of it")]
mod service;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};

use service::{ADMIN, ALICE, Service};

const SUITE: &str = "browser";
const CHROMIUM: &str = "Chromium is needed: apt-get install chromium";

/// A browser, and a folder with the script that drives it.
#[derive(Clone)]
struct Tools {
    browser: PathBuf,
    folder: PathBuf,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // A browser takes several processors as it is.
    arguments.test_threads.get_or_insert(1);
    let tools = if arguments.list {
        Err(String::new())
    } else {
        tools()
    };
    if let (Err(missing), false) = (&tools, arguments.list) {
        eprintln!("\n=== NOT TESTED in a browser: {missing} ===\n");
    }
    let trials = [
        ("the_page_logs_in_and_out", "page", "900"),
        ("a_token_expires_and_two_tabs_share_the_next", "expiry", "2"),
        ("a_session_is_ended_from_another", "sessions", "900"),
        ("another_site_changes_nothing", "cross_site", "900"),
        ("swagger_ui_logs_in", "docs", "900"),
    ];
    let trials = trials.map(|(name, scenario, access_ttl)| {
        let tools = tools.clone();
        let is_ignored = tools.is_err() && !packages::is_required(SUITE);
        let trial = Trial::test(name, move || Ok(run(&tools?, scenario, access_ttl)?));
        trial.with_ignored_flag(is_ignored && !arguments.list)
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

fn tools() -> Result<Tools, String> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let browser = std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file())
        .ok_or(CHROMIUM)?;
    let folder = packages::node(SUITE, &["login.mjs"])?;
    Ok(Tools { browser, folder })
}

/// One scenario of the script, with a service of its own.
fn run(tools: &Tools, scenario: &str, access_ttl: &str) -> Result<(), String> {
    let passwords = [("ALICE_PASSWORD", ALICE), ("ADMIN_PASSWORD", ADMIN)];
    let service = Service::with(&[&passwords[..], &[("ACCESS_TTL", access_ttl)]].concat());
    let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser/screenshots");
    std::fs::create_dir_all(&screenshots).unwrap();
    let output = Command::new("node")
        .arg(tools.folder.join("login.mjs"))
        .args([scenario, &service.address.port().to_string()])
        .args([&tools.browser, &screenshots])
        .envs(passwords)
        .output();
    let output = output.map_err(|error| format!("node: {error}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("see {}\n{complaint}", screenshots.display())),
    }
}

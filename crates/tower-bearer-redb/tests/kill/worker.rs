//! A process that is killed while it works, and what it had said by then.
//!
//! A test starts its own executable again with [`Worker::start`], as another test that works for as long as it lives and
//! says with [`begin`] what it is about to do, and with [`done`] what came of it. [`Worker::kill_after`] ends it with
//! SIGKILL and returns all of that: for what is [`Said::Done`], the answer had been given; of what only
//! [began](Said::Begin), nobody knows. What the operations are is the business of the test.
#![allow(dead_code, reason = "each test uses its own part")]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// In front of what is said, since others write to the same pipe.
const MARK: &str = "worker: ";

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// What is about to be done, by which of the tasks that work side by side.
    Begin { task: usize, operation: String },
    /// What came of the operation that this task began last.
    Done { task: usize, result: String },
}

pub(crate) fn begin(task: usize, operation: &str) {
    say(&format!("begin {task} {operation}"));
}

pub(crate) fn done(task: usize, result: &str) {
    say(&format!("done {task} {result}"));
}

/// With one write: a line is there entirely or not at all, as long as it is short.
fn say(text: &str) {
    assert!(text.len() < 1_000 && !text.contains('\n'), "{text:?}");
    let line = format!("\n{MARK}{text}\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

/// A process that runs one test of this executable, and is gone with this.
pub(crate) struct Worker {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Worker {
    /// Runs the test with this full name, in an environment with these variables.
    pub(crate) fn start(test: &str, variables: &[(&str, &OsStr)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// Kills it so long after it has said so many [`Said::Done`], and returns all that it said, which may be more.
    ///
    /// # Panics
    ///
    /// If it ends by itself.
    pub(crate) fn kill_after(mut self, count: usize, later: Duration) -> Vec<Said> {
        let mut said = Vec::new();
        let mut done = 0;
        // With none, at the first line of all, when it has hardly begun.
        loop {
            let line = self.line();
            let line = line.expect("the worker ended by itself: what it said on stderr tells why");
            if let Some(new) = parse(&line) {
                done += usize::from(matches!(new, Said::Done { .. }));
                said.push(new);
            }
            if done >= count {
                break;
            }
        }
        // To hit any moment of what is done next, and not only the first. Sleeping would not be exact enough.
        let heard = Instant::now();
        while heard.elapsed() < later {
            std::hint::spin_loop();
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // What was in the pipe has been said.
        while let Some(line) = self.line() {
            said.extend(parse(&line));
        }
        said
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.out.read_line(&mut line).unwrap();
        (length > 0).then_some(line)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(line: &str) -> Option<Said> {
    // Without its end, it was cut off.
    let mut words = line.strip_suffix('\n')?.strip_prefix(MARK)?.splitn(3, ' ');
    let (verb, task) = (words.next()?, words.next()?.parse().ok()?);
    let rest = words.next().unwrap_or_default().to_owned();
    match verb {
        "begin" => Some(Said::Begin {
            task,
            operation: rest,
        }),
        "done" => Some(Said::Done { task, result: rest }),
        _ => None,
    }
}

/// Numbers that are the same for the same seed (SplitMix64).
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// That of the variable `TOWER_BEARER_SEED`, or a new one. It is printed.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("TOWER_BEARER_SEED").ok();
    let seed = given.map_or_else(
        || getrandom::u64().unwrap(),
        |seed| seed.parse().expect("TOWER_BEARER_SEED is a number"),
    );
    println!("to repeat this: TOWER_BEARER_SEED={seed}");
    seed
}

//! The rights that the store needs, and the eviction policy of Redis.
//!
//! New connections check both, since Redis may have been replaced or reconfigured since the last connection.
//! The commands of the check change nothing, for any content of the keys. Any number of processes can run
//! them at once.

use std::fmt::Write as _;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value, cmd, pipe};

use crate::connection::{Refusal, wrong};
use crate::problem::{Lacks, Problem};

/// The commands of the store, with arguments for which they change nothing. An argument that begins with `@`
/// is a key. Each command is listed with every kind of key that the store uses it with.
///
/// `XADD` with an invalid id, `HSET` with a field that has no value and `EVALSHA` with an unknown digest are
/// errors. Redis checks the rights first.
const PROBES: &[&[&str]] = &[
    &["DEL", "@session:probe"],
    &[
        "EVALSHA",
        "ffffffffffffffffffffffffffffffffffffffff",
        "1",
        "@session:probe",
    ],
    &["EXISTS", "@session:probe"],
    &["GET", "@session:probe"],
    &["GETRANGE", "@session:probe", "0", "7"],
    &["HDEL", "@revocation-texts", ""],
    &["HGET", "@revocation-texts", ""],
    &["HSET", "@revocation-texts", "", "", ""],
    &["SCRIPT LOAD", "return 1"],
    &["SET", "@session:probe", "", "XX"],
    &["TIME"],
    &["XADD", "@revocations", "no-id", "r", ""],
    &["XDEL", "@revocations", "0-0"],
    &["XRANGE", "@revocations", "0-0", "0-0"],
    &["XREAD", "COUNT", "1", "STREAMS", "@revocations", "$"],
    &["XREVRANGE", "@revocations", "0-0", "0-0", "COUNT", "1"],
    &["ZADD", "@ends", "XX", "0", "probe"],
    &["ZADD", "@subject:probe", "XX", "0", "probe"],
    &["ZADD", "@client:probe", "XX", "0", "probe"],
    &["ZADD", "@revocation-ends", "XX", "0", "probe"],
    &["ZRANGEBYLEX", "@subject:probe", "-", "+", "LIMIT", "0", "0"],
    &["ZRANGEBYLEX", "@client:probe", "-", "+", "LIMIT", "0", "0"],
    &["ZRANGEBYSCORE", "@ends", "-inf", "-inf", "LIMIT", "0", "0"],
    &[
        "ZRANGEBYSCORE",
        "@revocation-ends",
        "-inf",
        "-inf",
        "LIMIT",
        "0",
        "0",
    ],
    &["ZREM", "@ends", "probe"],
    &["ZREM", "@subject:probe", "probe"],
    &["ZREM", "@client:probe", "probe"],
    &["ZREM", "@revocation-ends", "probe"],
    &["ZSCORE", "@revocation-ends", "probe"],
];

/// The probes of the commands that a reader of revocations sends. While Redis accepts no writes for some time
/// (`CLIENT PAUSE`, which a fail-over uses), it does not answer the other probes.
const READER: &[&str] = &["XRANGE", "XREAD"];

const SELECT: &str = "SELECT";
/// The store sends it with the argument `memory`.
const INFO: &str = "INFO";
const NO_EVICTION: &str = "noeviction";

/// The requirements for a Redis.
pub(crate) struct Requirements {
    /// With its hash tag and the colon.
    pub(crate) prefix: String,
    pub(crate) allows_eviction: bool,
}

/// The command that reports the eviction policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicySource {
    Info,
    Config,
    /// The policy is not checked.
    Unchecked,
}

impl PolicySource {
    pub(crate) fn command(self) -> Option<Cmd> {
        let mut command;
        match self {
            Self::Info => {
                command = cmd(INFO);
                command.arg("memory");
            }
            Self::Config => {
                command = cmd("CONFIG");
                command.arg("GET").arg("maxmemory-policy");
            }
            Self::Unchecked => return None,
        }
        Some(command)
    }

    /// Checks the answer to that command.
    pub(crate) fn check(self, answer: Value) -> Result<(), Refusal> {
        if self == Self::Unchecked {
            return Ok(());
        }
        match policy(answer).as_deref() {
            Some(NO_EVICTION) => Ok(()),
            // Any other text could be input that the server repeats.
            Some(policy) if is_policy(policy) => Err(Refusal::Wrong(format!(
                "its maxmemory-policy is {policy}, by which it may evict sessions and revocations, and a revoked token is \
                 accepted again: `CONFIG SET maxmemory-policy noeviction`, or use `insecure_allow_eviction`"
            ))),
            _ => Err(wrong(
                "it does not report its maxmemory-policy: use `insecure_allow_eviction` if it never evicts keys",
            )),
        }
    }
}

fn is_policy(text: &str) -> bool {
    let is_kind = ["allkeys-", "volatile-"]
        .iter()
        .any(|kind| text.starts_with(kind));
    is_kind
        && text.len() <= 32
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// Reads the policy from the answer to INFO or CONFIG GET.
fn policy(answer: Value) -> Option<String> {
    let text = match answer {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok()?,
        Value::VerbatimString { text, .. } => text,
        Value::Array(values) => {
            return match <[Value; 2]>::try_from(values).ok()? {
                [_, Value::BulkString(policy)] => String::from_utf8(policy).ok(),
                _ => None,
            };
        }
        _ => return None,
    };
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("maxmemory_policy:").map(String::from))
}

/// The set of rights that are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    Reader,
}

impl Scope {
    fn probes(self) -> impl Iterator<Item = &'static &'static [&'static str]> {
        PROBES
            .iter()
            .filter(move |probe| self == Self::All || READER.contains(&probe[0]))
    }
}

/// Selects the database, and checks the rights of the user and the eviction policy.
pub(crate) async fn check(
    mut commands: MultiplexedConnection,
    database: i64,
    required: &Requirements,
    scope: Scope,
) -> Result<PolicySource, Refusal> {
    let mut pipeline = pipe();
    pipeline.ignore_errors();
    if database != 0 {
        pipeline.cmd(SELECT).arg(database);
    }
    for probe in scope.probes() {
        pipeline.add_command(command(probe, &required.prefix));
    }
    let mut source = match required.allows_eviction {
        true => PolicySource::Unchecked,
        false => PolicySource::Info,
    };
    if let Some(command) = source.command() {
        pipeline.add_command(command);
    }
    let answers: Vec<RedisResult<Value>> = pipeline.query_async(&mut commands).await?;
    let mut answers = answers.into_iter();
    let mut missing = Missing::default();
    if database != 0 {
        match missing.judge(SELECT, &[], answers.next())? {
            Some(Problem::Rejected { code, .. }) if code == "ERR" => {
                return Err(Refusal::Wrong(format!("it has no database {database}")));
            }
            // All commands would use another database.
            Some(problem) => return Err(problem.into()),
            None => {}
        }
    }
    for probe in scope.probes() {
        missing.judge(probe[0], probe, answers.next())?;
    }
    if source != PolicySource::Unchecked {
        let mut answer = answers.next();
        if !matches!(answer, Some(Ok(_)))
            && let Some(command) = PolicySource::Config.command()
            && let Ok(config) = command.query_async(&mut commands).await
        {
            source = PolicySource::Config;
            answer = Some(Ok(config));
        }
        match answer {
            Some(Ok(answer)) if missing.is_empty() => source.check(answer)?,
            answer => {
                // Without an answer, the policy is unknown.
                if let Some(problem) = missing.judge(INFO, &[], answer)? {
                    return Err(problem.into());
                }
            }
        }
    }
    match missing.is_empty() {
        true => Ok(source),
        false => Err(Refusal::Wrong(missing.explain(&required.prefix))),
    }
}

fn command(probe: &[&str], prefix: &str) -> Cmd {
    let mut command = Cmd::new();
    for word in probe[0].split(' ') {
        command.arg(word);
    }
    for argument in &probe[1..] {
        match argument.strip_prefix('@') {
            Some(key) => command.arg([prefix, key].concat()),
            None => command.arg(argument),
        };
    }
    command
}

#[derive(Default)]
struct Missing {
    /// The commands that the user may not run.
    commands: Vec<&'static str>,
    /// The keys that the user may not use, without the prefix.
    keys: Vec<&'static str>,
    /// The commands that the server does not have.
    unknown: Vec<&'static str>,
}

impl Missing {
    fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.keys.is_empty() && self.unknown.is_empty()
    }

    /// Notes which right is missing by the answer to a command. Returns a problem of another kind.
    fn judge(
        &mut self,
        command: &'static str,
        probe: &'static [&'static str],
        answer: Option<RedisResult<Value>>,
    ) -> Result<Option<Problem>, Refusal> {
        let error = match answer {
            Some(Ok(_)) => return Ok(None),
            Some(Err(error)) => error,
            None => return Err(Problem::Answer.into()),
        };
        let is_unknown = is_unknown_command(error.detail());
        let problem = Problem::from(error);
        let list = match &problem {
            Problem::Rejected {
                lacks: Some(Lacks::Key),
                ..
            } => {
                let keys = probe
                    .iter()
                    .filter_map(|argument| argument.strip_prefix('@'));
                for key in keys {
                    note(&mut self.keys, key);
                }
                return Ok(None);
            }
            Problem::Rejected { lacks: Some(_), .. } => &mut self.commands,
            Problem::Rejected { .. } if is_unknown => &mut self.unknown,
            Problem::Rejected { code, .. } if code == "WRONGTYPE" => {
                return Err(Refusal::Wrong(problem.to_string()));
            }
            // The server may have become a replica since HELLO.
            Problem::Rejected { code, .. } if code == "READONLY" => {
                return Err(crate::connection::replica());
            }
            Problem::Rejected { .. } if problem.is_transient() => return Err(problem.into()),
            // Some probes are meant to fail. Temporary problems with writes, such as a full memory, leave
            // reading possible.
            Problem::Rejected { .. } => return Ok(Some(problem)),
            _ => return Err(problem.into()),
        };
        note(list, command);
        Ok(None)
    }

    fn explain(&self, prefix: &str) -> String {
        let mut text = String::new();
        if !self.unknown.is_empty() {
            _ = write!(
                text,
                "it does not have the command {}; ",
                self.unknown.join(", ")
            );
        }
        if !self.commands.is_empty() {
            let rules: Vec<_> = self
                .commands
                .iter()
                .map(|command| acl_rule(command))
                .collect();
            _ = write!(
                text,
                "its user may not run {}: add {}; ",
                self.commands.join(", "),
                rules.join(" ")
            );
        }
        if !self.keys.is_empty() {
            let keys: Vec<_> = self.keys.iter().map(|key| [prefix, key].concat()).collect();
            _ = write!(
                text,
                "its user may not read and write the keys {}: add {}; ",
                keys.join(", "),
                key_pattern(prefix)
            );
        }
        _ = write!(text, "all that this store needs is `{}`", acl_line(prefix));
        text
    }
}

fn note(list: &mut Vec<&'static str>, entry: &'static str) {
    if !list.contains(&entry) {
        list.push(entry);
    }
}

pub(crate) fn is_unknown_command(detail: Option<&str>) -> bool {
    detail.is_some_and(|detail| {
        let detail = detail.to_ascii_lowercase();
        detail.starts_with("unknown command") || detail.starts_with("unknown subcommand")
    })
}

/// Returns the command in `name`, if it is one that the store sends.
pub(crate) fn known_command(name: &str) -> Option<&'static str> {
    let mut known = PROBES.iter().map(|probe| probe[0]).chain([SELECT, INFO]);
    known.find(|known| known.replace(' ', "|").eq_ignore_ascii_case(name))
}

/// Returns the rule for a command, in the syntax of `ACL SETUSER`.
fn acl_rule(command: &str) -> String {
    format!("+{}", command.to_ascii_lowercase().replace(' ', "|"))
}

/// Returns the smallest sufficient set of rights.
fn acl_line(prefix: &str) -> String {
    let mut commands: Vec<&str> = Vec::new();
    for command in PROBES.iter().map(|probe| probe[0]).chain([INFO, SELECT]) {
        if !commands.contains(&command) {
            commands.push(command);
        }
    }
    let rules: Vec<_> = commands.into_iter().map(acl_rule).collect();
    format!(
        "ACL SETUSER <user> on ><password> {} {}",
        key_pattern(prefix),
        rules.join(" ")
    )
}

/// Returns the key pattern for a prefix, with special characters escaped by a backslash. A pattern cannot
/// contain a space, so `?` stands for it, which matches any character.
fn key_pattern(prefix: &str) -> String {
    let mut pattern = String::from("~");
    for character in prefix.chars() {
        if character.is_ascii_whitespace() || character.is_ascii_control() {
            pattern.push('?');
            continue;
        }
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('*');
    pattern
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_command_of_the_scripts_is_probed() {
        // M08: checks when connecting
        let scripts = include_str!("scripts.rs");
        let calls = scripts
            .split("redis.call('")
            .chain(scripts.split("redis.pcall('"));
        let called: BTreeSet<_> = calls
            .filter_map(|call| Some(call.split_once('\'')?.0))
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_uppercase()))
            .collect();
        assert!(called.contains("XADD") && called.len() > 10, "{called:?}");
        for name in called {
            assert!(known_command(name).is_some(), "no probe for {name}");
        }
    }

    #[test]
    fn documentation_contains_acl_line() {
        // M08: checks when connecting
        let line = acl_line("{tower-bearer}:");
        let docs: String = include_str!("store.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("/// "))
            .flat_map(|line| [line.trim_end_matches('\\').trim(), " "])
            .collect();
        assert!(docs.contains(&line), "{line}");
    }

    #[test]
    fn characters_of_prefix_with_meaning_in_pattern_are_escaped() {
        // M08: checks when connecting
        assert_eq!(key_pattern("{a*b?[c]\\}:"), r"~{a\*b\?\[c\]\\}:*");
        assert_eq!(key_pattern("{a b\t}:"), "~{a?b?}:*");
    }

    #[test]
    fn only_noeviction_is_accepted() {
        // M08: checks when connecting
        let info = |policy: &str| {
            let text = format!("# Memory\r\nused_memory:1\r\nmaxmemory_policy:{policy}\r\nx:y\r\n");
            Value::BulkString(text.into())
        };
        let config = |policy: &str| {
            let text = |text: &str| Value::BulkString(text.into());
            Value::Array(vec![text("maxmemory-policy"), text(policy)])
        };
        let cases = [
            ("noeviction", None),
            ("volatile-lru", Some("is volatile-lru")),
            ("allkeys-random", Some("is allkeys-random")),
            ("", Some("does not report")),
            ("hunter", Some("does not report")),
            ("NOEVICTION", Some("does not report")),
            ("noeviction x", Some("does not report")),
        ];
        for (policy, expected) in cases {
            for (source, answer) in [
                (PolicySource::Info, info(policy)),
                (PolicySource::Config, config(policy)),
            ] {
                match (source.check(answer), expected) {
                    (Ok(()), None) => {}
                    (Err(Refusal::Wrong(problem)), Some(expected)) => {
                        assert!(problem.contains(expected), "{policy}: {problem}");
                    }
                    (answer, _) => panic!("{policy}: {}", answer.is_ok()),
                }
            }
        }
        for answer in [
            Value::Nil,
            Value::Array(vec![]),
            Value::BulkString(b"# Memory\r\n".to_vec()),
            Value::BulkString(vec![255]),
        ] {
            for source in [PolicySource::Info, PolicySource::Config] {
                assert!(source.check(answer.clone()).is_err(), "{answer:?}");
            }
            assert!(PolicySource::Unchecked.check(answer).is_ok());
        }
    }
}

//! Who may have a file, and which files are none.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use futures_util::FutureExt as _;
use redb::{Database, TableDefinition};
use tower_bearer::issuing::RevocationHub;
use tower_bearer::issuing::store::{
    RevocationStore as _, SessionStore as _, SessionsOf, StoreError,
};
use tower_bearer::revocation::Revocation;
use tower_bearer_redb::RedbStore;

use super::block_on;
use super::directory::Directory;
use super::records::{all_changes, hour, id, list_all, record, version};

/// Set for the process that has the file of this name.
const HAS_FILE: &str = "TOWER_BEARER_TEST_HAS_FILE";

fn problem(path: &Path) -> String {
    match RedbStore::open(path).unwrap_err() {
        StoreError::Open { store, problem } => {
            assert_eq!(store, path.display().to_string());
            problem
        }
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn all_of_it_is_there_when_it_is_opened_again() {
    let now = SystemTime::now();
    let directory = Directory::new();
    let first = record(1, now + hour());
    let revoked = Revocation::session(None, "a", now + hour());
    let store = RedbStore::open(directory.file()).unwrap();
    store.insert(first.clone(), now).await.unwrap();
    store.insert(record(2, now + hour()), now).await.unwrap();
    assert!(store.replace(version(&first, 1)).await.unwrap());
    assert!(store.remove(id(2)).await.unwrap());
    store.add(&revoked, now).await.unwrap();
    let cursor = store.changes(None).await.unwrap().cursor;
    drop(store);
    for _ in 0..3 {
        let store = RedbStore::open(directory.file()).unwrap();
        let all = list_all(&store, SessionsOf::Subject("alice"), 9).await;
        assert_eq!(all, [version(&first, 1)]);
        assert_eq!(all_changes(&store).await, std::slice::from_ref(&revoked));
        assert!(
            store
                .changes(Some(&cursor))
                .await
                .unwrap()
                .revocations
                .is_empty()
        );
        assert_eq!(RevocationHub::open(store).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_does_no_harm() {
    let now = SystemTime::now();
    let directory = Directory::new();
    let store = RedbStore::open(directory.file()).unwrap();
    for number in 0..50 {
        let begun = store.insert(record(number, now + hour()), now);
        // Asked for, and not waited for.
        let _ = begun.now_or_never();
    }
    let clone = store.clone();
    drop(store);
    // All of them were asked for before this.
    clone.insert(record(99, now + hour()), now).await.unwrap();
    drop(clone);
    let store = RedbStore::open(directory.file()).unwrap();
    assert_eq!(
        list_all(&store, SessionsOf::Client("web"), 100).await.len(),
        51
    );
}

#[test]
fn it_needs_no_runtime() {
    let now = SystemTime::now();
    let store = RedbStore::in_memory().unwrap();
    block_on(store.insert(record(1, now + hour()), now)).unwrap();
    assert!(block_on(store.find(id(1))).unwrap().is_some());
}

#[test]
fn it_is_opened_once_at_a_time() {
    let directory = Directory::new();
    let store = RedbStore::open(directory.file()).unwrap();
    for _ in 0..2 {
        let problem = problem(&directory.file());
        assert!(
            problem.contains("in use") && problem.contains("Redis"),
            "{problem}"
        );
    }
    let clone = store.clone();
    drop(store);
    assert!(problem(&directory.file()).contains("in use"));
    drop(clone);
    RedbStore::open(directory.file()).unwrap();
}

#[test]
fn another_process_has_it() {
    let directory = Directory::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "opening::another_process_has_it_child",
            "--nocapture",
        ])
        .env(HAS_FILE, directory.file())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "it is open"));
    let refused = problem(&directory.file());
    assert!(refused.contains("another process"), "{refused}");
    // It ends as soon as nobody speaks to it any more.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    RedbStore::open(directory.file()).unwrap();
}

#[test]
fn another_process_has_it_child() {
    let Some(path) = std::env::var_os(HAS_FILE) else {
        return;
    };
    let store = RedbStore::open(path).unwrap();
    println!("\nit is open");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(store);
}

#[test]
fn a_path_without_a_directory_is_refused() {
    let directory = Directory::new();
    let missing = directory.path().join("none").join("sessions.redb");
    assert!(problem(&missing).contains("create it"));
    assert!(!directory.path().join("none").exists());
    assert!(problem(directory.path()).contains("is a directory"));
    fs::write(directory.file(), "x").unwrap();
    problem(&directory.file().join("below a file"));
}

/// As the store writes a file.
fn write_private(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_file_that_was_being_made_is_made_anew() {
    let now = SystemTime::now();
    let directory = Directory::new();
    let mut provisional = directory.file().into_os_string();
    provisional.push(".tower-bearer-new");
    for left in [
        vec![],
        vec![0; 3_000_000],
        b"redb\x1a\x0a\xa9\x0d\x0a".to_vec(),
    ] {
        write_private(Path::new(&provisional), &left);
        let store = RedbStore::open(directory.file()).unwrap();
        store.insert(record(1, now + hour()), now).await.unwrap();
        drop(store);
        assert!(!Path::new(&provisional).exists());
        // Beside a complete one it means nothing.
        fs::write(&provisional, "x").unwrap();
        let store = RedbStore::open(directory.file()).unwrap();
        assert!(store.find(id(1)).await.unwrap().is_some());
        drop(store);
        fs::remove_file(directory.file()).unwrap();
    }
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let directory = Directory::new();
    for (content, expected) in [
        (vec![], "empty"),
        (b"hello".to_vec(), "not a file of redb"),
        (vec![0; 3_000_000], "not a file of redb"),
        (b"SQLite format 3\0".repeat(1_000), "not a file of redb"),
        (b"redb\x1a\x0a\xa9\x0d\x0a".to_vec(), "cut off"),
    ] {
        write_private(&directory.file(), &content);
        let problem = problem(&directory.file());
        assert!(problem.contains(expected), "{problem}");
        assert_eq!(fs::read(directory.file()).unwrap(), content, "{expected}");
    }
}

#[test]
fn a_database_of_another_application_or_version_is_refused_and_left_alone() {
    const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
    const OTHER: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");

    let directory = Directory::new();
    let change = |change: &dyn Fn(&redb::WriteTransaction)| {
        let database = Database::create(directory.file()).unwrap();
        let mut transaction = database.begin_write().unwrap();
        transaction.set_two_phase_commit(true);
        change(&transaction);
        transaction.commit().unwrap();
        drop(database);
        write_private(&directory.file(), &fs::read(directory.file()).unwrap());
        let before = fs::read(directory.file()).unwrap();
        let problem = problem(&directory.file());
        assert!(fs::read(directory.file()).unwrap() == before, "{problem}");
        problem
    };
    let empty = change(&|_| {});
    assert!(empty.contains("none of tower-bearer"), "{empty}");
    let foreign = change(&|transaction| {
        transaction
            .open_table(OTHER)
            .unwrap()
            .insert("a", "b")
            .unwrap();
    });
    assert!(foreign.contains("meta"), "{foreign}");
    fs::remove_file(directory.file()).unwrap();

    drop(RedbStore::open(directory.file()).unwrap());
    let later = change(&|transaction| {
        transaction
            .open_table(META)
            .unwrap()
            .insert("format", 3)
            .unwrap();
    });
    assert!(
        later.contains("format 3") && later.contains("later"),
        "{later}"
    );
}

#[test]
fn database_of_another_application_that_was_not_closed_is_rejected_and_left_alone() {
    const OTHER: TableDefinition<'_, &str, &str> = TableDefinition::new("other");

    let directory = Directory::new();
    let database = Database::create(directory.file()).unwrap();
    let mut transaction = database.begin_write().unwrap();
    transaction.set_two_phase_commit(true);
    let mut other = transaction.open_table(OTHER).unwrap();
    other.insert("a", "b").unwrap();
    drop(other);
    transaction.commit().unwrap();
    // A kill would leave these bytes.
    let killed = fs::read(directory.file()).unwrap();
    drop(database);
    fs::remove_file(directory.file()).unwrap();
    write_private(&directory.file(), &killed);
    let problem = problem(&directory.file());
    assert!(problem.contains("none of tower-bearer"), "{problem}");
    assert!(fs::read(directory.file()).unwrap() == killed, "{problem}");
}

/// Creates a file with redb 2, which can write both file formats.
fn create_with_redb_2(path: &Path, is_version_3: bool) {
    const META: redb_2::TableDefinition<'_, &str, u64> = redb_2::TableDefinition::new("meta");
    const SESSIONS: redb_2::TableDefinition<'_, &[u8; 16], &[u8]> =
        redb_2::TableDefinition::new("sessions");

    let mut builder = redb_2::Database::builder();
    builder.create_with_file_format_v3(is_version_3);
    let database = builder.create(path).unwrap();
    let mut transaction = database.begin_write().unwrap();
    transaction.set_two_phase_commit(true);
    let mut meta = transaction.open_table(META).unwrap();
    meta.insert("format", 2).unwrap();
    drop(meta);
    let first = record(1, SystemTime::UNIX_EPOCH + hour());
    let mut sessions = transaction.open_table(SESSIONS).unwrap();
    sessions
        .insert(first.id().as_bytes(), &*first.to_bytes())
        .unwrap();
    drop(sessions);
    transaction.commit().unwrap();
    drop(database);
    write_private(path, &fs::read(path).unwrap());
}

#[test]
fn file_format_2_of_redb_is_rejected_and_left_alone() {
    let directory = Directory::new();
    create_with_redb_2(&directory.file(), false);
    let before = fs::read(directory.file()).unwrap();
    let problem = problem(&directory.file());
    assert!(problem.contains("file format 2 of redb"), "{problem}");
    assert!(problem.contains("choose another path"), "{problem}");
    assert!(fs::read(directory.file()).unwrap() == before, "{problem}");
}

#[test]
fn open_file_excludes_every_line_of_redb() {
    let directory = Directory::new();
    let store = RedbStore::open(directory.file()).unwrap();
    let error = Database::open(directory.file()).unwrap_err();
    assert!(
        matches!(error, redb::DatabaseError::DatabaseAlreadyOpen),
        "{error}"
    );
    // redb 2 knows only `flock`, which this store takes on Linux as well.
    #[cfg(target_os = "linux")]
    {
        let error = redb_2::Database::open(directory.file()).unwrap_err();
        assert!(
            matches!(error, redb_2::DatabaseError::DatabaseAlreadyOpen),
            "{error}"
        );
    }
    drop(store);

    let database = Database::open(directory.file()).unwrap();
    assert!(problem(&directory.file()).contains("in use"));
    drop(database);
    drop(RedbStore::open(directory.file()).unwrap());
    fs::remove_file(directory.file()).unwrap();

    create_with_redb_2(&directory.file(), true);
    #[cfg(target_os = "linux")]
    {
        let database = redb_2::Database::open(directory.file()).unwrap();
        assert!(problem(&directory.file()).contains("in use"));
        drop(database);
    }
    RedbStore::open(directory.file()).unwrap();
}

#[tokio::test]
async fn file_format_3_written_by_redb_2_is_read() {
    let directory = Directory::new();
    create_with_redb_2(&directory.file(), true);
    for _ in 0..2 {
        let store = RedbStore::open(directory.file()).unwrap();
        let first = record(1, SystemTime::UNIX_EPOCH + hour());
        assert_eq!(store.find(id(1)).await.unwrap(), Some(first));
        let now = SystemTime::now();
        let revocation = Revocation::session(None, "a", now + hour());
        store.add(&revocation, now).await.unwrap();
    }
}

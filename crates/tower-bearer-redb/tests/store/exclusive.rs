//! M07: files are created exclusively, without following links, with mode 0600.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::thread;
use std::time::SystemTime;

use tower_bearer::issuing::store::{SessionStore as _, StoreError};
use tower_bearer_redb::RedbStore;

use super::block_on;
use super::directory::Directory;
use super::records::{hour, id, record};

const SECRET: &[u8] = b"a file of another application";
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// Set for the process that opens the file of this name with a umask of its own.
const OPENS: &str = "TOWER_BEARER_TEST_OPENS";

fn problem(path: &Path) -> String {
    match RedbStore::open(path).unwrap_err() {
        StoreError::Open { store, problem } => {
            assert_eq!(store, path.display().to_string());
            problem
        }
        error => panic!("{error}"),
    }
}

fn provisional(directory: &Directory) -> PathBuf {
    let mut name = directory.file().into_os_string();
    name.push(".tower-bearer-new");
    name.into()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn names(directory: &Directory) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn umask_does_not_change_mode_of_new_file() {
    // M07: private files
    for umask in ["000", "022", "077", "0277", "0777"] {
        let directory = Directory::new();
        let command = format!(
            "umask {umask} && exec '{}' --exact exclusive::umask_child --nocapture",
            std::env::current_exe().unwrap().display()
        );
        let output = Command::new("sh")
            .args(["-c", &command])
            .env(OPENS, directory.file())
            .output()
            .unwrap();
        assert!(output.status.success(), "{umask}: {output:?}");
        assert_eq!(mode(&directory.file()), 0o600, "{umask}");
        assert_eq!(names(&directory), ["sessions.redb"], "{umask}");
        drop(RedbStore::open(directory.file()).unwrap());
    }
}

#[test]
fn umask_child() {
    if let Some(path) = std::env::var_os(OPENS) {
        drop(RedbStore::open(path).unwrap());
    }
}

#[test]
fn provisional_file_that_store_did_not_write_is_rejected_and_left_alone() {
    // M07: private files
    let target = |directory: &Directory| directory.path().join("target");
    let cases: [(&str, &dyn Fn(&Directory), &str); 9] = [
        (
            "link to a file",
            &|directory| symlink(target(directory), provisional(directory)).unwrap(),
            "symbolic link",
        ),
        (
            "relative link to a file",
            &|directory| symlink("target", provisional(directory)).unwrap(),
            "symbolic link",
        ),
        (
            "link to nothing",
            &|directory| symlink("nothing", provisional(directory)).unwrap(),
            "symbolic link",
        ),
        (
            "link to itself",
            &|directory| symlink(provisional(directory), provisional(directory)).unwrap(),
            "symbolic link",
        ),
        (
            "directory",
            &|directory| fs::create_dir(provisional(directory)).unwrap(),
            "is a directory",
        ),
        (
            "fifo",
            &|directory| make_fifo(&provisional(directory)),
            "not a regular file",
        ),
        (
            "file that every user can write",
            &|directory| {
                fs::write(provisional(directory), MAGIC).unwrap();
                set_mode(&provisional(directory), 0o666);
            },
            "mode is 0666",
        ),
        (
            "file that every user can read",
            &|directory| {
                fs::write(provisional(directory), []).unwrap();
                set_mode(&provisional(directory), 0o604);
            },
            "mode is 0604",
        ),
        (
            "private file with other content",
            &|directory| {
                fs::write(provisional(directory), SECRET).unwrap();
                set_mode(&provisional(directory), 0o600);
            },
            "did not write it",
        ),
    ];
    for (name, place, expected) in cases {
        let directory = Directory::new();
        fs::write(target(&directory), SECRET).unwrap();
        place(&directory);
        let before = fs::symlink_metadata(provisional(&directory)).unwrap();
        for _ in 0..2 {
            let problem = problem(&directory.file());
            assert!(problem.contains(expected), "{name}: {problem}");
            let path = provisional(&directory).display().to_string();
            assert!(problem.contains(&path), "{name}: {problem}");
        }
        let after = fs::symlink_metadata(provisional(&directory)).unwrap();
        assert_eq!(before.ino(), after.ino(), "{name}");
        assert_eq!(before.len(), after.len(), "{name}");
        assert_eq!(before.mode(), after.mode(), "{name}");
        assert_eq!(fs::read(target(&directory)).unwrap(), SECRET, "{name}");
        assert!(!directory.file().exists(), "{name}");
        assert!(!directory.path().join("nothing").exists(), "{name}");
    }
}

#[test]
fn unfinished_file_is_replaced_by_new_file() {
    // M07: private files. The process was killed while it created the database.
    for content in [vec![], vec![0; 1 << 20], MAGIC.to_vec()] {
        let directory = Directory::new();
        let victim = directory.path().join("victim");
        fs::write(&victim, &content).unwrap();
        set_mode(&victim, 0o600);
        // A second name of the same file shows whether it is written to.
        fs::hard_link(&victim, provisional(&directory)).unwrap();
        drop(RedbStore::open(directory.file()).unwrap());
        assert!(
            fs::read(&victim).unwrap() == content,
            "the old file was written to"
        );
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        assert_ne!(inode(&victim), inode(&directory.file()));
        assert_eq!(mode(&directory.file()), 0o600);
        assert_eq!(names(&directory), ["sessions.redb", "victim"]);
    }
}

#[test]
fn symbolic_link_as_path_of_database_is_rejected() {
    // M07: private files
    let now = SystemTime::now();
    let directory = Directory::new();
    let target = directory.path().join("target.redb");
    symlink(&target, directory.file()).unwrap();
    for is_there in [false, true] {
        if is_there {
            drop(RedbStore::open(&target).unwrap());
        }
        let problem = problem(&directory.file());
        assert!(problem.contains("symbolic link"), "{problem}");
        assert_eq!(target.exists(), is_there);
        assert!(!provisional(&directory).exists());
    }
    // A link among the directories is followed.
    let link = directory.path().join("link");
    symlink(directory.path(), &link).unwrap();
    let store = RedbStore::open(link.join("target.redb")).unwrap();
    block_on(store.insert(record(1, now + hour()), now)).unwrap();
    drop(store);
    let store = RedbStore::open(&target).unwrap();
    assert!(block_on(store.find(id(1))).unwrap().is_some());
}

#[test]
fn fifo_as_path_of_database_is_rejected() {
    // M07: private files
    let directory = Directory::new();
    make_fifo(&directory.file());
    assert!(problem(&directory.file()).contains("not a regular file"));
}

#[test]
fn database_that_every_user_can_access_is_rejected() {
    // M07: private files
    let directory = Directory::new();
    drop(RedbStore::open(directory.file()).unwrap());
    for rights in 0..0o1000 {
        let owner = rights | 0o600;
        set_mode(&directory.file(), owner);
        let opened = RedbStore::open(directory.file());
        if owner & 0o007 == 0 {
            assert!(opened.is_ok(), "{owner:04o}: {opened:?}");
        } else {
            drop(opened);
            let problem = problem(&directory.file());
            assert!(
                problem.contains(&format!("mode is {owner:04o}")),
                "{problem}"
            );
            assert!(problem.contains("chmod 600"), "{problem}");
        }
        // The decision of the operator is not changed.
        assert_eq!(mode(&directory.file()), owner);
    }
}

#[test]
fn concurrent_first_openings_create_one_database() {
    // M07: private files. One process removes an unfinished file, and never while another process uses it.
    let now = SystemTime::now();
    for round in 0..60 {
        let directory = Directory::new();
        if round % 2 == 0 {
            fs::write(provisional(&directory), MAGIC).unwrap();
            set_mode(&provisional(&directory), 0o600);
        }
        let barrier = Barrier::new(8);
        let opened: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    let (barrier, path) = (&barrier, directory.file());
                    scope.spawn(move || {
                        barrier.wait();
                        let store = RedbStore::open(path)?;
                        block_on(store.insert(record(number, now + hour()), now)).unwrap();
                        Ok::<_, StoreError>((number, store))
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        let mut winners = Vec::new();
        for result in opened {
            match result {
                Ok((number, store)) => winners.push((number, store)),
                Err(error) => assert!(error.to_string().contains("in use"), "{error}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        let number = winners[0].0;
        drop(winners);
        let store = RedbStore::open(directory.file()).unwrap();
        assert!(block_on(store.find(id(number))).unwrap().is_some());
        assert_eq!(names(&directory), ["sessions.redb"]);
    }
}

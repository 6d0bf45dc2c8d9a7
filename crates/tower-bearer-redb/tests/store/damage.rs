//! A file that was damaged is refused, or nothing is missing from it.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::SystemTime;

use tower_bearer::issuing::store::{
    RevocationStore as _, SessionRecord, SessionStore as _, SessionsOf, StoreError,
};
use tower_bearer::revocation::Revocation;
use tower_bearer_redb::RedbStore;

use super::block_on;
use super::directory::Directory;
use super::records::{all_changes, hour, id, list_all, record, version};

struct Contents {
    sessions: Vec<SessionRecord>,
    revocations: Vec<Revocation>,
}

/// A file with much in it, as it is when it was closed, and as it is when the process was killed.
struct Files {
    closed: Vec<u8>,
    killed: Vec<u8>,
    contents: Contents,
}

async fn files(directory: &Directory, now: SystemTime) -> Files {
    let store = RedbStore::open(directory.file()).unwrap();
    let inserted = (0..200).map(|number| store.insert(record(number, now + hour()), now));
    for answer in futures_util::future::join_all(inserted).await {
        answer.unwrap();
    }
    let long = "x".repeat(5_000);
    let revocations: Vec<_> = (0..20)
        .map(|number| Revocation::session(Some(&long), &number.to_string(), now + hour()))
        .collect();
    for revocation in &revocations {
        store.add(revocation, now).await.unwrap();
    }
    for number in 0..20 {
        let first = record(number * 10, now + hour());
        assert!(store.replace(version(&first, 1)).await.unwrap());
    }
    let contents = read(&store).await;
    assert_eq!(contents.revocations, revocations);
    assert_eq!(contents.sessions.len(), 200);
    // Nothing is under way: a kill would leave exactly this.
    let killed = fs::read(directory.file()).unwrap();
    drop(store);
    let closed = fs::read(directory.file()).unwrap();
    assert!(closed != killed);
    Files {
        closed,
        killed,
        contents,
    }
}

async fn read(store: &RedbStore) -> Contents {
    Contents {
        sessions: list_all(store, SessionsOf::Subject("alice"), 1_000).await,
        revocations: all_changes(store).await,
    }
}

/// Whether the file is taken. If it is, all of it has to be there; if not, it has to be left as it was.
fn is_taken(path: &Path, content: &[u8], contents: &Contents, what: &str) -> bool {
    fs::write(path, content).unwrap();
    let opened = catch_unwind(|| RedbStore::open(path));
    let store = match opened.unwrap_or_else(|_| panic!("{what}: a panic")) {
        Ok(store) => store,
        Err(StoreError::Open { problem, .. }) => {
            assert!(
                fs::read(path).unwrap() == content,
                "{what}: it was written to"
            );
            assert!(!problem.contains("in use"), "{what}: {problem}");
            return false;
        }
        Err(error) => panic!("{what}: {error}"),
    };
    let now_there = block_on(read(&store));
    assert!(
        now_there.sessions == contents.sessions,
        "{what}: a session is missing"
    );
    assert!(
        now_there.revocations == contents.revocations,
        "{what}: a revocation is missing"
    );
    let found = block_on(store.find(id(10))).unwrap().unwrap();
    assert_eq!(found.version(), 1, "{what}");
    true
}

#[test]
fn a_damaged_file_is_refused_or_whole() {
    let directory = Directory::new();
    let files = block_on(files(&directory, SystemTime::now()));
    let path = directory.file();
    for (state, sound) in [("closed", &files.closed), ("killed", &files.killed)] {
        assert!(is_taken(&path, sound, &files.contents, state));
        let mut refused = 0;
        // What says whether there is anything at all, every fourth byte of the header, and one of each eighth page
        // that is written to.
        let header = [65, 193].into_iter().chain((0..320).step_by(4));
        let pages = (4_096..sound.len())
            .step_by(4_096)
            .filter(|page| sound[*page..page + 4_096].iter().any(|byte| *byte != 0))
            .enumerate()
            .filter(|(index, _)| index % 8 == 0)
            .map(|(index, page)| page + index * 37 % 256);
        for at in header.chain(pages) {
            let mut damaged = sound.clone();
            damaged[at] ^= 1 << (at / 2 % 8);
            let what = format!("{state}, byte {at}");
            refused += usize::from(!is_taken(&path, &damaged, &files.contents, &what));
        }
        // Whether it was closed, and how it was written. The bit in front of them says which of the last two commits
        // is the valid one: nobody can tell the other one from a commit that was cut off.
        for bit in 1..8 {
            let mut damaged = sound.clone();
            damaged[9] ^= 1 << bit;
            is_taken(
                &path,
                &damaged,
                &files.contents,
                &format!("{state}, bit {bit}"),
            );
        }
        assert!(refused > 30, "{state}: {refused} were noticed");
    }
}

#[test]
fn a_file_that_is_cut_off_or_blank_in_places_is_refused_or_whole() {
    let directory = Directory::new();
    let files = block_on(files(&directory, SystemTime::now()));
    let path = directory.file();
    for (state, sound) in [("closed", &files.closed), ("killed", &files.killed)] {
        let lengths = [
            1, 8, 9, 12, 100, 319, 320, 4_095, 4_096, 4_097, 8_192, 100_000,
        ];
        for length in lengths
            .into_iter()
            .chain([sound.len() / 2, sound.len() - 1])
        {
            let what = format!("{state}, {length} bytes");
            let cut = &sound[..length];
            assert!(!is_taken(&path, cut, &files.contents, &what), "{what}");
        }
        let tenth = sound.len() / 10;
        for part in 0..10 {
            let mut blank = sound.clone();
            blank[part * tenth..(part + 1) * tenth].fill(0);
            is_taken(
                &path,
                &blank,
                &files.contents,
                &format!("{state}, blank at {part}"),
            );
        }
        // What stands behind the end is nothing to anybody.
        let mut longer = sound.clone();
        longer.extend([7; 5_000]);
        is_taken(&path, &longer, &files.contents, &format!("{state}, longer"));
    }
}

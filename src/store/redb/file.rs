//! The file: found or made, locked, and looked at before redb sees it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::redb::backends::FileBackend;
use ::redb::{DatabaseError, StorageBackend};

use super::engine::damaged;

pub(super) const IN_USE: &str = "it is in use by another process, or opened twice by this one: close it there, or share sessions by Redis";

/// What a file of redb begins with, up to the sizes: see the section on the file format in its design document.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
/// A byte of flags stands here.
pub(super) const STATE_OFFSET: usize = 9;
/// It was not closed.
pub(super) const NEEDS_RECOVERY: u8 = 2;
/// The last commit was one in two phases, as all of ours are.
const TWO_PHASE_COMMIT: u8 = 4;
const SIZES_OFFSET: usize = 12;
const HEADER_LENGTH: usize = 320;
const PAGE: u64 = 4_096;
/// A region has at most so many pages,
const MAX_REGION_PAGES: u64 = 1 << 20;
/// and these in front of them.
const MAX_REGION_HEADER_PAGES: u64 = 1 << 10;

/// A file that nobody else has.
pub(super) enum Opened {
    Existing(Arc<dyn StorageBackend>),
    /// It is empty, and has another name until it is [published](publish).
    New(Arc<dyn StorageBackend>),
}

pub(super) fn open(path: &Path) -> Result<Opened, String> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok(Opened::Existing(lock(file)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
        Err(error) => Err(explain(&error)),
    }
}

/// Makes a file under another name, so that one that was not completed is never taken for one that was damaged.
fn create(path: &Path) -> Result<Opened, String> {
    let provisional = provisional(path);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options
        .open(&provisional)
        .map_err(|error| explain(&error))?;
    let backend = lock(file)?;
    // Whoever had it before may have published it meanwhile.
    if path.exists() {
        drop(backend);
        return open(path);
    }
    backend.set_len(0).map_err(|error| explain(&error))?;
    Ok(Opened::New(backend))
}

/// Gives a new file its name.
pub(super) fn publish(path: &Path) -> Result<(), String> {
    fs::rename(provisional(path), path).map_err(|error| explain(&error))?;
    // So that it is not the name that is gone after a power failure.
    #[cfg(unix)]
    {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| explain(&error))?;
    }
    Ok(())
}

fn provisional(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".tower-bearer-new");
    name.into()
}

fn lock(file: File) -> Result<Arc<dyn StorageBackend>, String> {
    match FileBackend::new(file) {
        Ok(backend) => Ok(Arc::new(backend)),
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(IN_USE.into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether this may be a file of redb, all of which is there.
pub(super) fn check_header(backend: &dyn StorageBackend) -> Result<(), String> {
    let len = backend.len().map_err(|error| explain(&error))?;
    if len == 0 {
        return Err("it is empty: remove it if there is nothing that should be in it".into());
    }
    let there = usize::try_from(len)
        .unwrap_or(HEADER_LENGTH)
        .min(HEADER_LENGTH);
    let header = backend.read(0, there).map_err(|error| explain(&error))?;
    if !header.starts_with(&MAGIC) {
        return Err("it is not a file of redb: choose another path".into());
    }
    if there < HEADER_LENGTH {
        return Err(damaged("it is cut off"));
    }
    if header[STATE_OFFSET] & TWO_PHASE_COMMIT == 0 {
        return Err(damaged("its last commit is not one of tower-bearer"));
    }
    let size = |index: usize| {
        let at = SIZES_OFFSET + 4 * index;
        let bytes = header[at..at + 4].try_into().unwrap_or_default();
        u64::from(u32::from_le_bytes(bytes))
    };
    let [page, region_header, region, full, trailing] =
        [size(0), size(1), size(2), size(3), size(4)];
    if page != PAGE
        || region_header > MAX_REGION_HEADER_PAGES
        || !(1..=MAX_REGION_PAGES).contains(&region)
        || trailing > region
    {
        return Err(damaged("its sizes cannot be right"));
    }
    let trailing = match trailing {
        0 => 0,
        trailing => region_header + trailing,
    };
    // None of these is above 2^32.
    let expected = PAGE.saturating_mul(1 + full.saturating_mul(region_header + region) + trailing);
    if len < expected {
        return Err(damaged(&format!("{len} bytes of {expected} are there")));
    }
    Ok(())
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its directory does not exist: create it".into(),
        io::ErrorKind::PermissionDenied => {
            format!("it may not be read and written by this process: {error}")
        }
        io::ErrorKind::IsADirectory => "it is a directory: name a file in it".into(),
        _ => error.to_string(),
    }
}

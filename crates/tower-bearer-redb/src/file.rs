//! The file: opened or created, locked, and checked before redb sees it.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend;
use redb::backends::FileBackend;

use crate::engine::damaged;

pub(crate) const IN_USE: &str = "it is in use by another process, or opened twice by this one: close it there, or share sessions by Redis";

/// Only the owner reads and writes.
#[cfg(unix)]
const PRIVATE_MODE: u32 = 0o600;
/// The rights of users that are neither the owner nor in the group.
#[cfg(unix)]
const OTHERS: u32 = 0o007;

/// What a file of redb begins with, up to the sizes: see the section on the file format in its design document.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
/// A byte of flags stands here.
pub(crate) const STATE_OFFSET: usize = 9;
/// It was not closed.
pub(crate) const NEEDS_RECOVERY: u8 = 2;
/// The last commit was one in two phases, as all of ours are.
const TWO_PHASE_COMMIT: u8 = 4;
const SIZES_OFFSET: usize = 12;
const HEADER_LENGTH: usize = 320;
const PAGE: u64 = 4_096;
/// A region has at most so many pages,
const MAX_REGION_PAGES: u64 = 1 << 20;
/// and these in front of them.
const MAX_REGION_HEADER_PAGES: u64 = 1 << 10;

/// The number of attempts to look up a name that another process changes at the same time.
const ATTEMPTS: usize = 16;

/// A file that is locked by this store alone.
pub(crate) enum Opened {
    Existing(Arc<dyn StorageBackend>),
    /// An empty file with a provisional name until it is [published](publish).
    New(Arc<dyn StorageBackend>),
}

/// Opens the database, or creates a file with the provisional name if there is none.
///
/// Only the process that has locked a file removes or renames its name, so two processes that start at the
/// same time never create two databases.
pub(crate) fn open(path: &Path) -> Result<Opened, String> {
    if path.file_name().is_none() {
        return Err("the path names no file".into());
    }
    for _ in 0..ATTEMPTS {
        if let Some(opened) = try_open(path)? {
            return Ok(opened);
        }
    }
    Err(IN_USE.into())
}

/// Opens or creates the file once. `None` if another process has changed one of the names meanwhile.
fn try_open(path: &Path) -> Result<Option<Opened>, String> {
    if let Some(file) = open_existing(path)? {
        check_access(&file)?;
        return Ok(lock(path, file)?.map(Opened::Existing));
    }
    let provisional = provisional(path);
    let of_provisional =
        |problem| format!("its provisional file {}: {problem}", provisional.display());
    match create_new(&provisional) {
        Ok(file) => {
            let access = file.try_clone().map_err(|error| explain(&error))?;
            let Some(backend) = lock(&provisional, file).map_err(of_provisional)? else {
                return Ok(None);
            };
            // The process that had the lock before may have published the database.
            let is_superfluous = is_there(path)?;
            let private = make_private(&access);
            if is_superfluous || private.is_err() {
                remove(&provisional).map_err(of_provisional)?;
            }
            private.map_err(of_provisional)?;
            Ok((!is_superfluous).then_some(Opened::New(backend)))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove_unfinished(&provisional).map_err(of_provisional)?;
            Ok(None)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(explain(&error)),
        Err(error) => Err(of_provisional(explain(&error))),
    }
}

/// Opens a regular file. `None` if there is no file with this name, or no longer.
fn open_existing(path: &Path) -> Result<Option<File>, String> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(explain(&error)),
    };
    if found.is_symlink() {
        return Err("it is a symbolic link, which this store does not follow: use the path of its target, or remove the link".into());
    }
    if found.is_dir() {
        return Err(explain(&io::ErrorKind::IsADirectory.into()));
    }
    if !found.is_file() {
        return Err("it is not a regular file: choose another path, or remove it".into());
    }
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(explain(&error)),
    };
    // Another process may have put a link there meanwhile, which `open` follows.
    let opened = file.metadata().map_err(|error| explain(&error))?;
    Ok(is_same(&found, &opened).then_some(file))
}

/// Creates a file. Fails if the name exists, also as a dangling symbolic link.
fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, PRIVATE_MODE);
    options.open(path)
}

/// Gives a new file the mode that the umask, or the file system, may have changed.
#[cfg(unix)]
fn make_private(file: &File) -> Result<(), String> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(PRIVATE_MODE))
        .map_err(|error| explain(&error))?;
    check_access(file)
}

#[cfg(not(unix))]
fn make_private(_: &File) -> Result<(), String> {
    Ok(())
}

/// Removes the provisional file of a process that ended before its database was complete.
fn remove_unfinished(path: &Path) -> Result<(), String> {
    let Some(file) = open_existing(path)? else {
        return Ok(());
    };
    check_access(&file)?;
    let Some(backend) = lock(path, file)? else {
        return Ok(());
    };
    let len = backend.len().map_err(|error| explain(&error))?;
    let there = usize::try_from(len).unwrap_or(MAGIC.len()).min(MAGIC.len());
    let mut start = vec![0; there];
    let read = backend.read(0, &mut start);
    read.map_err(|error| explain(&error))?;
    // redb writes its magic number last.
    if start != MAGIC && start.iter().any(|byte| *byte != 0) {
        return Err("this store did not write it: remove it if it is not needed".into());
    }
    remove(path)
}

fn remove(path: &Path) -> Result<(), String> {
    fs::remove_file(path).map_err(|error| explain(&error))
}

fn is_there(path: &Path) -> Result<bool, String> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(explain(&error)),
    }
}

/// Checks that other users of the machine cannot read or write the file. A group can: Kubernetes (`fsGroup`)
/// gives a volume to the group of the container each time it mounts the volume.
#[cfg(unix)]
fn check_access(file: &File) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;

    let mode = file.metadata().map_err(|error| explain(&error))?.mode() & 0o7777;
    match mode & OTHERS {
        0 => Ok(()),
        _ => Err(format!(
            "its mode is {mode:04o}, so every user of this machine has access: `chmod 600` it if its content can be \
             trusted (on a file system without modes, choose another path)"
        )),
    }
}

#[cfg(not(unix))]
fn check_access(_: &File) -> Result<(), String> {
    Ok(())
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Gives a complete database its name. This replaces a file or link that was put there since the database was opened,
/// and does not follow the link.
pub(crate) fn publish(path: &Path) -> Result<(), String> {
    fs::rename(provisional(path), path).map_err(|error| explain(&error))?;
    // A power failure could otherwise undo the new name.
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

/// Locks the file. `None` if the name belongs to another file by now, or to none.
fn lock(path: &Path, file: File) -> Result<Option<Arc<dyn StorageBackend>>, String> {
    let opened = file.metadata().map_err(|error| explain(&error))?;
    // Versions of redb before 4.3 know only this lock. On a file system without it, the next lock decides.
    #[cfg(target_os = "linux")]
    if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
        return Err(IN_USE.into());
    }
    let backend = FileBackend::new(file).map_err(|error| error.to_string())?;
    // Both locks belong to the open file and last until it is closed.
    match backend.try_lock_range(Bound::Unbounded, Bound::Unbounded) {
        Ok(true) => {}
        Ok(false) => return Err(IN_USE.into()),
        Err(error) => return Err(format!("it cannot be locked: {error}")),
    }
    let backend = Arc::new(backend);
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(is_same(&found, &opened).then_some(backend as _)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(explain(&error)),
    }
}

/// Whether this may be a file of redb, all of which is there.
pub(crate) fn check_header(backend: &dyn StorageBackend) -> Result<(), String> {
    let len = backend.len().map_err(|error| explain(&error))?;
    if len == 0 {
        return Err("it is empty: remove it if there is nothing that should be in it".into());
    }
    let there = usize::try_from(len)
        .unwrap_or(HEADER_LENGTH)
        .min(HEADER_LENGTH);
    let mut header = vec![0; there];
    let read = backend.read(0, &mut header);
    read.map_err(|error| explain(&error))?;
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

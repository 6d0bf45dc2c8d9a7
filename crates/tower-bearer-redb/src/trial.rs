//! What redb is given to write to.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use crate::file::{NEEDS_RECOVERY, STATE_OFFSET};

const PAGE: usize = 4_096;

/// The backend, until it is let go: then nothing is written to it any more.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    backend: Arc<dyn StorageBackend>,
    is_gone: Arc<AtomicBool>,
}

impl Held {
    pub(crate) fn new(backend: Arc<dyn StorageBackend>) -> Self {
        Self {
            backend,
            is_gone: Arc::default(),
        }
    }

    pub(crate) fn let_go(&self) {
        self.is_gone.store(true, Ordering::Release);
    }

    fn backend(&self) -> io::Result<&dyn StorageBackend> {
        match self.is_gone.load(Ordering::Acquire) {
            true => Err(io::Error::other("it is not used any more")),
            false => Ok(&*self.backend),
        }
    }
}

impl StorageBackend for Held {
    fn len(&self) -> io::Result<u64> {
        self.backend()?.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend()?.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.backend()?.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.backend()?.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend()?.write(offset, data)
    }
}

/// A copy of the backend that is written to in memory alone. It says that it was not closed properly, so that redb
/// compares the checksums of the header too.
#[derive(Debug)]
pub(crate) struct Trial {
    backend: Arc<dyn StorageBackend>,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
    /// If it is another one than that of the backend.
    len: Option<u64>,
    /// From here on the backend does not show through: it was cut off here once.
    end: Option<u64>,
}

impl Trial {
    pub(crate) fn new(backend: Arc<dyn StorageBackend>) -> Self {
        Self {
            backend,
            written: Mutex::default(),
        }
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn len_of(&self, written: &Written) -> io::Result<u64> {
        written.len.map_or_else(|| self.backend.len(), Ok)
    }

    /// A page as it is now.
    fn page(&self, written: &Written, number: u64) -> io::Result<Box<[u8; PAGE]>> {
        if let Some(page) = written.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = Box::new([0; PAGE]);
        let start = number * PAGE as u64;
        let end = self.backend.len()?.min(written.end.unwrap_or(u64::MAX));
        let there = end.saturating_sub(start).min(PAGE as u64);
        let there = usize::try_from(there).unwrap_or(PAGE);
        if there > 0 {
            self.backend.read(start, &mut page[..there])?;
        }
        if number == 0 {
            page[STATE_OFFSET] |= NEEDS_RECOVERY;
        }
        Ok(page)
    }
}

impl StorageBackend for Trial {
    fn len(&self) -> io::Result<u64> {
        self.len_of(&self.written())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        let end = offset.checked_add(out.len() as u64);
        if end.is_none_or(|end| self.len_of(&written).is_ok_and(|len| end > len)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let page = self.page(&written, at / PAGE as u64)?;
            let start = usize::try_from(at % PAGE as u64).unwrap_or(0);
            let count = (PAGE - start).min(out.len() - done);
            out[done..done + count].copy_from_slice(&page[start..start + count]);
            done += count;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written();
        if len < self.len_of(&written)? {
            written
                .pages
                .retain(|number, _| number * (PAGE as u64) < len);
            written.end = Some(written.end.unwrap_or(u64::MAX).min(len));
        }
        written.len = Some(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        let mut rest = data;
        let mut at = offset;
        while !rest.is_empty() {
            let number = at / PAGE as u64;
            let start = usize::try_from(at % PAGE as u64).unwrap_or(0);
            let (now, later) = rest.split_at((PAGE - start).min(rest.len()));
            let mut page = self.page(&written, number)?;
            page[start..start + now.len()].copy_from_slice(now);
            written.pages.insert(number, page);
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }
}

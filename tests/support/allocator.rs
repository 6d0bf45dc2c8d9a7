//! A global allocator that counts per thread, and can search the blocks that are freed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that this thread has allocated and not freed.
    static HELD: Cell<isize> = const { Cell::new(0) };
    /// The text that freed blocks are searched for.
    static MARKER: Cell<&[u8]> = const { Cell::new(b"") };
    static FOUND: Cell<usize> = const { Cell::new(0) };
}

fn size(layout: Layout) -> isize {
    isize::try_from(layout.size()).unwrap_or(0)
}

// SAFETY: every call is forwarded to the system allocator. A block is read before it is freed, while its owner
// still has it, byte by byte and volatile.
#[expect(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        HELD.set(HELD.get() + size(layout));
        // Zeroed, so that no byte is uninitialized or left from an earlier owner.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - size(layout));
        let marker = MARKER.get();
        if !marker.is_empty() && layout.size() >= marker.len() {
            let mut matched = 0;
            for at in 0..layout.size() {
                let byte = unsafe { pointer.add(at).read_volatile() };
                matched = match byte {
                    byte if byte == marker[matched] => matched + 1,
                    byte if byte == marker[0] => 1,
                    _ => 0,
                };
                if matched == marker.len() {
                    FOUND.set(FOUND.get() + 1);
                    matched = 0;
                }
            }
        }
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the number of allocations that this thread has made.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// Returns the number of bytes that this thread has allocated and not freed.
pub(crate) fn held_bytes() -> isize {
    HELD.get()
}

/// Returns how often `marker` is in the blocks that this thread frees while `act` runs. The first byte
/// of `marker` must not occur in the rest.
#[allow(dead_code, reason = "only `memory` searches")]
pub(crate) fn marked_in_freed_blocks(marker: &'static [u8], act: impl FnOnce()) -> usize {
    assert!(!marker[1..].contains(&marker[0]));
    FOUND.set(0);
    MARKER.set(marker);
    act();
    MARKER.set(b"");
    FOUND.get()
}

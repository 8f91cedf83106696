//! Memory of this process that it does not need any more.

use std::io;

/// `struct Elf64_Phdr` (elf(5)); 32-bit targets are not built.
#[repr(C)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    physical: u64,
    file_size: u64,
    memory_size: u64,
    align: u64,
}

const PAGE: u64 = 4096;

/// Takes the program's read-only segments out of this process's page table. Nothing is lost: they stay in the page cache, and
/// what is needed again comes back page by page. A process that waits for long after a busy start is charged for a few pages
/// then instead of for everything that starting touched.
///
/// # Errors
/// That of `madvise(2)`.
pub fn forget_program() -> io::Result<()> {
    // SAFETY: getauxval only reads what the kernel gave at exec.
    let (table, count) = unsafe { (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_PHNUM)) };
    if table == 0 {
        return Ok(());
    }
    // SAFETY: AT_PHDR and AT_PHNUM describe the program headers, which are mapped for as long as the process lives.
    let headers = unsafe {
        std::slice::from_raw_parts(
            std::ptr::with_exposed_provenance::<ProgramHeader>(table as usize),
            count as usize,
        )
    };
    // Where a position-independent program was loaded; one that is not has no difference, or no such header.
    let base = headers
        .iter()
        .find(|header| header.kind == libc::PT_PHDR)
        .map_or(0, |header| table.wrapping_sub(header.address));
    let read_only = |header: &&ProgramHeader| header.kind == libc::PT_LOAD && header.flags & libc::PF_W == 0;
    for header in headers.iter().filter(read_only) {
        let start = base.wrapping_add(header.address) & !(PAGE - 1);
        // The last page may be shared with nothing: segments of different protection never share one.
        let end = base.wrapping_add(header.address + header.memory_size).next_multiple_of(PAGE);
        // SAFETY: these pages are file-backed and were never written (no PF_W, and relocations lie in writable segments), so
        // every later access finds the same bytes.
        let result = unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(start as usize),
                (end - start) as usize,
                libc::MADV_DONTNEED,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Gives free heap memory back to the kernel. glibc keeps what it once had; other allocators are left alone.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_file_kib() -> u64 {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn the_program_goes_on_with_fewer_pages() {
        let before = resident_file_kib();
        forget_program().unwrap();
        let after = resident_file_kib();
        assert!(after < before, "{before} KiB, then {after} KiB");
        assert_eq!("still here".to_uppercase(), "STILL HERE");
    }
}

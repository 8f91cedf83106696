//! Random bytes and identifiers from the kernel.

/// Fills `bytes` from getrandom(2), which cannot fail once the system has booted.
pub(crate) fn fill(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        if let Ok(count) =
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
        {
            filled += count;
        }
    }
}

/// `N` random bytes in hex.
pub(crate) fn hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

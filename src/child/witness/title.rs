//! The name under which the witness is shown.
//!
//! [`rename`] runs in the forked witness and must make system calls only.

/// Where the arguments of this process are kept: address and length.
pub(super) type TitleArea = (usize, usize);

/// Fields 48 and 49 of `proc_pid_stat(5)`.
pub(super) fn title_area() -> Option<TitleArea> {
    let line = std::fs::read("/proc/self/stat").ok()?;
    let line = String::from_utf8_lossy(&line);
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest
        .split_ascii_whitespace()
        .skip(45)
        .map(str::parse::<usize>);
    let (start, end) = (fields.next()?.ok()?, fields.next()?.ok()?);
    (start != 0 && end > start).then(|| (start, end - start))
}

/// Takes a name of its own, so that `pkill tflock` and `pkill -f 'tflock apply'` mean tflock alone. If the witness were
/// hit as well that would look as if terraform had got the signal.
pub(super) fn rename(title: Option<TitleArea>) {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_name(NAME);
    if let Some((start, length)) = title {
        let area: *mut u8 = std::ptr::with_exposed_provenance_mut(start);
        let shown = NAME.to_bytes();
        // SAFETY: the kernel placed the arguments in this range of our memory, writable, and says so itself; this
        // process reads them no more.
        unsafe {
            area.write_bytes(0, length);
            area.copy_from_nonoverlapping(shown.as_ptr(), shown.len().min(length - 1));
        }
    }
}

const NAME: &std::ffi::CStr = c"lock-witness";

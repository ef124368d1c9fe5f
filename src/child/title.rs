//! The name under which `ps` shows and `pkill` finds a process.

use std::ffi::CStr;

use crate::system::process::Stat;

/// Address and length of this process's arguments in memory.
pub(super) type TitleArea = (usize, usize);

pub(super) fn title_area() -> Option<TitleArea> {
    let (start, end) = Stat::read(std::process::id()).ok()?.arguments;
    (start != 0 && end > start).then(|| (start, end - start))
}

/// Shows this process as `name` instead of the contents of `area`. The forked witness calls it: it must make only
/// system calls.
pub(super) fn rename(name: &CStr, area: Option<TitleArea>) {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_name(name);
    if let Some((start, length)) = area {
        let area: *mut u8 = std::ptr::with_exposed_provenance_mut(start);
        let shown = name.to_bytes();
        // SAFETY: the kernel placed the arguments in this range of our memory, writable, and says so itself; this
        // process reads them no more.
        unsafe {
            area.write_bytes(0, length);
            area.copy_from_nonoverlapping(shown.as_ptr(), shown.len().min(length - 1));
        }
    }
}

/// Shows this process as `name` instead of `called`, its own first word; its arguments stay. Call it after reading
/// those and before starting threads.
pub fn rename_this_process(name: &CStr, called: &std::ffi::OsStr) {
    let zeroth = title_area()
        .filter(|(_, length)| !called.is_empty() && *length > called.len())
        .map(|(start, _)| (start, called.len() + 1));
    rename(name, zeroth);
}

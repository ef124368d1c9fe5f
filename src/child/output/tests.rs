//! Real pipes and sockets.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::*;

/// An output with one pipe: the child's end, and the reader's end.
fn one_pipe() -> (Output, PipeWriter, PipeReader) {
    let (reader, theirs) = io::pipe().unwrap();
    let file = File::open("/dev/null").unwrap();
    let mut output = Output::between_these(theirs.as_fd(), file.as_fd()).unwrap();
    assert!(output.stderr.is_none(), "only pipes are relayed");
    let child = output.stdout.take().unwrap();
    (output, child, reader)
}

fn delivered(mut output: Output) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(20), output.delivered()).await })
        .expect("delivered in time");
}

fn is_writable(descriptor: &impl AsFd) -> bool {
    let mut watched = [PollFd::new(descriptor.as_fd(), PollFlags::POLLOUT)];
    poll(&mut watched, PollTimeout::ZERO).unwrap() > 0
}

#[test]
fn every_byte_arrives_in_order() {
    let (mut output, mut child, mut reader) = one_pipe();
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let sent = bytes.clone();
    let writer = thread::spawn(move || child.write_all(&sent).unwrap());
    let received = thread::spawn(move || {
        let mut received = Vec::new();
        reader.read_to_end(&mut received).unwrap();
        received
    });
    writer.join().unwrap();
    output.child_ended();
    delivered(output);
    assert!(received.join().unwrap() == bytes);
}

#[test]
fn one_pipe_for_both_streams_keeps_their_order() {
    let (mut reader, theirs) = io::pipe().unwrap();
    let same = theirs.try_clone().unwrap();
    let mut output = Output::between_these(theirs.as_fd(), same.as_fd()).unwrap();
    let mut stdout = output.stdout.take().unwrap();
    let mut stderr = output.stderr.take().unwrap();
    let mut expected = Vec::new();
    for number in 0..1000 {
        writeln!(stdout, "out {number}").unwrap();
        writeln!(stderr, "err {number}").unwrap();
        writeln!(expected, "out {number}\nerr {number}").unwrap();
    }
    drop((stdout, stderr, theirs, same));
    delivered(output);
    let mut received = Vec::new();
    reader.read_to_end(&mut received).unwrap();
    assert_eq!(String::from_utf8(received), String::from_utf8(expected));
}

#[test]
fn different_pipes_stay_separate() {
    let (mut out_reader, out) = io::pipe().unwrap();
    let (mut err_reader, err) = io::pipe().unwrap();
    let mut output = Output::between_these(out.as_fd(), err.as_fd()).unwrap();
    output.stdout.take().unwrap().write_all(b"out").unwrap();
    output.stderr.take().unwrap().write_all(b"err").unwrap();
    drop((out, err));
    delivered(output);
    let (mut from_out, mut from_err) = (String::new(), String::new());
    out_reader.read_to_string(&mut from_out).unwrap();
    err_reader.read_to_string(&mut from_err).unwrap();
    assert_eq!((from_out.as_str(), from_err.as_str()), ("out", "err"));
}

#[test]
fn a_reader_that_goes_away_does_not_block_the_child() {
    let (output, mut child, mut reader) = one_pipe();
    child.write_all(b"first").unwrap();
    let mut first = [0; 5];
    reader.read_exact(&mut first).unwrap();
    drop(reader);
    let more = vec![b'x'; CHUNK];
    for _ in 0..100 {
        child.write_all(&more).expect("never EPIPE");
    }
    drop(child);
    delivered(output);
}

#[test]
fn output_at_the_childs_end_arrives_although_a_daemon_holds_the_pipe_open() {
    let (mut output, mut child, mut reader) = one_pipe();
    let daemon = child.try_clone().unwrap();
    child.write_all(b"last words").unwrap();
    drop(child);
    output.child_ended();
    delivered(output);
    let mut received = [0; 10];
    reader.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"last words");
    drop(daemon);
}

#[test]
fn a_non_blocking_socket_gets_everything() {
    let (theirs, mut reader) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let theirs = OwnedFd::from(theirs);
    let file = File::open("/dev/null").unwrap();
    let mut output = Output::between_these(theirs.as_fd(), file.as_fd()).unwrap();
    let mut child = output.stdout.take().unwrap();
    let (socket, pipe) = (theirs.try_clone().unwrap(), child.try_clone().unwrap());
    drop(theirs);
    let writer = thread::spawn(move || child.write_all(&vec![b'x'; 2_000_000]).unwrap());
    while !writer.is_finished() && (is_writable(&socket) || is_writable(&pipe)) {
        thread::yield_now();
    }
    drop((socket, pipe));
    let mut received = vec![0; 2_000_000];
    reader.read_exact(&mut received).unwrap();
    writer.join().unwrap();
    delivered(output);
    assert!(received.iter().all(|&byte| byte == b'x'));
}

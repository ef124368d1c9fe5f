use std::io::{PipeReader, Read as _};
use std::os::fd::OwnedFd;

use super::state::CAPACITY;
use super::*;

fn pipe() -> (PipeReader, Writer) {
    let (reader, writer) = io::pipe().unwrap();
    (reader, Writer::to(Some(File::from(OwnedFd::from(writer)))))
}

fn say(writer: &Writer, text: &str) {
    writer.say(format!("{text}\n"), Importance::Message);
}

/// Writes more than a pipe holds, so that the writer blocks.
fn fill(writer: &Writer) -> String {
    let text = "x".repeat(200_000) + "\n";
    writer.say(text.clone(), Importance::Message);
    text
}

fn read(reader: &mut PipeReader, length: usize) -> String {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_message_is_written_before_its_author_goes_on() {
    let (mut reader, writer) = pipe();
    for text in ["one", "two", "three"] {
        say(&writer, text);
        assert!(writer.is_settled());
        assert_eq!(read(&mut reader, text.len() + 1), format!("{text}\n"));
    }
}

#[test]
fn a_stalled_reader_costs_one_moment_and_gets_everything_in_order_later() {
    let (mut reader, writer) = pipe();
    let first = fill(&writer);
    let begun = Instant::now();
    let words: Vec<String> = (0..100).map(|number| format!("word {number}\n")).collect();
    for word in &words {
        writer.say(word.clone(), Importance::Detail);
    }
    // Not a moment for each word.
    assert!(begun.elapsed() < 20 * MOMENT, "{:?}", begun.elapsed());
    assert!(!writer.is_settled());
    let expected = first + &words.concat();
    assert_eq!(read(&mut reader, expected.len()), expected);
    writer.settle(Duration::from_secs(20));
    assert!(writer.is_settled());
    // The reader reads again, so the writer waits for it again.
    say(&writer, "after");
    assert!(writer.is_settled());
    assert_eq!(read(&mut reader, 6), "after\n");
}

#[test]
fn a_full_queue_drops_details_first_and_says_so() {
    let (mut reader, writer) = pipe();
    let first = fill(&writer);
    say(&writer, "a warning");
    for number in 0..9 {
        let text = format!("{number}{}\n", "d".repeat(CAPACITY / 8));
        writer.say(text, Importance::Detail);
    }
    say(&writer, "the end");
    assert_eq!(read(&mut reader, first.len()), first);
    writer.settle(Duration::from_secs(20));
    drop(writer);
    let mut rest = vec![0; 2 * CAPACITY];
    let mut length = 0;
    while !String::from_utf8_lossy(&rest[..length]).ends_with("the end\n") {
        length += reader.read(&mut rest[length..]).unwrap();
    }
    let rest = String::from_utf8_lossy(&rest[..length]).into_owned();
    let starts: Vec<&str> = rest
        .lines()
        .map(|line| &line[..line.len().min(9)])
        .collect();
    assert_eq!(starts[0], "tflock: 2");
    assert_eq!(starts[1], "a warning");
    assert!(starts[2].starts_with("2d"), "{starts:?}");
    assert_eq!(starts.last(), Some(&"the end"));
}

#[test]
fn nothing_waits_for_a_reader_that_is_gone() {
    let (reader, writer) = pipe();
    drop(reader);
    say(&writer, "lost");
    let begun = Instant::now();
    say(&writer, "lost too");
    writer.settle(Duration::from_secs(20));
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(writer.is_settled());
}

//! Answers that never end, that are not the store's, or that never come: each is abandoned in time and
//! reported as what it is.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::http::Message;
use crate::support::odd_server::{OddServer, Wire};
use crate::support::process::{Finished, Invocation};
use crate::support::recorded::s3_workspace;
use crate::support::server::refusing_url;
use crate::support::workspace::Workspace;

/// How much of an answer a client reads before it refuses it, plus the network's buffers.
const TAKEN_AT_MOST: usize = 24 << 20;
/// A piece of an answer that never ends.
static SPACES: [u8; 1 << 16] = [b' '; 1 << 16];
/// Ten seconds for the store, five to withdraw, and some more for a busy machine.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(20);

/// The three services; any of them may be asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    DynamoDb,
    S3,
    Sts,
}

impl Service {
    const ALL: [Self; 3] = [Self::DynamoDb, Self::S3, Self::Sts];

    fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "DynamoDB",
            Self::S3 => "S3",
            Self::Sts => "STS",
        }
    }

    /// A directory whose runs ask the service at that URL first.
    fn workspace(self, url: &str) -> Workspace {
        s3_workspace(&match self {
            Self::DynamoDb => json!({
                "region": "us-east-1", "dynamodb_table": "locks", "endpoints": { "dynamodb": url },
            }),
            Self::S3 => json!({
                "region": "us-east-1", "use_lockfile": true, "endpoints": { "s3": url },
            }),
            Self::Sts => json!({
                "region": "us-east-1", "dynamodb_table": "locks",
                "endpoints": { "dynamodb": refusing_url(), "sts": url },
                "assume_role": { "role_arn": "arn:aws:iam::123456789012:role/locker" },
            }),
        })
    }
}

/// A look at the lock, and an attempt to take it.
fn runs(workspace: &Workspace) -> [Invocation; 2] {
    [
        workspace.tflock(["status"]),
        workspace.tflock(["--wait", "0", "exec", "--", "true"]),
    ]
}

/// Runs every command that asks the services, against a server that answers like this.
fn on_each(
    answer: impl Fn(&Message, &mut Wire<'_>) -> io::Result<()> + Clone + Send + Sync + 'static,
    expect: impl Fn(Service, &str, &Finished, usize) + Sync,
) {
    thread::scope(|scope| {
        for service in Service::ALL {
            for number in 0..2 {
                let (answer, expect) = (answer.clone(), &expect);
                scope.spawn(move || {
                    let server = OddServer::answering(answer);
                    let workspace = service.workspace(&server.url());
                    let [status, exec] = runs(&workspace);
                    let began = Instant::now();
                    let finished = [status, exec].into_iter().nth(number).unwrap().run();
                    let finished = finished.ended_with(69);
                    assert!(began.elapsed() < GIVEN_UP_WITHIN, "{service:?} {finished}");
                    expect(service, &server.url(), &finished, server.written());
                });
            }
        }
    });
}

fn is_refused_for_its_length(service: Service, url: &str, finished: &Finished, written: usize) {
    let words = format!(
        "the answer of {url} is longer than 4 MB; is that really {}?",
        service.name()
    );
    assert!(finished.stderr.contains(&words), "{finished}");
    // Each attempt takes as much.
    assert!(written < 12 * TAKEN_AT_MOST, "{written}");
}

#[test]
fn an_answer_that_announces_three_gigabytes_is_refused_unread() {
    on_each(
        |_, wire| {
            wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3000000000\r\n\r\n")?;
            loop {
                wire.write(&SPACES)?;
            }
        },
        is_refused_for_its_length,
    );
}

#[test]
fn an_answer_in_chunks_without_end_is_refused() {
    on_each(
        |_, wire| {
            wire.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            loop {
                wire.write(b"10000\r\n")?;
                wire.write(&SPACES)?;
                wire.write(b"\r\n")?;
            }
        },
        is_refused_for_its_length,
    );
}

#[test]
fn an_answer_that_comes_byte_by_byte_is_bounded_as_a_whole() {
    on_each(
        |_, wire| {
            wire.write(b"HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 100000\r\n\r\n")?;
            loop {
                wire.write(b"{")?;
                thread::sleep(Duration::from_millis(100));
            }
        },
        |service, _, finished, _| {
            assert!(
                finished.stderr.contains("no answer "),
                "{service:?} {finished}"
            );
        },
    );
}

#[test]
fn a_head_that_comes_byte_by_byte_is_bounded_as_a_whole() {
    on_each(
        |_, wire| {
            wire.write(b"HTTP/1.1 200 OK\r\nx: ")?;
            loop {
                wire.write(b"x")?;
                thread::sleep(Duration::from_millis(100));
            }
        },
        |service, _, finished, _| {
            assert!(
                finished.stderr.contains("no answer "),
                "{service:?} {finished}"
            );
        },
    );
}

#[test]
fn a_service_that_accepts_and_never_answers_is_given_up_in_ten_seconds() {
    on_each(
        |_, wire| wire.be_silent(),
        |service, _, finished, _| {
            let words = "failed: no answer for 10 s\n";
            assert!(finished.stderr.contains(words), "{service:?} {finished}");
            // Only a put that was sent may have left something.
            let is_put = !finished.stderr.contains("cannot read the lock");
            let left = finished.stderr.contains("may have been left behind");
            assert_eq!(
                left,
                is_put && service != Service::Sts,
                "{service:?} {finished}"
            );
        },
    );
}

#[test]
fn a_web_page_is_called_one() {
    let called_one = |status: &str, head: &str| {
        let answer = format!("HTTP/1.1 {status}\r\n{head}content-length: 6\r\n\r\n<html>");
        on_each(
            move |_, wire| wire.write(answer.as_bytes()),
            |service, url, finished, _| {
                let words = format!(
                    "something else answers at {url}: a web page (HTTP status {}), not {}",
                    &status[..3],
                    service.name()
                );
                assert!(finished.stderr.contains(&words), "{finished}");
                assert!(!finished.stderr.contains("left behind"), "{finished}");
            },
        );
    };
    // At once, because each takes ten seconds.
    thread::scope(|scope| {
        scope.spawn(|| called_one("200 OK", "content-type: text/html\r\netag: \"1\"\r\n"));
        scope.spawn(|| {
            called_one(
                "403 Forbidden",
                "content-type: text/html; charset=utf-8\r\n",
            );
        });
    });
}

#[test]
fn a_redirection_to_a_login_is_called_one() {
    on_each(
        |_, wire| {
            let head = "HTTP/1.1 302 Found\r\nlocation: http://login.invalid/\r\ncontent-length: 0\r\n\r\n";
            wire.write(head.as_bytes())
        },
        |service, url, finished, _| {
            let words = format!(
                "something else answers at {url}: a redirect (HTTP status 302), not {}",
                service.name()
            );
            assert!(finished.stderr.contains(&words), "{finished}");
            assert!(!finished.stderr.contains("left behind"), "{finished}");
        },
    );
}

#[test]
fn a_proxy_that_wants_a_password_is_called_one() {
    on_each(
        |_, wire| {
            wire.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
        },
        |_, url, finished, _| {
            let words = format!("the proxy on the way to {url} asks for a user name and password");
            assert!(finished.stderr.contains(&words), "{finished}");
            assert!(!finished.stderr.contains("left behind"), "{finished}");
        },
    );
}

#[test]
fn nothing_is_said_to_be_left_where_nothing_was_sent() {
    // Longer than a label of a name may be: no network is needed to know that there is none.
    let unknown_host = format!("http://{}.invalid:8000", "x".repeat(64));
    thread::scope(|scope| {
        for url in [refusing_url(), unknown_host] {
            for service in Service::ALL {
                let url = url.clone();
                scope.spawn(move || {
                    let workspace = service.workspace(&url);
                    let [_, exec] = runs(&workspace);
                    let finished = exec.run().ended_with(69);
                    assert!(!finished.stderr.contains("left behind"), "{finished}");
                });
            }
        }
    });
}

//! As much HTTP/1.1 as a forwarding proxy and a test's own requests need: whole messages, read and written
//! at once. It must never guess where a message ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A request or a response with its whole body. Bodies that came in chunks are kept joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The request line or the status line, without its line end.
    pub start_line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    /// A request by a test. The signature is a dummy: no engine of the tests checks it.
    pub fn request(method: &str, path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            start_line: format!("{method} {path} HTTP/1.1"),
            headers: Vec::new(),
            body: body.into(),
        }
        .with(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/test/aws4_request, \
             SignedHeaders=host, Signature=0",
        )
    }

    /// A response.
    pub fn response(status: u16, reason: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            start_line: format!("HTTP/1.1 {status} {reason}"),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// The same message with one more header.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Removes all headers of that name.
    pub fn remove_header(&mut self, name: &str) {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.start_line.split(' ').next().unwrap_or_default()
    }

    /// The path of a request, without its query. To a proxy the target is a whole URL.
    pub fn path(&self) -> &str {
        let target = self.start_line.split(' ').nth(1).unwrap_or_default();
        let path = match target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
            None => target,
        };
        path.split('?').next().unwrap_or_default()
    }

    /// The query of a request; empty if there is none.
    pub fn query(&self) -> &str {
        let target = self.start_line.split(' ').nth(1).unwrap_or_default();
        target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        let word = self.start_line.split(' ').nth(1).unwrap_or_default();
        word.parse().unwrap_or_default()
    }

    /// The body as text, with replacement characters where it is none.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The bytes of the message on the wire, always framed by `content-length`.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_bytes_announcing(self.body.len())
    }

    /// As [`Message::to_bytes`], but promising a body of `length` bytes: what a HEAD reply does honestly and
    /// a cut-off reply does not.
    pub fn to_bytes_announcing(&self, length: usize) -> Vec<u8> {
        let framing = ["content-length", "transfer-encoding"];
        let mut lines = vec![self.start_line.clone()];
        for (name, value) in &self.headers {
            if !framing.iter().any(|word| name.eq_ignore_ascii_case(word)) {
                lines.push(format!("{name}: {value}"));
            }
        }
        if !matches!(self.status(), 204 | 304) {
            lines.push(format!("content-length: {length}"));
        }
        let mut bytes = lines.join("\r\n").into_bytes();
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Reads a request; `None` if the peer closed before it began one. A client that waits for
    /// `100 Continue` is told on `reply_to` to go on.
    pub fn read_request(
        reader: &mut impl BufRead,
        mut reply_to: impl Write,
    ) -> io::Result<Option<Self>> {
        let Some(mut request) = read_head(reader)? else {
            return Ok(None);
        };
        if request.header("expect").is_some() {
            reply_to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            request.remove_header("expect");
        }
        request.body = match Framing::of(&request) {
            Framing::Unsaid => Vec::new(),
            framing => framing.read(reader)?,
        };
        Ok(Some(request))
    }

    /// Reads the response to a request of that method; `None` if the peer closed before it began one.
    pub fn read_response(reader: &mut impl BufRead, method: &str) -> io::Result<Option<Self>> {
        loop {
            let Some(mut response) = read_head(reader)? else {
                return Ok(None);
            };
            match response.status() {
                100..200 => continue,
                204 | 304 => {}
                _ if method == "HEAD" => {}
                _ => response.body = Framing::of(&response).read(reader)?,
            }
            return Ok(Some(response));
        }
    }
}

/// How the end of a body is found.
enum Framing {
    Length(usize),
    Chunks,
    Unsaid,
}

impl Framing {
    fn of(message: &Message) -> Self {
        if message
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return Self::Chunks;
        }
        message
            .header("content-length")
            .and_then(|length| length.trim().parse().ok())
            .map_or(Self::Unsaid, Self::Length)
    }

    fn read(&self, reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match self {
            Self::Length(length) => {
                body.resize(*length, 0);
                reader.read_exact(&mut body)?;
            }
            Self::Unsaid => {
                reader.read_to_end(&mut body)?;
            }
            Self::Chunks => loop {
                let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let digits = line.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(digits, 16).map_err(io::Error::other)?;
                let before = body.len();
                body.resize(before + size, 0);
                reader.read_exact(&mut body[before..])?;
                read_line(reader)?;
                if size == 0 {
                    break;
                }
            },
        }
        Ok(body)
    }
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Message>> {
    let Some(start_line) = read_line(reader)? else {
        return Ok(None);
    };
    let mut message = Message {
        start_line,
        ..Message::default()
    };
    loop {
        let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Some(message));
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| io::Error::other(format!("not a header: `{line}`")))?;
        message
            .headers
            .push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The `host:port` of an `http://` URL.
pub fn authority(url: &str) -> &str {
    let rest = url
        .strip_prefix("http://")
        .unwrap_or_else(|| panic!("`{url}` is not a plain http URL"));
    rest.split('/').next().unwrap_or(rest)
}

/// Sends one request on a connection of its own and reads the answer.
///
/// # Errors
/// The connection's error, and `UnexpectedEof` if it is closed without an answer.
pub fn send(url: &str, request: &Message) -> io::Result<Message> {
    let authority = authority(url);
    let mut stream = TcpStream::connect(authority)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    exchange(&mut stream, authority, request)
}

/// Sends one request on an open stream, plain or TLS, and reads the answer. The stream is consumed.
///
/// # Errors
/// As [`send`].
pub fn exchange(
    stream: &mut (impl Read + Write),
    authority: &str,
    request: &Message,
) -> io::Result<Message> {
    let request = request
        .clone()
        .with("host", authority)
        .with("connection", "close");
    stream.write_all(&request.to_bytes())?;
    Message::read_response(&mut BufReader::new(stream), request.method())?
        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

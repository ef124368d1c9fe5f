//! A server that answers byte for byte what a test says, as no engine does.

use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::http::Message;
use super::server::loopback_listener;

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct OddServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    closing: AtomicBool,
    written: AtomicUsize,
    requests: Mutex<Vec<Message>>,
}

/// Where an answer is written, piece by piece.
#[derive(Debug)]
pub struct Wire<'server> {
    stream: &'server TcpStream,
    shared: &'server Shared,
}

impl Wire<'_> {
    /// Writes these bytes.
    ///
    /// # Errors
    /// If the client has gone away, or the test is over.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.shared.closing.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.stream.write_all(bytes)?;
        self.shared.written.fetch_add(bytes.len(), Ordering::SeqCst);
        Ok(())
    }

    /// Says nothing until the client goes away.
    ///
    /// # Errors
    /// Always: it has gone.
    pub fn be_silent(&mut self) -> io::Result<()> {
        use std::io::Read as _;
        while self.stream.read(&mut [0; 1024])? > 0 {}
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}

impl OddServer {
    /// A server on a free loopback port that answers each request like this; whatever fails ends the connection.
    pub fn answering(
        answer: impl Fn(&Message, &mut Wire<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let (listener, address) = loopback_listener();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let answer = Arc::new(answer);
        thread::spawn(move || accept(&serving, &listener, &answer));
        Self { address, shared }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many bytes of all answers were taken by the network.
    pub fn written(&self) -> usize {
        self.shared.written.load(Ordering::SeqCst)
    }

    /// Everything that was asked, in order.
    pub fn requests(&self) -> Vec<Message> {
        let requests = self.shared.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for OddServer {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes `accept`, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept<A>(shared: &Arc<Shared>, listener: &TcpListener, answer: &Arc<A>)
where
    A: Fn(&Message, &mut Wire<'_>) -> io::Result<()> + Send + Sync + 'static,
{
    for client in listener.incoming() {
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = client else { continue };
        let (shared, answer) = (Arc::clone(shared), Arc::clone(answer));
        thread::spawn(move || {
            // A client that goes away in the middle is what most of these answers are for.
            let _ = serve(&shared, &stream, answer.as_ref());
        });
    }
}

fn serve(
    shared: &Shared,
    stream: &TcpStream,
    answer: &impl Fn(&Message, &mut Wire<'_>) -> io::Result<()>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = Message::read_request(&mut reader, stream)? {
        let requests = shared.requests.lock();
        requests
            .unwrap_or_else(PoisonError::into_inner)
            .push(request.clone());
        answer(&request, &mut Wire { stream, shared })?;
    }
    Ok(())
}

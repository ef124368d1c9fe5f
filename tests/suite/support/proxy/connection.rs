//! One client's connection through the proxy, and the engine's side of it.

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::{Shared, fault};
use crate::support::http::Message;

pub fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for client in listener.incoming() {
        let Ok(client) = client else { continue };
        let client = Arc::new(client);
        {
            let mut state = shared.state();
            if state.closing {
                return;
            }
            state.accepted += 1;
            state.connections.retain(|known| known.strong_count() > 0);
            state.connections.push(Arc::downgrade(&client));
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // A client that goes away in the middle is everyday business, not the proxy's failure.
            let _ = serve(&shared, &client);
        });
    }
}

fn serve(shared: &Shared, client: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let connection_delay = shared.state().delay.connection;
    shared.pause(connection_delay);
    let mut reader = BufReader::new(client);
    let mut engine = Engine::new(&shared.upstream);
    while let Some(request) = Message::read_request(&mut reader, client)? {
        let (entry, fault, delay) = shared.arrived(&request);
        shared.pause(delay.request / 2);
        let verdict = match &fault {
            None => fault::pass(&mut engine, &request),
            Some(fault) => fault.spoil(shared, &mut engine, &request),
        };
        shared.pause(delay.request / 2);
        shared.ended(entry, verdict.outcome);
        match verdict.reply {
            fault::Reply::Whole(bytes) => (&mut &*client).write_all(&bytes)?,
            fault::Reply::Cut(bytes) => {
                (&mut &*client).write_all(&bytes)?;
                return Ok(());
            }
            fault::Reply::Close => return Ok(()),
            fault::Reply::Reset => return fault::reset_when_closed(client),
        }
    }
    Ok(())
}

/// The engine's side of a client's connection.
#[derive(Debug)]
pub struct Engine<'proxy> {
    address: &'proxy str,
    connection: Option<BufReader<TcpStream>>,
}

impl<'proxy> Engine<'proxy> {
    pub fn new(address: &'proxy str) -> Self {
        Self {
            address,
            connection: None,
        }
    }

    /// Sends the request once and reads its answer.
    pub fn exchange(&mut self, request: &Message) -> io::Result<Message> {
        let mut connection = match self.connection.take() {
            Some(open) if still_open(open.get_ref())? => open,
            _ => {
                let fresh = TcpStream::connect(self.address)?;
                fresh.set_nodelay(true)?;
                BufReader::new(fresh)
            }
        };
        connection.get_mut().write_all(&request.to_bytes())?;
        let answer = Message::read_response(&mut connection, request.method())?
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

/// Whether the engine has kept an idle connection open: checked before a request is sent on it, because
/// afterwards it would be unknown whether the request was carried out.
fn still_open(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let seen = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    Ok(matches!(seen, Err(error) if error.kind() == io::ErrorKind::WouldBlock))
}

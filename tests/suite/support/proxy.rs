//! A loopback HTTP/1.1 proxy in front of an engine: it counts, delays and disturbs requests, and keeps a log
//! of what happened to each.
//!
//! Plain threads and blocking sockets, so that it costs a bench some tens of microseconds per request and no
//! more. It must never repeat, reorder or lose a request that no rule told it to.

mod connection;
mod fault;
mod record;
mod rule;

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

pub use fault::{Fault, Gate, Late};
pub use record::{Exchange, Outcome};
pub use rule::Rule;

use super::http::{self, Message};
use super::server::loopback_listener;
use super::waiting::PATIENCE;
use rule::Rules;

/// The latency. Half of it passes before a request is forwarded, half before its reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delay {
    /// For each request.
    pub request: Duration,
    /// For each new connection, before its first byte is read.
    pub connection: Duration,
}

impl Delay {
    /// A network with that round trip: a connection costs one, and so does each request on it.
    pub fn round_trip(time: Duration) -> Self {
        Self {
            request: time,
            connection: time,
        }
    }

    /// The same for requests only, as if the connections already existed.
    pub fn requests_only(time: Duration) -> Self {
        Self {
            request: time,
            connection: Duration::ZERO,
        }
    }
}

/// A running proxy. Dropping it closes its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    delay: Delay,
    rules: Rules,
    log: Vec<Exchange>,
    connections: Vec<Weak<TcpStream>>,
    accepted: usize,
    closing: bool,
}

impl Proxy {
    /// A proxy in front of the engine at that `http://` URL.
    pub fn before(url: &str) -> Self {
        let (listener, address) = loopback_listener();
        let shared = Arc::new(Shared {
            upstream: http::authority(url).to_owned(),
            started: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || connection::accept(&serving, &listener));
        Self { address, shared }
    }

    /// The URL that stands for the engine's.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the latency from now on.
    pub fn set_delay(&self, delay: Delay) {
        self.shared.state().delay = delay;
    }

    /// Gives a fault to requests whose action matches `pattern`: `PutItem` and the like for DynamoDB, for S3 the method
    /// and path, as in `PUT /states/app.tfstate.tflock`. One `*` stands for anything: `PUT *.tflock`, `*`.
    pub fn on<'proxy>(&'proxy self, pattern: &'proxy str) -> On<'proxy> {
        On {
            proxy: self,
            pattern,
        }
    }

    /// Forgets all rules. Requests that are being spoiled stay so.
    pub fn heal(&self) {
        self.shared.state().rules.clear();
    }

    /// How many requests with that action arrived, whatever happened to them.
    pub fn count(&self, pattern: &str) -> usize {
        self.shared.state().count(pattern)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.shared.state().accepted
    }

    /// Everything that arrived, in order.
    pub fn log(&self) -> Vec<Exchange> {
        self.shared.state().log.clone()
    }

    /// The actions that arrived, in order, for comparing them all at once.
    pub fn actions(&self) -> Vec<String> {
        let state = self.shared.state();
        state.log.iter().map(|one| one.action.clone()).collect()
    }

    /// Forgets the log. Requests that are under way are forgotten with it.
    pub fn clear_log(&self) {
        self.shared.state().log.clear();
    }

    /// Waits until `count` requests with that action have arrived.
    #[track_caller]
    pub fn wait_for(&self, pattern: &str, count: usize) {
        let state = self.shared.state();
        let (state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.count(pattern) < count)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            !waited.timed_out(),
            "waited in vain for {count} of `{pattern}`; what arrived: {:#?}",
            state.log
        );
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closing = true;
        for connection in state.connections.drain(..) {
            if let Some(connection) = connection.upgrade() {
                // It may be closed already, which is what is wanted.
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        drop(state);
        self.shared.changed.notify_all();
        // Wakes `accept`, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

/// Where a rule applies; finished by saying when.
#[derive(Debug, Clone, Copy)]
pub struct On<'proxy> {
    proxy: &'proxy Proxy,
    pattern: &'proxy str,
}

impl On<'_> {
    /// Spoils the next such request.
    pub fn next(self, fault: Fault) {
        self.nth(1, fault);
    }

    /// Spoils the nth such request from now on, counted from 1, and only that.
    pub fn nth(self, nth: usize, fault: Fault) {
        self.add(Rule::nth(self.pattern, nth, fault));
    }

    /// Spoils the next `count` such requests.
    pub fn times(self, count: usize, fault: &Fault) {
        for nth in 1..=count {
            self.nth(nth, fault.clone());
        }
    }

    /// Spoils every such request until [`Proxy::heal`].
    pub fn every(self, fault: Fault) {
        self.add(Rule::every(self.pattern, fault));
    }

    /// Holds the next such request back until the gate is opened, and forwards it then.
    pub fn hold(self) -> Gate {
        self.hold_nth(1)
    }

    /// The same for the nth such request from now on, counted from 1.
    pub fn hold_nth(self, nth: usize) -> Gate {
        let gate = Gate::default();
        self.nth(nth, Fault::Hold(gate.clone()));
        gate
    }

    /// Keeps the next such request on its way, after its client has lost the connection, until the test lets it arrive.
    pub fn late(self) -> Late {
        let late = Late::default();
        self.next(Fault::Late(late.clone()));
        late
    }

    fn add(self, rule: Rule) {
        self.proxy.shared.state().rules.add(rule);
    }
}

impl State {
    fn count(&self, pattern: &str) -> usize {
        let matching = self
            .log
            .iter()
            .filter(|one| rule::matches(pattern, &one.action));
        matching.count()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, unless the proxy is dropped meanwhile.
    fn pause(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let state = self.state();
        drop(
            self.changed
                .wait_timeout_while(state, time, |state| !state.closing),
        );
    }

    /// Enters a request into the log; returns where, and what to do to it.
    fn arrived(&self, request: &Message) -> (Entry, Option<Fault>, Delay) {
        let action = record::action_of(request);
        let mut state = self.state();
        let fault = state.rules.fault_for(&action);
        let entry = Entry(state.log.len());
        state.log.push(Exchange {
            at: self.started.elapsed(),
            action,
            headers: request.headers.clone(),
            request: request.text(),
            fault: fault.clone(),
            outcome: Outcome::UnderWay,
        });
        let delay = state.delay;
        drop(state);
        self.changed.notify_all();
        (entry, fault, delay)
    }

    fn ended(&self, entry: Entry, outcome: Outcome) {
        if let Some(exchange) = self.state().log.get_mut(entry.0) {
            exchange.outcome = outcome;
        }
        self.changed.notify_all();
    }
}

/// The place of an exchange in the log.
#[derive(Debug, Clone, Copy)]
struct Entry(usize);

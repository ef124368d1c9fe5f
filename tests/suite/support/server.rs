//! A server inside the test process, with its own thread and runtime; it stops when it is dropped.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::IntoRawFd as _;
use std::thread::{self, JoinHandle};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};
use tokio::sync::oneshot;

/// A listener on a free loopback port, and its address.
pub fn loopback_listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
    let address = listener
        .local_addr()
        .expect("a bound listener has an address");
    (listener, address)
}

/// The URL of a loopback port on which nothing listens: connections to it are refused. A socket that is bound to it, until
/// the tests end, keeps it from being given to another test's server.
pub fn refusing_url() -> String {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .expect("a socket")
    .into_raw_fd();
    bind(socket, &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a free loopback port");
    let address: SockaddrIn = getsockname(socket).expect("a bound socket has an address");
    format!("http://{address}")
}

/// A server that runs until this is dropped. Dropping does not wait for connections that are still open.
#[derive(Debug)]
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Runs the future that `serve` makes of the listener, on a thread with its own runtime.
    pub fn start<F, Serving>(name: &str, listener: TcpListener, serve: F) -> Self
    where
        F: FnOnce(tokio::net::TcpListener) -> Serving + Send + 'static,
        Serving: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime for a test server");
                runtime.block_on(async {
                    listener
                        .set_nonblocking(true)
                        .expect("a listener can be made non-blocking");
                    let listener = tokio::net::TcpListener::from_std(listener)
                        .expect("the runtime takes over a listener");
                    tokio::select! {
                        () = serve(listener) => {}
                        _ = stopped => {}
                    }
                });
                runtime.shutdown_background();
            })
            .expect("a thread for a test server");
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("a test server panicked; its message is above");
        }
    }
}

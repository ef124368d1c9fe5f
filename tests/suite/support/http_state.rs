//! A server for terraform's `http` backend: one state, and a lock with LOCK and UNLOCK, as GitLab has them.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode};

use super::server::{Server, loopback_listener};

/// What is on the server.
#[derive(Debug, Default)]
struct Kept {
    state: Option<Bytes>,
    /// The lock info of its holder.
    lock: Option<Bytes>,
}

type Shared = Arc<Mutex<Kept>>;

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct HttpState {
    url: String,
    kept: Shared,
    _server: Server,
}

impl HttpState {
    /// An empty one on a free loopback port.
    pub fn start() -> Self {
        let (listener, address) = loopback_listener();
        let kept = Shared::default();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&kept));
        let server = Server::start("http-state", listener, |listener| async move {
            axum::serve(listener, app).await.expect("axum serves");
        });
        Self {
            url: format!("http://{address}/state"),
            kept,
            _server: server,
        }
    }

    /// The backend block that names it.
    pub fn backend(&self) -> String {
        let url = &self.url;
        format!(
            "backend \"http\" {{\n    address = {url:?}\n    lock_address = {url:?}\n    unlock_address = {url:?}\n  }}"
        )
    }

    /// The lock info of the holder.
    pub fn lock_info(&self) -> Option<serde_json::Value> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let info = kept.lock.as_ref()?;
        Some(serde_json::from_slice(info).expect("a lock info"))
    }
}

async fn answer(State(kept): State<Shared>, method: Method, body: Bytes) -> (StatusCode, Bytes) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let nothing = Bytes::new;
    match (method.as_str(), &kept.lock) {
        ("LOCK", Some(held)) => (StatusCode::LOCKED, held.clone()),
        ("LOCK", None) => {
            kept.lock = Some(body);
            (StatusCode::OK, nothing())
        }
        ("UNLOCK", _) => {
            kept.lock = None;
            (StatusCode::OK, nothing())
        }
        ("GET", _) => match &kept.state {
            Some(state) => (StatusCode::OK, state.clone()),
            None => (StatusCode::NOT_FOUND, nothing()),
        },
        ("POST", _) => {
            kept.state = Some(body);
            (StatusCode::OK, nothing())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, nothing()),
    }
}

//! The content of a state object, for the comparison with terraform's digest.

use md5::{Digest as _, Md5};

use super::StateObject;
use crate::lock::host::hex;
use crate::lock::store::StoreError;

/// A state as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateContent {
    /// The MD5 of its content: terraform's digest.
    pub md5: String,
    /// When it was written, in seconds since 1970.
    pub written: Option<i64>,
    /// Its serial number, if it says one.
    pub serial: Option<u64>,
}

impl StateObject {
    /// Reads the state.
    ///
    /// # Errors
    /// The request's failure; a state of more than 4 MB is not read.
    pub async fn content(&self) -> Result<Option<StateContent>, StoreError> {
        let Some(object) = self.0.fetch(&self.0.object).await? else {
            return Ok(None);
        };
        let state: Option<serde_json::Value> = serde_json::from_slice(&object.body).ok();
        Ok(Some(StateContent {
            md5: hex(&Md5::digest(&object.body)),
            written: object.written,
            serial: state.and_then(|state| state.get("serial")?.as_u64()),
        }))
    }

    /// Its versions, the latest first.
    pub async fn versions(&self) -> Vec<super::checkup::Version> {
        self.0.versions().await
    }
}

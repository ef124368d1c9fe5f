//! A client that is made anew once its credentials are refused: those in files, of profiles and of roles may be
//! others by then, because somebody has logged in again.

use std::cell::RefCell;

use super::AwsAccess;
use crate::lock::store::StoreErrorKind;

/// A client of one service, and how to make another.
pub(in crate::lock::store) struct Connection<Client> {
    access: AwsAccess,
    make: fn(&AwsAccess) -> Client,
    client: RefCell<Option<Client>>,
}

impl<Client: Clone> Connection<Client> {
    /// A connection with the credentials that `access` has found.
    pub(in crate::lock::store) fn new(access: &AwsAccess, make: fn(&AwsAccess) -> Client) -> Self {
        Self {
            client: RefCell::new(Some(make(access))),
            access: access.clone(),
            make,
        }
    }

    /// The client for the next request.
    pub(in crate::lock::store) async fn client(&self) -> Client {
        let known = self.client.borrow().clone();
        if let Some(client) = known {
            return client;
        }
        let access = Box::pin(self.access.with_new_credentials()).await;
        let client = (self.make)(&access);
        self.client.replace(Some(client.clone()));
        client
    }

    /// Takes note of how a request failed.
    pub(in crate::lock::store) fn failed(&self, kind: StoreErrorKind) {
        if kind.is_about_credentials() {
            self.client.replace(None);
        }
    }
}

/// Without any key.
impl<Client> std::fmt::Debug for Connection<Client> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

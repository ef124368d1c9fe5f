//! A client that signs with cached credentials, and is recreated once these are rejected: files, profiles and roles may
//! have new ones, because the user has logged in again.

use std::cell::{Cell, RefCell};

use aws_credential_types::Credentials;

use super::AwsAccess;
use crate::lock::store::StoreErrorKind;

/// A client of one service, and how to create another.
pub(in crate::lock::store) struct Connection<Client> {
    access: RefCell<AwsAccess>,
    make: fn(&AwsAccess) -> Client,
    client: RefCell<Option<(Credentials, Client)>>,
    refused: Cell<bool>,
}

impl<Client: Clone> Connection<Client> {
    /// A connection with the credentials of `access`.
    pub(in crate::lock::store) fn new(access: &AwsAccess, make: fn(&AwsAccess) -> Client) -> Self {
        Self {
            access: RefCell::new(access.clone()),
            make,
            client: RefCell::new(None),
            refused: Cell::new(false),
        }
    }

    /// The client for the next request. Waits for credentials here, outside the request's timeout; if there are none,
    /// the request will report that.
    pub(in crate::lock::store) async fn client(&self) -> Client {
        if self.refused.take() {
            let renewed = self.access.borrow().with_new_credentials();
            self.access.replace(renewed);
        }
        let access = self.access.borrow().clone();
        let found = access.credentials().await;
        if let Ok(found) = &found
            && let Some((known, client)) = &*self.client.borrow()
            && known == found
        {
            return client.clone();
        }
        let client = (self.make)(&access.signing_with(found.clone()));
        let known = found.ok().map(|found| (found, client.clone()));
        self.client.replace(known);
        client
    }

    /// The access that it has now, for another connection.
    pub(in crate::lock::store) fn access(&self) -> AwsAccess {
        self.access.borrow().clone()
    }

    pub(in crate::lock::store) fn failed(&self, kind: StoreErrorKind) {
        if kind.is_about_credentials() {
            self.refused.set(true);
        }
    }
}

impl<Client> std::fmt::Debug for Connection<Client> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}

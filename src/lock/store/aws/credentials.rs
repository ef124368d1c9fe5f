//! Carries out the plan: credentials are fetched once, cached until they expire, and shared by all clients.
//!
//! Fetching continues even if the caller stops waiting: a program that is prompting the user for a code must not be
//! started again because a signal came.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use tokio::sync::watch;

use super::container;
use super::fetch::Fetch;
use super::identity::{Identity, Source};
use super::instance_metadata;
use super::process;
use super::refused::IdentityRefused;
use super::roles;
use super::single_sign_on;
use crate::lock::store::StoreErrorKind;

/// How long before their expiry credentials count as expired: a request takes time.
const MARGIN: Duration = Duration::from_secs(10);

pub(super) type Outcome = Result<Credentials, IdentityRefused>;

#[derive(Clone)]
pub(super) struct SharedIdentity(Arc<Shared>);

struct Shared {
    plan: Result<Identity, IdentityRefused>,
    /// The configuration without credentials, for the clients that fetch them.
    config: SdkConfig,
    fetch: Fetch,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<Credentials>,
    under_way: Option<watch::Receiver<Option<Outcome>>>,
}

impl fmt::Debug for SharedIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SharedIdentity")
            .finish_non_exhaustive()
    }
}

impl SharedIdentity {
    pub(super) fn new(
        plan: Result<Identity, IdentityRefused>,
        config: SdkConfig,
        fetch: Fetch,
    ) -> Self {
        Self(Arc::new(Shared {
            plan,
            config,
            fetch,
            state: Mutex::default(),
        }))
    }

    /// Finds errors that need no requests, and runs a credential program now, which may prompt the user: before
    /// anything is sent or any timeout runs.
    pub(super) async fn check(&self) -> Result<(), IdentityRefused> {
        let plan = self.0.plan.as_ref().map_err(Clone::clone)?;
        match &plan.source {
            Source::Process(_) => self.credentials().await.map(|_| ()),
            Source::SingleSignOn(role) => single_sign_on::check(role),
            _ => Ok(()),
        }
    }

    pub(super) async fn credentials(&self) -> Outcome {
        let mut answer = {
            let mut state = self.0.state();
            if let Some(known) = state.known.as_ref().filter(|known| is_fresh(known)) {
                return Ok(known.clone());
            }
            if let Some(answer) = &state.under_way {
                answer.clone()
            } else {
                let (told, answer) = watch::channel(None);
                state.under_way = Some(answer.clone());
                let shared = Arc::clone(&self.0);
                tokio::spawn(async move {
                    let outcome = shared.carry_out().await;
                    let mut state = shared.state();
                    state.known = outcome.as_ref().ok().cloned();
                    state.under_way = None;
                    drop(state);
                    told.send_replace(Some(outcome));
                });
                answer
            }
        };
        let outcome = answer.wait_for(Option::is_some).await;
        let outcome = outcome.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| {
            Err(IdentityRefused::new(
                StoreErrorKind::NotCarriedOut,
                "the task that fetches credentials has ended",
            ))
        })
    }
}

fn is_fresh(credentials: &Credentials) -> bool {
    let soon = SystemTime::now() + MARGIN;
    credentials.expiry().is_none_or(|expiry| expiry > soon)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry_out(&self) -> Outcome {
        let plan = self.plan.as_ref().map_err(Clone::clone)?;
        let mut credentials = match &plan.source {
            Source::Keys(keys) => keys.credentials(),
            Source::WebIdentity(identity) => {
                roles::assume_with_web_identity(&self.config, identity).await?
            }
            Source::SingleSignOn(role) => single_sign_on::credentials(&self.config, role).await?,
            Source::Process(process) => process::run(process).await?,
            Source::Container(container) => container::credentials(&self.fetch, container).await?,
            Source::InstanceMetadata(service) => {
                instance_metadata::credentials(&self.fetch, service).await?
            }
        };
        for role in &plan.roles {
            credentials = roles::assume(&self.config, credentials, role).await?;
        }
        Ok(credentials)
    }
}

/// For a client that was created without credentials: it waits for them within its own timeout.
impl ProvideCredentials for SharedIdentity {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { Ok(self.credentials().await?) })
    }
}

/// The credentials found before the request, or why there are none.
#[derive(Debug)]
pub(super) struct Found(pub(super) Outcome);

impl ProvideCredentials for Found {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let outcome: provider::Result = self.0.clone().map_err(CredentialsError::from);
        future::ProvideCredentials::ready(outcome)
    }
}

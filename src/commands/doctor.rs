//! `tflock doctor`: checks one by one what runs in this directory need, and says what is wrong and what to type next.
//!
//! It changes nothing but an item, an object and a file of its own. It repairs a digest only after a typed `yes`.

mod bucket;
mod digest;
mod report;
mod table;

use anyhow::Context as _;

use self::report::{Form, Report, Told};
use super::status::{LockStatus, ObservedPart, look};
use crate::cli::DoctorArguments;
use crate::context::{Context, block_on};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::host::Host as _;
use crate::lock::read::patiently;
use crate::lock::store::aws::{AwsAccess, ClockDifference};
use crate::lock::store::companion::{Change, Companion, Purpose};
use crate::lock::store::local::LocalStore;
use crate::lock::store::{StoreError, StoreErrorKind};
use crate::resolve::{self, Examined, LockRequest, ResolvedLock};
use crate::session::Outcome;
use crate::ui::holder;

/// The check of the credentials, whichever service rejects them.
const CREDENTIALS: &str = "credentials";

/// Examines everything. Problems are reported and decide the exit code.
///
/// # Errors
/// Stdout cannot be written.
pub fn run(context: &Context, arguments: &DoctorArguments) -> anyhow::Result<Outcome> {
    block_on(examine(context, arguments)).context("starting the runtime")?
}

async fn examine(context: &Context, arguments: &DoctorArguments) -> anyhow::Result<Outcome> {
    let form = if arguments.json {
        Form::Json
    } else {
        Form::Lines
    };
    let mut report = Report::new(form);
    let directory = context.working_directory();
    let request = LockRequest::new(&context.options, &directory);
    let found = match resolve::find(request).await {
        Ok(resolved) => request
            .examined(&resolved)
            .await
            .map(|found| (resolved, found)),
        Err(failure) => Err(failure),
    };
    let (resolved, examined) = match found {
        Ok(found) => found,
        Err(failure) => {
            report.fault("configuration", failure)?;
            return Ok(report.conclude()?);
        }
    };
    report.good("configuration", configuration(&resolved))?;
    if let Some(notice) = &resolved.notice {
        report.advice("configuration", notice, "see `tflock --help`")?;
    }
    let mut doctor = Doctor {
        context,
        report,
        clock: None,
        is_in_reach: true,
    };
    if let Some(examined) = &examined {
        Box::pin(doctor.examine_aws(examined)).await?;
    }
    doctor.examine_local_directory(&resolved).await?;
    if doctor.is_in_reach {
        doctor.examine_lock().await?;
    }
    if let Some(examined) = &examined
        && doctor.is_in_reach
    {
        doctor.examine_digest(examined).await?;
    }
    Ok(doctor.report.conclude()?)
}

fn configuration(resolved: &ResolvedLock) -> String {
    let keys: Vec<String> = resolved
        .stores
        .iter()
        .map(|store| format!("`{}` in {}", store.key(), store.container()))
        .collect();
    format!(
        "backend `{}`, lock {}",
        resolved.backend_type(),
        keys.join(" and ")
    )
}

/// What a policy permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permitted {
    /// The lock and its companions.
    Companions,
    /// Only the lock itself.
    LockOnly,
}

/// Makes a request to a companion, and if that is denied, one to the lock. Neither can change anything.
async fn permitted(
    beside: impl Future<Output = Result<(), StoreError>>,
    lock: impl Future<Output = Result<(), StoreError>>,
) -> Result<Permitted, StoreError> {
    match beside.await {
        Err(error) if error.kind == StoreErrorKind::AccessDenied => {
            lock.await.map(|()| Permitted::LockOnly)
        }
        answer => answer.map(|()| Permitted::Companions),
    }
}

/// Takes and releases a lock of its own.
async fn try_place(own: &Companion) -> Result<(), StoreError> {
    // A doctor that was killed may have left one.
    let (Change::Done(Some(now)) | Change::Refused(Some(now))) =
        own.change(None, Some("tflock doctor")).await?
    else {
        return Ok(());
    };
    own.change(Some(&now), None).await.map(|_| ())
}

/// The examination so far.
struct Doctor<'a> {
    context: &'a Context,
    report: Report,
    /// According to the last service that answered.
    clock: Option<ClockDifference>,
    /// Whether locks can be read. If not, checks that cannot succeed are left out.
    is_in_reach: bool,
}

impl Doctor<'_> {
    async fn examine_aws(&mut self, examined: &Examined) -> Told {
        self.examine_credentials(&examined.access).await?;
        if !self.is_in_reach {
            return Ok(());
        }
        if let Some(item) = &examined.item {
            Box::pin(self.examine_table(&examined.access, item)).await?;
        }
        // Other services would reject the same credentials.
        if let Some(state) = &examined.state
            && !self.report.has_fault(CREDENTIALS)
        {
            Box::pin(self.examine_bucket(examined, state)).await?;
        }
        match self.clock.filter(|clock| clock.is_too_large()) {
            None => match self.clock {
                Some(clock) => self.report.good("clock", clock.to_string()),
                None => Ok(()),
            },
            Some(clock) => self.report.fault(
                "clock",
                Failure::new(exit_code::REFUSED, clock.to_string())
                    .hint("set the clock (`timedatectl set-ntp true` on Linux), then run it again"),
            ),
        }
    }

    async fn examine_credentials(&mut self, access: &AwsAccess) -> Told {
        let key = match access.access_key().await {
            Ok(key) => key,
            Err(error) => return self.out_of_reach(CREDENTIALS, error),
        };
        let region = access.region();
        if !access.has_sts() {
            let message = format!(
                "access key {key}, region `{region}`; no STS endpoint is configured that could tell whose key it is"
            );
            return self.report.good(CREDENTIALS, message);
        }
        match access.caller().await {
            Ok(caller) => {
                let (arn, account) = (caller.arn, caller.account);
                let message =
                    format!("`{arn}`, account {account}, access key {key}, region `{region}`");
                self.report.good(CREDENTIALS, message)
            }
            Err(error) if error.kind.is_about_credentials() => {
                self.out_of_reach(CREDENTIALS, error)
            }
            // Nothing else needs STS.
            Err(error) => {
                let message = format!(
                    "access key {key}, region `{region}`; cannot tell whose key it is: {error}"
                );
                self.report.not_tried(CREDENTIALS, message)
            }
        }
    }

    /// Reports a fault that would make all later checks of services fail, too.
    fn out_of_reach(&mut self, check: &'static str, error: StoreError) -> Told {
        self.is_in_reach = false;
        self.report.fault(check, Failure::of_check(error))
    }

    fn tell_permitted(
        &mut self,
        check: &'static str,
        done: &str,
        beside: &str,
        permitted: Result<Permitted, StoreError>,
    ) -> Told {
        match permitted {
            Ok(Permitted::LockOnly) => self.report.advice(
                check,
                format!(
                    "allowed on the lock only, not on `{beside}`: there is no queue and no history"
                ),
                format!("allow `{check}` on all names that begin with the lock's"),
            ),
            tried => self.report.tried(check, tried.map(|_| done)),
        }
    }

    /// Takes and releases a lock of its own there.
    async fn examine_local_directory(&mut self, resolved: &ResolvedLock) -> Told {
        let machine = self.context.machine();
        let mut stores = resolved.stores.iter();
        let Some(local) = stores.find(|store| store.kind() == LocalStore::KIND) else {
            return Ok(());
        };
        let Some(own) = local.companion(Purpose::Doctor) else {
            return Ok(());
        };
        match patiently(local.as_ref(), &machine, || try_place(&own)).await {
            Ok(()) => {
                let place = local.container();
                self.report
                    .good("local directory", format!("{place} can keep locks"))
            }
            Err(error) => self.out_of_reach("local directory", error),
        }
    }

    async fn examine_lock(&mut self) -> Told {
        let parts = match look(self.context).await {
            Ok(parts) => parts,
            Err(failure) => return self.report.fault("lock", failure),
        };
        for part in &parts {
            self.tell_lock(part)?;
        }
        Ok(())
    }

    fn tell_lock(&mut self, part: &ObservedPart) -> Told {
        let key = part.store.key();
        let Some((stored, assessment)) = &part.held else {
            return match &part.unspoken {
                None => self.report.good("lock", format!("`{key}` is free")),
                Some(own) => self.report.not_tried(
                    "lock",
                    format!("only terraform can tell ({}): {}", own.place, own.advice),
                ),
            };
        };
        let rows = holder::rows(&stored.record, assessment, self.context.machine().wall());
        let row = |label: &str| {
            let row = rows.iter().find(|(name, _)| *name == label);
            row.map(|(_, text)| text.clone()).unwrap_or_default()
        };
        let message = format!("`{key}` is held by {}; {}", row("held by"), row("holder"));
        match LockStatus::of_held(assessment) {
            LockStatus::Stale => {
                let id = stored.record.lock_id();
                let removal = self.context.force_unlock_line(id.as_ref());
                let failure = Failure::new(exit_code::LOST, message).hint(format!(
                    "make sure that the holder is dead, then type `{removal}`"
                ));
                self.report.fault("lock", failure)
            }
            LockStatus::Held | LockStatus::Free | LockStatus::Unknown => {
                self.report.good("lock", message)
            }
        }
    }
}

//! Releases the locks of a killed tflock, once nothing works under them any more.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use super::super::remembering::recorder;
use super::super::report::tell_left;
use super::{LeftLock, Will, hint_at_removal, tell_kept};
use crate::context::Context;
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::held_lock::RELEASE_PATIENCE;
use crate::lock::held_locks::{HeldLocks, NotReleased};
use crate::lock::history::{Entry, HowEnded};
use crate::lock::host::Host;
use crate::lock::inherit::{Inherited, inherit};
use crate::lock::own::OwnRecords;
use crate::lock::record::{Record, go_time};
use crate::lock::store::{Store, StoreError};
use crate::lock::together::all;
use crate::resolve::{self, LockRequest, ResolvedLock};
use crate::terraform::command::LockingCommand;

/// The pause between two attempts to find the lock.
const PAUSE: Duration = Duration::from_secs(1);

/// Releases all locks, or says which ones it could not. Whether nothing of them is left.
pub(super) async fn release_all(
    will: &Will,
    context: &Context,
    command: Option<&LockingCommand>,
) -> bool {
    let host: Rc<dyn Host> = Rc::new(context.machine());
    let locks = will
        .locks
        .iter()
        .map(|lock| release_lock(lock, will, context, command, &host));
    all(locks).await.into_iter().all(|is_free| is_free)
}

/// Releases that lock, or says that it could not. Returns whether nothing of it is left.
async fn release_lock(
    lock: &LeftLock,
    will: &Will,
    context: &Context,
    command: Option<&LockingCommand>,
    host: &Rc<dyn Host>,
) -> bool {
    let naming = lock.naming(context);
    let released = async {
        let resolved = find(lock, &naming, command, host.as_ref()).await?;
        release_places(lock, will, &naming, resolved, host).await
    };
    released.await.unwrap_or_else(|failure| {
        tell_kept(&naming.ui, &failure);
        hint_at_removal(&naming, will);
        false
    })
}

/// Finds the lock as the killed tflock did. Retries for a minute, in case the user is just repairing a file.
async fn find(
    lock: &LeftLock,
    context: &Context,
    command: Option<&LockingCommand>,
    host: &dyn Host,
) -> Result<ResolvedLock, Failure> {
    let directory = context.working_directory();
    let request = LockRequest {
        command,
        ..LockRequest::new(&context.options, &directory)
    };
    let begun = host.now();
    loop {
        match resolve::find_for(request, lock.state.clone()).await {
            Err(_) if host.now().since(begun) < RELEASE_PATIENCE => host.sleep(PAUSE).await,
            found => return found,
        }
    }
}

/// Gives back all places of a lock, the last first, and says so. Whether none of ours is left.
async fn release_places(
    lock: &LeftLock,
    will: &Will,
    context: &Context,
    resolved: ResolvedLock,
    host: &Rc<dyn Host>,
) -> Result<bool, Failure> {
    let context = match &resolved.local_name {
        Some(name) => Cow::Owned(context.for_local_lock(name)),
        None => Cow::Borrowed(context),
    };
    let places = resolved.stores.clone();
    let turn = resolved.init_lock.map(|lock| lock.turn);
    let turn_key = turn.as_ref().map(|turn| turn.key().to_owned());
    let found: Vec<Rc<dyn Store>> = turn.into_iter().chain(resolved.stores).collect();
    let mut held = HeldLocks::none(Rc::clone(host));
    let (mut failed, mut lost) = (Vec::new(), Vec::new());
    let mut retrying = |_: &StoreError| {};
    for left in &lock.places {
        let is_there = |store: &&Rc<dyn Store>| store.identity() == left.place;
        let Some(store) = found.iter().find(is_there) else {
            return Err(Failure::new(
                exit_code::NOT_RELEASED,
                "the environment or the AWS files now select another lock",
            ));
        };
        let host = Rc::clone(host);
        let (store, own) = (Rc::clone(store), OwnRecords::from(left.own.clone()));
        let key = store.key().to_owned();
        match inherit(store, host, will.lock_id.clone(), own, &mut retrying).await {
            Ok(Inherited::Ours(ours)) => held.push(0, ours),
            Ok(Inherited::NotOurs(None)) => {}
            Ok(Inherited::NotOurs(Some(_))) => lost.push(key),
            Err(error) => failed.push(NotReleased {
                key,
                place: left.place.clone(),
                id: will.lock_id.clone(),
                error,
            }),
        }
    }
    let record = held.held().last().map(|ours| ours.record().clone());
    let released = held.release(&mut retrying).await;
    failed.extend(released.failed);
    lost.extend(released.lost.into_iter().map(|loss| loss.key));
    for key in &lost {
        context.ui.notice(&format!(
            "tflock was killed; the lock `{key}` now belongs to another run and was left alone"
        ));
    }
    for failed in &failed {
        let mut naming = context.clone().into_owned();
        if turn_key.as_ref() == Some(&failed.key) {
            naming.options.lock_id = Some(failed.key.clone());
        }
        tell_left(&naming, failed);
    }
    if record.is_some() && failed.is_empty() && lost.is_empty() {
        remember_killed(&places, record.as_ref(), host).await;
        let program = if will.waits_for_all {
            "the program"
        } else {
            "terraform"
        };
        let key = match will.locks.as_slice() {
            [_] => String::new(),
            _ => places
                .last()
                .map_or_else(String::new, |store| format!("`{}` ", store.key())),
        };
        context.ui.notice(&format!(
            "tflock was killed; {program} has ended and the lock {key}is released"
        ));
    }
    Ok(failed.is_empty())
}

/// Records in the history how the run ended.
async fn remember_killed(stores: &[Rc<dyn Store>], record: Option<&Record>, host: &Rc<dyn Host>) {
    let until = go_time(host.wall());
    let entry = record.and_then(|record| Entry::of(record, until, HowEnded::Killed));
    if let (Some(recorder), Some(entry)) = (recorder(stores, Rc::clone(host)), entry) {
        recorder.add_at_end(entry).await;
    }
}

//! `tflock list`: every lock in the table, bucket or directory of this directory's lock, with its holder.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::status::json::holder_as_json;
use super::status::{LockStatus, lock_as_text};
use crate::cli::ListArguments;
use crate::context::{Context, block_on};
use crate::failure::Failure;
use crate::lock::host::Host as _;
use crate::lock::list::{Listed, Lister};
use crate::lock::store::Store;
use crate::resolve::{self, LockRequest};
use crate::session::Outcome;
use crate::ui::{self, holder};

/// The version of the JSON object: it only grows.
const VERSION: u32 = 1;

/// Shows the locks.
///
/// # Errors
/// Why they cannot be listed.
pub fn run(context: &Context, arguments: &ListArguments) -> anyhow::Result<Outcome> {
    block_on(show(context, arguments)).context("starting the runtime")?
}

async fn show(context: &Context, arguments: &ListArguments) -> anyhow::Result<Outcome> {
    let directory = context.working_directory();
    let resolved = resolve::find(LockRequest::new(&context.options, &directory)).await?;
    if let Some(notice) = &resolved.notice {
        context.ui.notice(notice);
    }
    let mut all = Vec::new();
    for store in &resolved.stores {
        for lock in list(context, store.as_ref()).await? {
            all.push((store.as_ref(), lock));
        }
    }
    if arguments.json {
        let locks: Vec<Value> = all
            .iter()
            .map(|(store, lock)| as_json(*store, lock))
            .collect();
        ui::print_json(&json!({ "version": VERSION, "locks": locks }))?;
        return Ok(Outcome::Exit(0));
    }
    for (store, lock) in &all {
        ui::print(&as_text(context, *store, lock))?;
    }
    for store in &resolved.stores {
        let name = store.container();
        if !all.iter().any(|(other, _)| other.container() == name) {
            ui::print(&format!("no locks in {name}\n"))?;
        }
    }
    Ok(Outcome::Exit(0))
}

/// Lists the locks. Holders that seem to have stopped by our clock are watched for one heartbeat, all at once: other
/// machines' clocks are not trusted.
async fn list(context: &Context, store: &dyn Store) -> Result<Vec<Listed>, Failure> {
    let machine = context.machine();
    let mut lister = Lister::default();
    loop {
        let locks = lister.list(store, &machine).await?;
        let unsettled = locks.iter().filter_map(|lock| lock.assessment.settles_in);
        let Some(left) = unsettled.max() else {
            return Ok(locks);
        };
        if console::user_attended_stderr() {
            context.ui.notice(&format!(
                "some holders seem to have stopped; watching for their next heartbeat, {} s at most",
                left.as_secs()
            ));
        }
        machine.sleep(left).await;
    }
}

fn as_text(context: &Context, store: &dyn Store, lock: &Listed) -> String {
    let now = context.machine().wall();
    let mut rows = vec![("in", store.container())];
    rows.extend(holder::rows(&lock.record, &lock.assessment, now));
    lock_as_text(LockStatus::of_held(&lock.assessment), &lock.key, &rows)
}

fn as_json(store: &dyn Store, lock: &Listed) -> Value {
    json!({
        "status": LockStatus::of_held(&lock.assessment).word(),
        "lock_id": lock.key,
        "store": store.kind(),
        "place": store.container(),
        "holder": holder_as_json(&lock.record, &lock.assessment, None),
    })
}

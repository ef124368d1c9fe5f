//! Records in a lock's history that a person's command has ended it.

use std::rc::Rc;

use crate::context::Context;
use crate::lock::history::HowEnded;
use crate::lock::host::Host;
use crate::lock::record::Record;
use crate::lock::store::Store;
use crate::session::remembering::{ended_by, recorder, this_user};

/// Records that this user has ended the lock of `record` in these stores. Takes a second at most.
pub(super) async fn remember(
    context: &Context,
    stores: &[Rc<dyn Store>],
    record: &Record,
    ended: HowEnded,
) {
    let host: Rc<dyn Host> = Rc::new(context.machine());
    let entry = ended_by(record, ended, &this_user(), host.as_ref());
    if let (Some(recorder), Some(entry)) = (recorder(stores, host), entry) {
        recorder.add_at_end(entry).await;
    }
}

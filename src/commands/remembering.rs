//! What a person's command writes into the history of a lock, once it has ended that.

use std::rc::Rc;

use crate::context::Context;
use crate::lock::history::HowEnded;
use crate::lock::host::Host;
use crate::lock::record::Record;
use crate::lock::store::Store;
use crate::session::remembering::{ended_by, recorder, this_user};

/// Writes that this user has ended the lock of `record`, which was in these places. It takes a second at most.
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

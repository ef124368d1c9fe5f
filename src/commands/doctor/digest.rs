//! Checks terraform's digest of the state: whether it matches, which of the two is newer, and how to repair it.

use chrono::{DateTime, Utc};

use super::Doctor;
use super::report::{Form, Told};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::read::{patiently, read};
use crate::lock::store::StoreError;
use crate::lock::store::dynamodb::{DynamoDbStore, Repair};
use crate::lock::store::s3::{StateContent, StateObject, Version};
use crate::resolve::Examined;
use crate::ui::Reply;

const DIGEST: &str = "digest";

impl Doctor<'_> {
    pub(super) async fn examine_digest(&mut self, examined: &Examined) -> Told {
        let (Some(item), Some(state)) = (&examined.digest, &examined.state) else {
            return Ok(());
        };
        let (digest, content) = match self.both(item, state).await {
            Ok(both) => both,
            Err(error) => {
                return self
                    .report
                    .not_tried(DIGEST, format!("cannot be compared: {error}"));
            }
        };
        match (digest, content) {
            (None, None) => self.report.good(DIGEST, "there is neither a state nor a digest"),
            (None, Some(_)) => self.report.good(
                DIGEST,
                "the state has no digest: terraform reads it unchecked, and writes a digest with the next state",
            ),
            (Some(digest), None) => {
                let message = format!("there is a digest ({digest}), but no state");
                let failure = Failure::new(exit_code::CONFIGURATION, message).hint(format!(
                    "restore the state `{}`; terraform refuses to work without it",
                    state.key()
                ));
                self.report.fault(DIGEST, failure)
            }
            (Some(digest), Some(content)) if digest == content.md5 => {
                self.report.good(DIGEST, format!("matches the state ({digest})"))
            }
            (Some(digest), Some(content)) => {
                self.tell_mismatch(examined, item, state, &digest, &content).await
            }
        }
    }

    async fn both(
        &self,
        item: &DynamoDbStore,
        state: &StateObject,
    ) -> Result<(Option<String>, Option<StateContent>), StoreError> {
        let machine = self.context.machine();
        let digest = patiently(item, &machine, || item.digest()).await?;
        let content = patiently(state.object(), &machine, || state.content()).await?;
        Ok((digest, content))
    }

    async fn tell_mismatch(
        &mut self,
        examined: &Examined,
        item: &DynamoDbStore,
        state: &StateObject,
        digest: &str,
        content: &StateContent,
    ) -> Told {
        let newer = newer(&state.versions().await, digest, content);
        let message = format!(
            "the digest {digest} does not match the state ({}, {}); {newer}; terraform will say `state data in S3 does not \
             have the expected content`",
            content.md5,
            written(content)
        );
        let can_ask = self.report.form() == Form::Lines && self.context.ui.can_ask();
        let doctor = self.context.command_line("doctor");
        let hint = if can_ask {
            "compare the state with the infrastructure before you accept it".to_owned()
        } else {
            format!("type `{doctor}` at a terminal: it asks before it accepts the current state")
        };
        let failure = Failure::new(exit_code::CONFIGURATION, message).hint(hint);
        self.report.fault(DIGEST, failure)?;
        if !can_ask {
            return Ok(());
        }
        let question = "The digest of the current state will be written. If a newer state was lost, terraform will plan from \
                        an old one.\nAccept this state?";
        if self.context.ui.confirm_in_full(question) == Reply::No {
            self.context.ui.notice("the digest was left alone");
            return Ok(());
        }
        match self.repair(examined, item, state, digest, content).await {
            Ok(()) => self.report.repaired(DIGEST, "now matches the state"),
            Err(failure) => self.report.fault(DIGEST, failure),
        }
    }

    /// Writes the digest, unless anything has changed since it was shown. It takes no lock: until then terraform cannot read
    /// the state, and so cannot write it.
    async fn repair(
        &self,
        examined: &Examined,
        item: &DynamoDbStore,
        state: &StateObject,
        digest: &str,
        content: &StateContent,
    ) -> Result<(), Failure> {
        let machine = self.context.machine();
        if let Some(lock) = &examined.item
            && read(lock, &machine).await?.is_some()
        {
            let look = self.context.command_line("status");
            return Err(Failure::new(
                exit_code::HELD,
                "the state is locked: the digest was left alone",
            )
            .hint(format!("wait until it is free, or see `{look}`")));
        }
        let (_, now) = self.both(item, state).await.map_err(Failure::of_check)?;
        let is_unchanged = now.is_some_and(|now| now.md5 == content.md5);
        let request = || item.repair_digest(digest, &content.md5);
        if is_unchanged
            && patiently(item, &machine, request)
                .await
                .map_err(Failure::of_check)?
                == Repair::Done
        {
            return Ok(());
        }
        let doctor = self.context.command_line("doctor");
        Err(Failure::new(
            exit_code::REFUSED,
            "the state or its digest has changed since it was shown: it was left alone",
        )
        .hint(format!("look again with `{doctor}`")))
    }
}

/// Which of the two is newer, according to the versions in the bucket.
fn newer(versions: &[Version], digest: &str, content: &StateContent) -> String {
    let of_digest = versions.iter().find(|version| version.tag == digest);
    match (of_digest, versions.len()) {
        (Some(version), _) => {
            let when = version
                .written
                .map_or_else(String::new, |at| format!(" of {}", time(at)));
            format!(
                "the state is newer: the digest belongs to its version{when} and was not updated since"
            )
        }
        (None, 2..) => {
            "the digest belongs to no version in the bucket: its state was lost, and may be newer"
                .to_owned()
        }
        (None, _) => {
            let when = content.written.map_or_else(
                || "at an unknown time".to_owned(),
                |at| format!("on {}", time(at)),
            );
            format!(
                "without bucket versions it is unknown which is newer: either the state was written {when} by something that \
                 writes no digest, or the digest's state was lost"
            )
        }
    }
}

fn written(content: &StateContent) -> String {
    let serial = content.serial.map(|serial| format!("serial {serial}"));
    let at = content.written.map(|at| format!("written {}", time(at)));
    serial.into_iter().chain(at).collect::<Vec<_>>().join(", ")
}

fn time(seconds: i64) -> String {
    DateTime::<Utc>::from_timestamp(seconds, 0).map_or_else(String::new, |time| {
        time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
    })
}

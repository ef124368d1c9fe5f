//! terraform's digest of the state: whether it matches, which of the two is newer, and how to mend it.

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
            (None, None) => self.report.good(DIGEST, "neither a state nor a digest of one"),
            (None, Some(_)) => self.report.good(
                DIGEST,
                "the state has no digest: terraform reads it unchecked, and writes one with the next state",
            ),
            (Some(digest), None) => {
                let message = format!("there is a digest ({digest}), and no state");
                let failure = Failure::new(exit_code::CONFIGURATION, message).hint(format!(
                    "restore the state `{}`; terraform refuses to go on without",
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
            "the digest {digest} is not that of the state ({}, {}); {newer}; terraform will say `state data in S3 does not \
             have the expected content`",
            content.md5,
            written(content)
        );
        let can_ask = self.report.form() == Form::Lines && self.context.ui.can_ask();
        let doctor = self.context.command_line("doctor");
        let hint = if can_ask {
            "compare the state with the infrastructure before you accept it".to_owned()
        } else {
            format!(
                "type `{doctor}` at a terminal: it asks before it accepts the state that is there"
            )
        };
        let failure = Failure::new(exit_code::CONFIGURATION, message).hint(hint);
        self.report.fault(DIGEST, failure)?;
        if !can_ask {
            return Ok(());
        }
        let question = "The digest of the state that is there will be written. If a newer state was lost, terraform will plan \
                        from an old one.\nAccept this state?";
        if self.context.ui.confirm_in_full(question) == Reply::No {
            self.context.ui.notice("the digest was left alone");
            return Ok(());
        }
        match self.mend(examined, item, state, digest, content).await {
            Ok(()) => self.report.mended(DIGEST, "is that of the state now"),
            Err(failure) => self.report.fault(DIGEST, failure),
        }
    }

    /// Writes the digest, unless anything has changed since it was shown. The lock is not taken: nobody can read the state,
    /// and so write it, before.
    async fn mend(
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

/// Which of the two is newer, as far as the bucket's versions tell.
fn newer(versions: &[Version], digest: &str, content: &StateContent) -> String {
    let of_digest = versions.iter().find(|version| version.tag == digest);
    match (of_digest, versions.len()) {
        (Some(version), _) => {
            let when = version.written.map_or_else(String::new, |at| format!(" of {}", time(at)));
            format!("the state is newer: the digest is that of its version{when}, and was not written with the last one")
        }
        (None, 2..) => "the digest is of no version in the bucket: the state that it belongs to was lost, and may be newer"
            .to_owned(),
        (None, _) => {
            let when = content.written.map_or_else(|| "at an unknown time".to_owned(), |at| format!("on {}", time(at)));
            format!(
                "which is newer cannot be told without versions of the bucket: the state was written {when}, by something that \
                 writes no digest, or the state of the digest was lost"
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

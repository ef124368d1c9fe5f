//! Checks of the bucket: endpoint, each permission, how the server treats conditions, and versions.

use super::report::{Form, Told};
use super::{CREDENTIALS, Doctor, permitted};
use crate::exit_code;
use crate::failure::Failure;
use crate::lock::read::{patiently, read};
use crate::lock::store::s3::{Compared, Conditions, Renewals, S3Store, StateObject};
use crate::lock::store::{Store as _, StoreError, StoreErrorKind};
use crate::resolve::Examined;
use crate::ui::Reply;

const CONDITIONS: &str = "conditional writes";

impl Doctor<'_> {
    pub(super) async fn examine_bucket(
        &mut self,
        examined: &Examined,
        state: &StateObject,
    ) -> Told {
        let machine = self.context.machine();
        let endpoint = examined.access.s3_endpoint();
        let listed = patiently(state.object(), &machine, || state.object().try_list()).await;
        self.clock = state.object().clock().or(self.clock);
        match listed {
            Ok(()) => {
                self.report.good("s3", format!("{endpoint} answers"))?;
                self.report.good(
                    "s3:ListBucket",
                    format!("`{}` can be listed", state.object().bucket()),
                )?;
            }
            Err(error) => match error.kind {
                StoreErrorKind::AccessDenied => {
                    self.report.good("s3", format!("{endpoint} answers"))?;
                    let failure = permission("s3:ListBucket", state.object().bucket(), error);
                    self.report.fault("s3:ListBucket", failure)?;
                }
                StoreErrorKind::NotFound | StoreErrorKind::Unsuitable => {
                    return self.out_of_reach("bucket", error);
                }
                kind if kind.is_about_credentials() => {
                    return self.out_of_reach(CREDENTIALS, error);
                }
                StoreErrorKind::ClockCorrected | StoreErrorKind::ClockOff => {
                    return self.out_of_reach("clock", error);
                }
                _ => return self.out_of_reach("s3", error),
            },
        }
        let seen = patiently(state.object(), &machine, || state.version()).await;
        let what = match &seen {
            Ok(Some(_)) => "can be read",
            Ok(None) => "does not exist yet",
            Err(_) => "",
        };
        let state_read = seen.map(|_| format!("the state `{}` {what}", state.key()));
        self.tried_reading(state.object(), state_read)?;
        let Some(object) = &examined.object else {
            return Ok(());
        };
        let lock_read = read(object, &machine).await;
        self.is_in_reach &= lock_read.is_ok();
        let lock_read = lock_read.map(|_| format!("the lock `{}` can be read", object.key()));
        self.tried_reading(object, lock_read)?;
        if examined.access.s3_is_amazons() {
            let own = object.for_doctor();
            let put = permitted(
                patiently(&own, &machine, || Box::pin(own.try_put())),
                patiently(object, &machine, || Box::pin(object.try_put())),
            );
            let put = put
                .await
                .map_err(|error| allowing("s3:PutObject", object, error));
            self.tell_permitted("s3:PutObject", "objects can be written", own.key(), put)?;
            let delete = permitted(
                patiently(&own, &machine, || Box::pin(own.try_delete())),
                patiently(object, &machine, || Box::pin(object.try_delete())),
            );
            let delete = delete
                .await
                .map_err(|error| allowing("s3:DeleteObject", object, error));
            self.tell_permitted(
                "s3:DeleteObject",
                "objects can be removed",
                own.key(),
                delete,
            )?;
        } else {
            Box::pin(self.examine_conditions(examined, object)).await?;
        }
        self.examine_versions(object).await
    }

    fn tried_reading(&mut self, object: &S3Store, tried: Result<String, StoreError>) -> Told {
        let check = "s3:GetObject";
        match tried {
            Err(error) if error.kind == StoreErrorKind::AccessDenied => {
                let failure = permission(check, object.key(), error);
                self.report.fault(check, failure)
            }
            tried => self.report.tried(check, tried),
        }
    }

    /// Uses an object of its own, and asks first: a server that ignores conditions writes it.
    async fn examine_conditions(&mut self, examined: &Examined, object: &S3Store) -> Told {
        let own = object.for_doctor();
        let ui = &self.context.ui;
        if self.report.form() == Form::Json || !ui.can_ask() {
            return self.report.not_tried(
                CONDITIONS,
                format!(
                    "would write and remove `{}`: run it at a terminal, without `--json`",
                    own.key()
                ),
            );
        }
        let question = format!(
            "Write and remove the object `{}` to see whether this server honours conditions?",
            own.key()
        );
        if ui.confirm(&question) == Reply::No {
            return self.report.not_tried(CONDITIONS, "declined");
        }
        match Box::pin(own.try_conditions()).await {
            Ok(conditions) => self.tell_conditions(examined, &conditions),
            Err(error) if error.kind == StoreErrorKind::AccessDenied => {
                let check = match error.action {
                    "DeleteObject" => "s3:DeleteObject",
                    "PutObject" => "s3:PutObject",
                    _ => "s3:GetObject",
                };
                let failure = permission(check, own.key(), error);
                self.report.fault(check, failure)
            }
            Err(error) => self.report.fault(CONDITIONS, Failure::of_check(error)),
        }
    }

    fn tell_conditions(&mut self, examined: &Examined, conditions: &Conditions) -> Told {
        let Conditions {
            create,
            overwrite,
            remove,
        } = conditions;
        let message = format!(
            "`If-None-Match` on writes is {}, `If-Match` on writes {}, on removals {}",
            create.word(),
            overwrite.word(),
            remove.word()
        );
        let compares = *overwrite == Compared::Honoured;
        if *create != Compared::Honoured {
            let failure = Failure::new(exit_code::CONFIGURATION, message).hint(
                "this server cannot keep a lock object: use a table with `--table NAME`, or `--store local`",
            );
            return self.report.fault(CONDITIONS, failure);
        }
        match (compares, examined.renewals) {
            (false, Renewals::On | Renewals::InItem) => {
                let failure = Failure::new(exit_code::CONFIGURATION, message).hint(
                    "a renewal could overwrite another run's lock: `unset TFLOCK_S3_HEARTBEAT`",
                );
                self.report.fault(CONDITIONS, failure)
            }
            (true, Renewals::Off) => self.report.advice(
                CONDITIONS,
                message,
                "locks can be renewed here: `export TFLOCK_S3_HEARTBEAT=on`",
            ),
            (true, Renewals::On | Renewals::InItem) | (false, Renewals::Off) => {
                self.report.good(CONDITIONS, message)
            }
        }
    }

    async fn examine_versions(&mut self, object: &S3Store) -> Told {
        match object.is_versioned().await {
            Some(true) => {
                let rule = lifecycle_rule(object.object());
                self.report.advice_with_block(
                    "versions",
                    format!(
                        "`{}` keeps old versions: each run leaves one of the lock, and another every minute",
                        object.bucket()
                    ),
                    "this rule of an `aws_s3_bucket_lifecycle_configuration` removes them after a day:",
                    rule,
                )
            }
            Some(false) => self.report.good(
                "versions",
                format!("`{}` keeps no old versions", object.bucket()),
            ),
            None => self.report.not_tried(
                "versions",
                "the server does not say whether it keeps old versions",
            ),
        }
    }
}

fn permission(action: &str, on: &str, error: StoreError) -> Failure {
    Failure::of_check(StoreError {
        remedy: Some(format!(
            "allow `{action}` on `{on}`, or use credentials that have it: `aws sts get-caller-identity` shows who you are"
        )),
        ..error
    })
}

/// Adds to a denied request what to allow.
fn allowing(action: &str, object: &S3Store, error: StoreError) -> StoreError {
    let allow = format!("allow `{action}` on `{}`", object.key());
    StoreError {
        remedy: (error.kind == StoreErrorKind::AccessDenied).then_some(allow),
        ..error
    }
}

/// The rule of docs/moving-to-s3-locks.md. The state has another name, so its old versions stay.
fn lifecycle_rule(object: &str) -> String {
    format!(
        "rule {{\n  id     = \"old versions of the terraform lock\"\n  status = \"Enabled\"\n  filter {{\n    \
         prefix = {object:?}\n  }}\n  noncurrent_version_expiration {{\n    noncurrent_days = 1\n  }}\n  expiration {{\n    \
         expired_object_delete_marker = true\n  }}\n}}\n"
    )
}

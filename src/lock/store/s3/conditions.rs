//! How a server treats the conditions that a lock needs, found out with `doctor`'s own object.

use super::S3Store;
use super::checkup::{NO_TAG, document};
use super::requests::Condition;
use crate::lock::store::{Revision, StoreError, Stored};

/// How a server treats a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// As S3 does.
    Honoured,
    /// It carries out the request in any case.
    Ignored,
    /// It reports success without carrying out the request.
    Feigned,
    /// It refuses the request even if the condition is met.
    AlwaysRefused,
    /// It answers that it does not support the condition.
    NotSupported,
    /// Several concurrent writes were all told that they came first.
    Raced,
}

impl Compared {
    /// For people.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::Ignored => "ignored",
            Self::Feigned => "feigned",
            Self::AlwaysRefused => "refused although met",
            Self::NotSupported => "not supported",
            Self::Raced => "not atomic",
        }
    }
}

/// How a server treats the conditions that a lock needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// `If-None-Match` on a write, which locking needs.
    pub create: Compared,
    /// `If-Match` on a write, which renewals need.
    pub overwrite: Compared,
    /// `If-Match` on a delete.
    pub remove: Compared,
}

impl S3Store {
    /// Writes and removes this object to find out how the server treats conditions. Leaves nothing behind.
    ///
    /// # Errors
    /// A request's error.
    pub async fn try_conditions(&self) -> Result<Conditions, StoreError> {
        self.delete(None).await?;
        let conditions = Box::pin(self.conditions()).await;
        self.delete(None).await?;
        conditions
    }

    async fn conditions(&self) -> Result<Conditions, StoreError> {
        let create = Box::pin(self.creates_once()).await?;
        let overwrite = self.compares_on_put().await?;
        let remove = self.compares_on_delete().await?;
        Ok(Conditions {
            create,
            overwrite,
            remove,
        })
    }

    async fn creates_once(&self) -> Result<Compared, StoreError> {
        let [first, second, third, fourth] = ["1", "2", "3", "4"].map(document);
        let answers: [_; 4] = tokio::join!(
            self.put(None, &first),
            self.put(None, &second),
            self.put(None, &third),
            self.put(None, &fourth),
        )
        .into();
        let mut winners: usize = 0;
        for answer in answers {
            match answer? {
                Condition::Held(_) => winners += 1,
                Condition::Failed | Condition::Conflict => {}
                Condition::Unsupported(_) => return Ok(Compared::NotSupported),
            }
        }
        let again = matches!(
            self.put(None, &document("again")).await?,
            Condition::Held(_)
        );
        Ok(match (winners, again, self.stored_text().await?) {
            (_, true, _) => Compared::Ignored,
            (0, false, _) => Compared::AlwaysRefused,
            (1, false, Some(_)) => Compared::Honoured,
            (_, false, None) => Compared::Feigned,
            (2.., false, Some(_)) => Compared::Raced,
        })
    }

    async fn compares_on_put(&self) -> Result<Compared, StoreError> {
        let Some((tag, _)) = self.stored_text().await? else {
            return Ok(Compared::Feigned);
        };
        match self.put(Some(NO_TAG), &document("wrong")).await? {
            Condition::Unsupported(_) => return Ok(Compared::NotSupported),
            Condition::Failed | Condition::Conflict => {}
            Condition::Held(_) => {
                let was_written = self.stored_text().await?.is_none_or(|(now, _)| now != tag);
                return Ok(if was_written {
                    Compared::Ignored
                } else {
                    Compared::Feigned
                });
            }
        }
        let new = document("right");
        match self.put(Some(&tag), &new).await? {
            Condition::Held(_) => {}
            Condition::Unsupported(_) => return Ok(Compared::NotSupported),
            Condition::Failed | Condition::Conflict => return Ok(Compared::AlwaysRefused),
        }
        let now = self.stored_text().await?.and_then(|(_, text)| text);
        Ok(if now == new.info {
            Compared::Honoured
        } else {
            Compared::Feigned
        })
    }

    async fn compares_on_delete(&self) -> Result<Compared, StoreError> {
        let Some((tag, _)) = self.stored_text().await? else {
            return Ok(Compared::Feigned);
        };
        match self.delete(Some(NO_TAG)).await? {
            Condition::Unsupported(_) => return Ok(Compared::NotSupported),
            Condition::Failed | Condition::Conflict => {}
            Condition::Held(()) => {
                let is_there = self.stored_text().await?.is_some();
                return Ok(if is_there {
                    Compared::Feigned
                } else {
                    Compared::Ignored
                });
            }
        }
        match self.delete(Some(&tag)).await? {
            Condition::Held(()) => {}
            Condition::Unsupported(_) => return Ok(Compared::NotSupported),
            Condition::Failed | Condition::Conflict => return Ok(Compared::AlwaysRefused),
        }
        let is_gone = self.stored_text().await?.is_none();
        Ok(if is_gone {
            Compared::Honoured
        } else {
            Compared::Feigned
        })
    }

    async fn stored_text(&self) -> Result<Option<(String, Option<String>)>, StoreError> {
        Ok(self.get().await?.and_then(|Stored { record, revision }| {
            let Revision::EntityTag(tag) = revision else {
                return None;
            };
            Some((tag, record.info))
        }))
    }
}

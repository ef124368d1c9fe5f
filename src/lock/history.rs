//! The history of a lock: who held it, what they did, and how it ended. The last fifty entries are kept in a companion.
//!
//! It is written in parallel to the release and never delays it. Nothing depends on it: what cannot be read or written is
//! left out.

mod recorder;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::recorder::{Recorder, read};
use super::record::{LockId, Record};
use super::store::companion::shorten;

/// How many holders are kept.
const MOST: usize = 50;

/// One holder of the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    /// The lock ID.
    #[serde(rename = "ID")]
    pub id: LockId,
    /// `<os user>@<host name>`.
    #[serde(default)]
    pub who: String,
    /// The command as a person would say it; for plain terraform, its operation.
    #[serde(default)]
    pub command: String,
    /// `--reason`; for plain terraform, its `Info`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The address of the CI run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run_url: Option<String>,
    /// The commit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub commit: Option<String>,
    /// When it was taken, by the holder's clock: RFC 3339 in UTC.
    #[serde(default)]
    pub from: String,
    /// When it ended, by the clock of the run that recorded the end.
    #[serde(default)]
    pub until: String,
    /// terraform's exit code; `None` if it has none or is unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub exit_code: Option<u8>,
    /// How it ended: a word of [`HowEnded`], or of a newer tflock.
    #[serde(default)]
    pub ended: String,
    /// Who ended it, if not the holder.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<String>,
    /// Fields of a newer tflock.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How a holder's lock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowEnded {
    /// Its holder released it.
    Released,
    /// tflock was killed, and its witness released the lock.
    Killed,
    /// Its run was dead, and someone released the lock.
    Died,
    /// Another run took it over: the holder was dead or had expired.
    TakenOver,
    /// A person removed it.
    ForceUnlocked,
    /// It was gone, or another run's, before its holder released it.
    Lost,
    /// It could not be released.
    NotReleased,
}

impl HowEnded {
    /// As in the document.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Killed => "killed",
            Self::Died => "died",
            Self::TakenOver => "taken over",
            Self::ForceUnlocked => "force-unlocked",
            Self::Lost => "lost",
            Self::NotReleased => "not released",
        }
    }

    /// Whether someone other than the holder recorded it.
    fn is_by_others(word: &str) -> bool {
        [Self::TakenOver, Self::ForceUnlocked, Self::Died]
            .iter()
            .any(|ended| ended.word() == word)
    }
}

impl Entry {
    /// The entry for the holder of `record`, whose lock ended then and in that way; `None` without a lock ID.
    #[must_use]
    pub fn of(record: &Record, until: String, ended: HowEnded) -> Option<Self> {
        let id = record.lock_id()?;
        let info = record.lock_info()?;
        let lease = record.lease.as_ref();
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let command = lease.map(|lease| lease.command.clone());
        let entry = Self {
            id,
            who: info.who,
            command: command.unwrap_or(info.operation),
            reason: match lease {
                // `Info` then has the address of the CI run as well.
                Some(lease) if lease.reason.is_some() || lease.run_url.is_some() => {
                    lease.reason.clone()
                }
                _ => text(&info.info),
            },
            run_url: lease.and_then(|lease| lease.run_url.clone()),
            commit: lease.and_then(|lease| lease.origin.as_ref()?.commit.clone()),
            from: info.created,
            until,
            exit_code: None,
            ended: ended.word().to_owned(),
            by: None,
            other: Map::new(),
        };
        Some(entry.shortened())
    }

    fn shortened(mut self) -> Self {
        let fields = [&mut self.who, &mut self.command].into_iter();
        shorten(fields.chain(&mut self.reason).chain(&mut self.run_url));
        self
    }

    /// Joins two entries for one holder: a run that removed the lock knows more of its end than the run that lost it.
    fn joined(self, newer: Self) -> Self {
        let stays = HowEnded::is_by_others(&self.ended) && !HowEnded::is_by_others(&newer.ended);
        let exit_code = newer.exit_code.or(self.exit_code);
        if stays {
            Self { exit_code, ..self }
        } else {
            Self { exit_code, ..newer }
        }
    }
}

/// The holders of a lock, the latest last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct History {
    /// The holders.
    #[serde(default)]
    pub entries: Vec<Entry>,
    /// Fields of a newer tflock.
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl History {
    /// Parses a document; `None` if it is not a history.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Adds a holder, or what else is known of one, and drops the oldest entries.
    pub fn add(&mut self, entry: Entry) {
        let place = self.entries.iter().position(|known| known.id == entry.id);
        match place {
            Some(place) => {
                let known = self.entries[place].clone();
                self.entries[place] = known.joined(entry);
            }
            None => self.entries.push(entry),
        }
        let surplus = self.entries.len().saturating_sub(MOST);
        self.entries.drain(..surplus);
    }

    fn to_text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

#[cfg(test)]
mod tests;

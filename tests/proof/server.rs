//! The far end: a place for one record with the rules of a real store.

use std::cell::{Cell, RefCell};
use std::hash::{Hash as _, Hasher};
use std::rc::Rc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::referee::{Party, Referee};
use crate::lock::hold::Hold;
use crate::lock::record::Record;
use crate::lock::store::{Identity, Revision, StoreErrorKind, Stored, Swap};
use crate::simulation::Simulation;

/// Which store's rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// Compares whole items; a refusal brings the holder back.
    DynamoDb,
    /// Compares entity tags, which heartbeats do not change, and wants a second request to see the holder.
    S3,
    /// The same, not renewed: the item next to it is.
    S3BesideAnItem,
    /// An S3 server that is not Amazon's, and does this when an object is to be overwritten under a condition.
    S3That(Quirk),
    /// Files of one machine: nothing is lost on the way.
    Local,
}

/// How the condition of an overwrite is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quirk {
    /// Nothing: the object is overwritten.
    IgnoresIfMatch,
    /// 200, and the object stays as it was.
    DoesNothing,
    /// 501.
    RefusesIfMatch,
}

impl Rules {
    pub(super) fn is_s3(self) -> bool {
        matches!(self, Self::S3 | Self::S3BesideAnItem | Self::S3That(_))
    }
}

/// What is asked of a place.
#[derive(Clone, Debug)]
pub(super) enum Request {
    Read,
    Swap {
        expected: Option<Stored>,
        new: Option<Record>,
    },
    /// plain terraform's.
    DeleteUncompared,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) by: Party,
    /// Where it goes.
    pub(super) place: Place,
    /// Among all that its sender has sent.
    pub(super) number: u64,
    pub(super) request: Request,
    pub(super) sent: Duration,
    /// What the client's clock said, as its signature does.
    pub(super) signed: DateTime<Utc>,
    pub(super) suspended_when_sent: Duration,
}

impl Envelope {
    /// All of it in a few bytes.
    pub(super) fn digest(&self, hasher: &mut impl Hasher) {
        (self.by, self.place, self.number, self.sent).hash(hasher);
        (self.signed, self.suspended_when_sent).hash(hasher);
        name(&self.request).hash(hasher);
        if let Request::Swap { expected, new } = &self.request {
            let expected = expected.as_ref().map(|stored| &stored.record);
            let [expected, new] = [expected, new.as_ref()].map(|one| one.map(contents));
            (expected, new).hash(hasher);
        }
    }
}

/// An answer, and when it was given.
pub(super) struct Reply {
    pub(super) swap: Swap,
    /// The number of its request in the order of the place.
    pub(super) at: u64,
}

/// The answer to a client.
pub(super) type Outcome = Result<Reply, StoreErrorKind>;

/// The record in a place, with its history.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) record: Record,
    /// Whose it is: the sender's, whatever its lock ID.
    pub(super) owner: Party,
    revision: Vec<u8>,
    /// When it was put there where nothing or another's stood: as time, and as the number of the request.
    pub(super) created: Duration,
    pub(super) created_at: u64,
    /// The number of that request among all that its sender has sent.
    pub(super) created_by: u64,
    /// When it was last written.
    pub(super) written: Duration,
    /// When that last write was sent.
    pub(super) sent: Duration,
    /// How long its writer's machine had been suspended until then.
    pub(super) suspended_when_sent: Duration,
}

impl Entry {
    fn stored(&self) -> Stored {
        Stored {
            record: self.record.clone(),
            revision: Revision::Bytes(self.revision.clone()),
        }
    }
}

/// A change of the record, as the referee sees it.
pub(super) struct Change<'a> {
    pub(super) place: Place,
    pub(super) compares_heartbeats: bool,
    /// Whether a lock is taken over here by removing it first.
    pub(super) is_taken_over_in_two_steps: bool,
    pub(super) by: Party,
    pub(super) before: Option<&'a Entry>,
    pub(super) after: Option<&'a Entry>,
}

/// Numbers the places of a lock.
pub(super) type Place = usize;

/// One place for a record.
pub(super) struct Server {
    pub(super) place: Place,
    pub(super) identity: Identity,
    simulation: Simulation,
    referee: Referee,
    pub(super) rules: Rules,
    entry: RefCell<Option<Entry>>,
    requests: Cell<u64>,
}

impl Server {
    pub(super) fn new(
        simulation: &Simulation,
        referee: &Referee,
        place: Place,
        rules: Rules,
    ) -> Rc<Self> {
        Rc::new(Self {
            place,
            identity: Identity::of(&[&place.to_string()]),
            simulation: simulation.clone(),
            referee: referee.clone(),
            rules,
            entry: RefCell::default(),
            requests: Cell::default(),
        })
    }

    /// Puts a hold there, before anybody comes.
    pub(super) fn hold(&self, record: &Record) {
        self.entry.replace(Some(Entry {
            revision: revision(self.rules, record),
            record: record.clone(),
            owner: Party::Hold,
            created: Duration::ZERO,
            created_at: 0,
            created_by: 0,
            written: Duration::ZERO,
            sent: Duration::ZERO,
            suspended_when_sent: Duration::ZERO,
        }));
    }

    /// The current record.
    pub(super) fn entry(&self) -> Option<Entry> {
        self.entry.borrow().clone()
    }

    /// Whose lock is there.
    pub(super) fn holder(&self) -> Option<Party> {
        self.entry.borrow().as_ref().map(|entry| entry.owner)
    }

    /// Which request wrote the current record.
    pub(super) fn created_at(&self) -> Option<u64> {
        self.entry.borrow().as_ref().map(|entry| entry.created_at)
    }

    /// The current record, in a few bytes.
    pub(super) fn digest(&self, hasher: &mut impl Hasher) {
        let entry = self.entry.borrow();
        let seen = entry.as_ref().map(|entry| {
            let times = (entry.created, entry.written, entry.sent);
            let by = (entry.created_by, entry.suspended_when_sent);
            (contents(&entry.record), entry.owner, times, by)
        });
        seen.hash(hasher);
    }

    /// How many requests were carried out.
    pub(super) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Whether it answers 501.
    fn refuses(&self, request: &Request) -> bool {
        let overwrites = matches!(
            request,
            Request::Swap {
                expected: Some(_),
                new: Some(_)
            }
        );
        overwrites && self.rules == Rules::S3That(Quirk::RefusesIfMatch)
    }

    /// Does what is asked, at once and as a whole.
    pub(super) fn carry_out(&self, envelope: &Envelope) -> Outcome {
        if self.refuses(&envelope.request) {
            return Err(StoreErrorKind::Unsuitable);
        }
        self.requests.set(self.requests.get() + 1);
        let before = self.entry();
        let current = || before.as_ref().map(Entry::stored);
        let swap = match &envelope.request {
            Request::Read => Swap::Refused(current()),
            Request::DeleteUncompared => {
                self.change(envelope, before.as_ref(), None);
                Swap::Done(None)
            }
            Request::Swap { expected, new } => {
                let standing = current().map(|stored| stored.revision);
                let is_same = standing == expected.as_ref().map(|stored| stored.revision.clone());
                let quirk = match self.rules {
                    Rules::S3That(quirk) if expected.is_some() => {
                        new.as_ref().map(|new| (quirk, new))
                    }
                    _ => None,
                };
                if let Some((Quirk::DoesNothing, new)) = quirk {
                    Swap::Done(Some(Stored {
                        record: new.clone(),
                        revision: Revision::Bytes(revision(self.rules, new)),
                    }))
                } else if is_same || matches!(quirk, Some((Quirk::IgnoresIfMatch, _))) {
                    self.change(envelope, before.as_ref(), new.clone());
                    Swap::Done(self.entry().map(|entry| entry.stored()))
                } else {
                    self.note_likeness(envelope.by, before.as_ref(), new.as_ref());
                    // S3 does not tell what is in the way.
                    Swap::Refused(current().filter(|_| !self.rules.is_s3()))
                }
            }
        };
        let by = envelope.by;
        self.referee.note(|| {
            format!(
                "  {} of {by} is carried out: {}",
                name(&envelope.request),
                outcome(&swap)
            )
        });
        Ok(Reply {
            swap,
            at: self.requests.get(),
        })
    }

    fn note_likeness(&self, by: Party, standing: Option<&Entry>, new: Option<&Record>) {
        let alike = standing.zip(new).is_some_and(|(standing, new)| {
            standing.owner != by && standing.record.lock_id() == new.lock_id()
        });
        if alike {
            self.referee.count(|tally| tally.met_its_like += 1);
        }
    }

    fn change(&self, envelope: &Envelope, before: Option<&Entry>, new: Option<Record>) {
        let now = self.simulation.elapsed();
        let after = new.map(|record| {
            let owner = if record.is_hold() {
                Party::Hold
            } else {
                envelope.by
            };
            let same = before.filter(|before| before.owner == owner);
            Entry {
                revision: revision(self.rules, &record),
                record,
                owner,
                created: same.map_or(now, |before| before.created),
                created_at: same.map_or(self.requests.get(), |before| before.created_at),
                created_by: same.map_or(envelope.number, |before| before.created_by),
                written: now,
                sent: envelope.sent,
                suspended_when_sent: envelope.suspended_when_sent,
            }
        });
        self.entry.replace(after.clone());
        self.referee.changed(&Change {
            place: self.place,
            compares_heartbeats: !self.rules.is_s3(),
            is_taken_over_in_two_steps: matches!(self.rules, Rules::S3That(_)),
            by: envelope.by,
            before,
            after: after.as_ref(),
        });
    }
}

/// What is compared: the contents and nothing else, so that equal contents are equal. To S3 that is the body.
fn revision(rules: Rules, record: &Record) -> Vec<u8> {
    if rules.is_s3() {
        record.info.clone().unwrap_or_default().into_bytes()
    } else {
        contents(record)
    }
}

/// All of a record that changes.
pub(super) fn contents(record: &Record) -> Vec<u8> {
    let mut bytes = record.info.clone().unwrap_or_default().into_bytes();
    if let Some(lease) = &record.lease {
        bytes.extend(lease.heartbeat.unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend(lease.heartbeat_at.iter().flat_map(|text| text.bytes()));
        bytes.extend(lease.hold.iter().flat_map(contents_of_hold));
        if let Some(holder) = &lease.holder {
            bytes.extend(holder.machine.iter().flat_map(|name| name.bytes()));
            bytes.extend(holder.process.start_time.to_be_bytes());
            bytes.extend(
                holder
                    .child
                    .map_or(0, |child| child.start_time)
                    .to_be_bytes(),
            );
        }
    }
    bytes
}

fn contents_of_hold(hold: &Hold) -> Vec<u8> {
    let mut bytes = hold.runs.to_be_bytes().to_vec();
    bytes.extend(hold.under.iter().flat_map(|under| contents(under)));
    bytes
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::Read => "read",
        Request::DeleteUncompared => "delete without comparison",
        Request::Swap { new: None, .. } => "delete",
        Request::Swap { expected: None, .. } => "put if absent",
        Request::Swap { .. } => "put if unchanged",
    }
}

fn outcome(swap: &Swap) -> String {
    let (word, stored) = match swap {
        Swap::Done(stored) => ("done", stored),
        Swap::Refused(stored) => ("refused", stored),
    };
    let Some(Stored { record, .. }) = stored else {
        return format!("{word}, nothing");
    };
    let heartbeat = record.lease.as_ref().and_then(|lease| lease.heartbeat);
    let id = record.lock_id().map_or_else(String::new, |id| id.0);
    format!(
        "{word}, {} with heartbeat {heartbeat:?}",
        id.get(..8).unwrap_or_default()
    )
}

/// Whatever carries requests to a place and answers back, or not.
pub(super) trait Wire {
    /// Takes a request; its outcome may be sent through `answer`.
    fn send(&self, envelope: Envelope, answer: oneshot::Sender<Outcome>);

    /// The place at the other end.
    fn server(&self) -> &Server;
}

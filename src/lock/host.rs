//! The machine that the protocol runs on: its clocks, its randomness and its processes.
//!
//! The protocol sees them only through [`Host`], so that a simulation can stand in. This is the one place
//! that reads a clock.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use super::record::{HolderProcess, LockId};
use crate::system::machine;
use crate::system::process::{ProcessIdentity, Stat};
use crate::system::run_file::{Traces, traces_of};

pub use crate::system::hex;

/// Time on this machine since some fixed moment, suspend included. Not comparable between machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub Duration);

impl Instant {
    /// How long ago `earlier` was; zero if it was not.
    #[must_use]
    pub fn since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// What is known of a holder that says it runs on some machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessFate {
    /// Somebody who works under its lock exists on this machine.
    Running,
    /// It ran on this machine, in this boot, and everybody who worked under its lock has ended.
    Ended,
    /// It ran on this machine before the last boot, or on one whose disk was copied.
    Rebooted,
    /// It runs elsewhere, or cannot be told.
    Elsewhere,
}

/// Clock, randomness and processes, as the protocol needs them.
pub trait Host {
    /// Time that goes on while the machine is suspended.
    fn now(&self) -> Instant;
    /// The wall clock: for people and for `Created`, never compared between machines without a margin.
    fn wall(&self) -> DateTime<Utc>;
    /// Ends after `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>>;
    /// Random bytes.
    fn random(&self) -> [u8; 16];

    /// Bytes that no other holder draws: from more than randomness, because machines that woke from one memory image can be
    /// given the same random bytes. Clocks, process and machine go into them as well.
    fn unique(&self) -> [u8; 16] {
        self.random()
    }
    /// This process, as it is written into a record; `None` where the system does not tell.
    fn this_process(&self) -> Option<HolderProcess>;
    /// What became of the process that a record names, and of all that it started under the lock `id`: by the traces that it
    /// left on this machine, never by what the record says alone.
    fn fate_of(&self, holder: &HolderProcess, id: &LockId) -> ProcessFate;

    /// `duration`, shortened at random by up to a third, so that a crowd does not move in step.
    fn jittered(&self, duration: Duration) -> Duration {
        let [byte, ..] = self.random();
        duration.mul_f64(1.0 - f64::from(byte) / 765.0)
    }
}

/// The real machine.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// Where the runs of this user leave their traces; without it nothing is proven.
    pub runs: Option<PathBuf>,
}

impl Host for Machine {
    fn now(&self) -> Instant {
        // CLOCK_MONOTONIC stands still while Linux is suspended; on other systems it is what there is.
        #[cfg(target_os = "linux")]
        let clock = nix::time::ClockId::CLOCK_BOOTTIME;
        #[cfg(not(target_os = "linux"))]
        let clock = nix::time::ClockId::CLOCK_MONOTONIC;
        Instant(clock.now().map_or(Duration::ZERO, Duration::from))
    }

    fn wall(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        #[expect(
            clippy::expect_used,
            reason = "without randomness lock IDs could collide: better no run at all"
        )]
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        bytes
    }

    fn unique(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(self.random());
        hash.update(self.now().0.as_nanos().to_be_bytes());
        hash.update(
            self.wall()
                .timestamp_nanos_opt()
                .unwrap_or_default()
                .to_be_bytes(),
        );
        hash.update(std::process::id().to_be_bytes());
        for name in [machine::identity(), machine::boot_id()]
            .into_iter()
            .flatten()
        {
            hash.update(name);
            hash.update([0]);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        bytes
    }

    fn this_process(&self) -> Option<HolderProcess> {
        let pid = std::process::id();
        Some(HolderProcess {
            machine: machine::identity(),
            boot_id: machine::boot_id()?,
            pid_namespace: machine::pid_namespace()?,
            uid: nix::unistd::geteuid().as_raw(),
            session: Stat::read(pid).ok().map(|stat| stat.session),
            process: ProcessIdentity::of(pid)?,
            child: None,
        })
    }

    fn fate_of(&self, holder: &HolderProcess, id: &LockId) -> ProcessFate {
        let Some(runs) = &self.runs else {
            return ProcessFate::Elsewhere;
        };
        match traces_of(runs, &id.0, holder.process) {
            Traces::Living => ProcessFate::Running,
            Traces::Ended => ProcessFate::Ended,
            Traces::EndedBeforeBoot => ProcessFate::Rebooted,
            Traces::Inconclusive => ProcessFate::Elsewhere,
        }
    }
}

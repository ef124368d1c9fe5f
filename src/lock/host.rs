//! The machine that the protocol runs on: its clocks, randomness and processes.
//!
//! The protocol uses them only through [`Host`], so that a simulation can replace them. It reads no clock anywhere else.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::record::{HolderProcess, LockId, Record};
use crate::system::process::{ProcessIdentity, Stat};
use crate::system::run_file::{Traces, traces_of};
use crate::system::{hold_file, machine};

pub use crate::system::hex;

/// Time on this machine since some fixed moment, including suspend. Not comparable between machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instant(pub Duration);

impl Instant {
    /// The time since `earlier`; zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// What is known about a holder's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessFate {
    /// A process that works under its lock exists on this machine.
    Running,
    /// It ran on this machine, in this boot, and every process that worked under its lock has ended.
    Ended,
    /// It ran on this machine before the last boot, unless this machine is a copy of its disk.
    Rebooted,
    /// It runs elsewhere, or its fate is unknown.
    Elsewhere,
}

/// Clock, randomness and processes, as the protocol needs them.
pub trait Host {
    /// The time, including suspend.
    fn now(&self) -> Instant;
    /// The wall clock, for people and for `Created`. Never compare it between machines without a margin.
    fn wall(&self) -> DateTime<Utc>;
    /// Waits for `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>>;
    /// Random bytes.
    fn random(&self) -> [u8; 16];

    /// Bytes that no other holder gets. They also depend on clocks, process and machine, because machines resumed from one
    /// memory image can get the same random bytes.
    fn unique(&self) -> [u8; 16] {
        self.random()
    }
    /// Whether the hold with this record was taken by this user on this machine.
    fn owns_hold(&self, hold: &Record) -> bool {
        let _ = hold;
        false
    }
    /// This process, for the record; `None` if the system does not reveal it.
    fn this_process(&self) -> Option<HolderProcess>;
    /// The fate of the process that a record names, and of everything it started under the lock `id`. Decided by the traces
    /// on this machine, never by the record alone.
    fn fate_of(&self, holder: &HolderProcess, id: &LockId) -> ProcessFate;

    /// `duration`, randomly shortened by up to a third, so that many runs do not move in step.
    fn jittered(&self, duration: Duration) -> Duration {
        let [byte, ..] = self.random();
        duration.mul_f64(1.0 - f64::from(byte) / 765.0)
    }
}

/// The real machine.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The directory of this user's run files; without it nothing is proven.
    pub runs: Option<PathBuf>,
}

impl Host for Machine {
    fn now(&self) -> Instant {
        // CLOCK_MONOTONIC stops while Linux is suspended; other systems have nothing better.
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

    fn owns_hold(&self, hold: &Record) -> bool {
        let (Some(runs), Some(id), Some(info)) = (&self.runs, hold.lock_id(), &hold.info) else {
            return false;
        };
        hold_file::is_here(runs, &id.0, info)
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

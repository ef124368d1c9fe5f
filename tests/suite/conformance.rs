//! The lock that the real terraform would take, and no other: both run on the same project and environment against
//! servers that write down who asked, and every write of a lock must be the same in all that decides whose lock it is.
//!
//! A row is one way to say who signs and where it goes. What a server hands out tells how it was asked (see
//! `recorder`), so that the key of a lock's write shows the whole chain that led to it.

mod endpoints;
mod files;
mod keys;
mod machines;
mod profiles;
mod proxies;
mod recorder;
mod roles;
mod row;
mod settings;

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use recorder::Write;
use row::{Expected, Row};

/// A permit to try a row: each starts a terraform that needs a tenth of a second of CPU, so all tests together try only a few at a time.
struct Turn;

static FREE: Mutex<Option<usize>> = Mutex::new(None);
static GIVEN_BACK: Condvar = Condvar::new();

impl Turn {
    fn take() -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.get_or_insert_with(|| 2 * thread::available_parallelism().map_or(2, usize::from));
        let mut free = GIVEN_BACK
            .wait_while(free, |free| *free == Some(0))
            .unwrap_or_else(PoisonError::into_inner);
        *free = free.map(|free| free - 1);
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        *free = free.map(|free| free + 1);
        GIVEN_BACK.notify_one();
    }
}

/// Runs both programs on each row, and fails with all rows in which they differ.
#[track_caller]
fn conform(rows: &[Row]) {
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for row in rows {
            let failures = &failures;
            scope.spawn(move || {
                // What is refused by a proxy is tried for ten seconds, which cost nothing.
                let is_idle = matches!(row.expected, Expected::Asked(_));
                let _turn = (!is_idle).then(Turn::take);
                if let Err(failure) = compare(row) {
                    let told = format!("{}: {failure}", row.name);
                    failures.lock().unwrap().push(told);
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} rows differ\n\n{}",
        failures.len(),
        rows.len(),
        failures.join("\n\n")
    );
}

fn compare(row: &Row) -> Result<(), String> {
    let terraform = row.run_terraform();
    let tflock = row.run_tflock();
    if terraform.writes != tflock.writes {
        return Err(format!("terraform {terraform}\ntflock {tflock}"));
    }
    let wrong = |what: &str| Err(format!("{what}\nterraform {terraform}\ntflock {tflock}"));
    match &row.expected {
        Expected::NoLock if !terraform.writes.is_empty() => wrong("terraform did not refuse"),
        Expected::NoLock if !matches!(tflock.code(), 77 | 78) => wrong("not 77 or 78"),
        Expected::NoLock => Ok(()),
        Expected::Asked(host) => {
            let hosts: Vec<&str> = terraform.writes.iter().map(Write::host).collect();
            if hosts == [host] {
                Ok(())
            } else {
                wrong(&format!("expected that only `{host}` is asked"))
            }
        }
        Expected::Signed(key) => {
            let signers: Vec<&str> = terraform.writes.iter().map(Write::signer).collect();
            if signers == [key, key] {
                Ok(())
            } else {
                wrong(&format!("expected two writes of `{key}`"))
            }
        }
    }
}

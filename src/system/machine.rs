//! What distinguishes this machine, its boot and its namespaces from others.
//!
//! All of it can be copied: machines made from one image, or cloned from one memory snapshot, look alike. So it can
//! refute that something belongs to this machine, but never prove it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::hex;

/// The kernel's random ID of this boot.
#[must_use]
pub fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// Inode of this process's PID namespace.
#[must_use]
pub fn pid_namespace() -> Option<u64> {
    Some(std::fs::metadata("/proc/self/ns/pid").ok()?.ino())
}

/// Inode of this process's time namespace, which start times are relative to; `None` before Linux 5.6.
#[must_use]
pub fn time_namespace() -> Option<u64> {
    Some(std::fs::metadata("/proc/self/ns/time").ok()?.ino())
}

/// The inode of the first PID namespace (`PROC_PID_INIT_INO` of the Linux source).
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Identifies this machine across boots: a hash of machine ID, host name and the addresses of its own network cards.
/// `None` in containers, whose names and addresses repeat from host to host, and on machines without a card.
#[must_use]
pub fn identity() -> Option<String> {
    if pid_namespace()? != INITIAL_PID_NAMESPACE {
        return None;
    }
    let machine_id = std::fs::read_to_string("/etc/machine-id").ok()?;
    let machine_id = machine_id.trim();
    if machine_id.is_empty() {
        return None;
    }
    let mut addresses: Vec<String> = std::fs::read_dir("/sys/class/net")
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| card_address(&entry.path()))
        .collect();
    if addresses.is_empty() {
        return None;
    }
    addresses.sort_unstable();
    let mut hash = Sha256::new();
    hash.update(machine_id);
    hash.update([0]);
    hash.update(nix::unistd::gethostname().ok()?.as_encoded_bytes());
    for address in addresses {
        hash.update([0]);
        hash.update(address);
    }
    Some(hex(&hash.finalize()[..16]))
}

fn card_address(card: &Path) -> Option<String> {
    let address = std::fs::read_to_string(card.join("address")).ok()?;
    let address = address.trim();
    let blank = address
        .chars()
        .all(|character| matches!(character, '0' | ':'));
    (!blank).then(|| address.to_owned())
}

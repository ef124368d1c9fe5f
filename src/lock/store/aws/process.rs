//! Credentials printed by a program: `credential_process` of a profile.
//!
//! As in terraform (`credentials/processcreds` of aws-sdk-go-v2), a shell runs the command with our stdin, stderr and
//! environment, so that it can prompt for a code. It has a minute, and ends with us.

use std::process::Stdio;
use std::time::Duration;

use aws_credential_types::Credentials;
use tokio::process::Command;

use super::identity::Process;
use super::json_keys;
use super::refused::IdentityRefused;
use crate::lock::store::StoreErrorKind;

const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn run(process: &Process) -> Result<Credentials, IdentityRefused> {
    let failed = |reason: String| {
        let profile = &process.profile;
        let message = format!("`credential_process` of the profile `{profile}` {reason}");
        IdentityRefused::new(StoreErrorKind::CredentialsRejected, message)
            .remedy("fix that program, or use other credentials; no request was sent to AWS yet")
    };
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(&process.command)
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    if !process.directory.as_os_str().is_empty() {
        command.current_dir(&process.directory);
    }
    // SAFETY: `prctl` is async-signal-safe, and nothing is allocated between fork and exec.
    unsafe { command.pre_exec(end_with_parent) };
    #[expect(
        clippy::disallowed_methods,
        reason = "not the child of a session: it runs before one and gets no signals"
    )]
    let child = command
        .spawn()
        .map_err(|error| failed(format!("cannot be started: {error}")))?;
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output
        .map_err(|_| failed(format!("has not ended within {} s", PATIENCE.as_secs())))?
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!("failed ({})", output.status)));
    }
    let object = json_keys::object(&output.stdout)
        .ok_or_else(|| failed("printed something that is not JSON".to_owned()))?;
    let version = json_keys::member(&object, "Version");
    if version.and_then(serde_json::Value::as_u64) != Some(1) {
        return Err(failed("printed another version than 1".to_owned()));
    }
    json_keys::credentials(&object, "SessionToken")
        .ok_or_else(|| failed("printed no `AccessKeyId` and `SecretAccessKey`".to_owned()))
}

/// Has the kernel kill the process when the thread that started it ends: after a SIGKILL nothing else could.
fn end_with_parent() -> std::io::Result<()> {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM).map_err(Into::into)
}

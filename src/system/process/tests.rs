use super::stat::has_living_threads;
use super::*;

fn words(text: &str) -> Vec<OsString> {
    text.split(' ').map(OsString::from).collect()
}

#[test]
fn names_with_parentheses_and_blanks_are_parsed() {
    let line = "77 (a) R (b c) S 1 70 60 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0";
    let stat = Stat::parse(77, line).unwrap();
    assert_eq!((stat.name.as_str(), stat.state), ("a) R (b c", 'S'));
    assert_eq!((stat.group, stat.session, stat.start_time), (70, 60, 4711));
    assert_eq!(stat.environment, (0, 0));
}

#[test]
fn a_process_with_another_start_time_does_not_exist() {
    let mut own = ProcessIdentity::of(std::process::id()).unwrap();
    assert_eq!(own.existence(), Existence::Exists);
    own.start_time += 1;
    assert_eq!(own.existence(), Existence::Absent);
    own.pid = u32::MAX;
    assert_eq!(own.existence(), Existence::Absent);
}

#[test]
fn a_process_outlives_its_first_thread() {
    use nix::libc;
    extern "C" fn work(_: *mut libc::c_void) -> *mut libc::c_void {
        loop {
            // SAFETY: it waits for a signal.
            unsafe { libc::pause() };
        }
    }
    // SAFETY: the forked process starts one thread on prepared values, ends its first, and is killed below.
    let forked = unsafe { libc::fork() };
    if forked == 0 {
        // SAFETY: as above; the values live as long as the calls.
        unsafe {
            let mut thread: libc::pthread_t = std::mem::zeroed();
            libc::pthread_create(
                &raw mut thread,
                std::ptr::null(),
                work,
                std::ptr::null_mut(),
            );
            libc::syscall(libc::SYS_exit, 0);
        }
    }
    let pid = u32::try_from(forked).unwrap();
    let state = || Stat::read(pid).unwrap().state;
    while state() != 'Z' {
        std::thread::yield_now();
    }
    assert!(!Stat::read(pid).unwrap().has_ended());
    let child = pid_of(pid);
    nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
    while Stat::read(pid).unwrap().state == 'Z' && has_living_threads(pid) {
        std::thread::yield_now();
    }
    assert!(Stat::read(pid).unwrap().has_ended());
    nix::sys::wait::waitpid(child, None).unwrap();
}

#[test]
fn an_empty_environment_in_the_middle_of_an_exec_is_not_final() {
    let line = |flags: u64, code: u64, environment: (u64, u64)| {
        let mut fields = std::array::from_fn::<_, 52, _>(|_| "0".to_owned());
        fields[2] = "R".to_owned();
        (fields[8], fields[25]) = (flags.to_string(), code.to_string());
        (fields[49], fields[50]) = (environment.0.to_string(), environment.1.to_string());
        format!("77 (a) b) {}", fields[2..].join(" "))
    };
    let kernel_thread = 0x0420_8040;
    for (flags, code, environment, is_settled) in [
        (0x0040_0100, 0, (0, 0), false),
        (0x0040_0100, 4096, (8192, 9000), false),
        (0x0040_0100, 0, (8192, 8192), false),
        (0x0040_0100, 4096, (8192, 8192), true),
        (kernel_thread, 0, (0, 0), true),
    ] {
        let stat = Stat::parse(77, &line(flags, code, environment)).unwrap();
        assert_eq!(stat.has_no_environment(), is_settled, "{environment:?}");
    }
}

#[test]
fn arguments_are_compared_without_the_program() {
    let ours = words("apply -auto-approve");
    assert!(has_arguments(
        &words("terraform apply -auto-approve"),
        &ours
    ));
    assert!(has_arguments(
        &words(".terraform-wrapped apply -auto-approve"),
        &ours
    ));
    for other in [
        "terraform apply",
        "sh terraform apply -auto-approve",
        "terraform",
    ] {
        assert!(!has_arguments(&words(other), &ours), "{other}");
    }
    assert!(!has_arguments(&[], &[]));
}

#[test]
fn a_script_is_recognised_by_its_name_after_the_interpreter() {
    let ours = words("apply");
    let is_script = |line: &str| interprets(&words(line), OsStr::new("terraform"), &ours);
    assert!(is_script("/bin/sh /opt/bin/terraform apply"));
    assert!(is_script("/usr/bin/env bash terraform apply"));
    for other in [
        "/bin/sh /opt/bin/other apply",
        "terraform apply",
        "sh -c terraform x apply",
    ] {
        assert!(!is_script(other), "{other}");
    }
}

#[test]
fn our_own_command_line_and_directory_are_read() {
    let own = std::process::id();
    assert!(!command_line(own).unwrap().is_empty());
    assert_eq!(directory(own).unwrap(), std::env::current_dir().unwrap());
    assert!(all().unwrap().contains(&own));
}

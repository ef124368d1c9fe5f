//! How a session ends: the child's ending, the outcome for the lock, and which of the two wins.

use super::*;

/// What happens to the lock while the child runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Befalls {
    Nothing,
    /// It cannot be released.
    NotReleased,
    /// Another run has taken it.
    Lost,
}

#[test]
fn the_exit_code_is_that_of_the_worst_and_the_failure_of_the_child_stands() {
    use Befalls::{Lost, NotReleased, Nothing};
    const DETAILED: &[u8] = &[0, 2];
    let killed = Outcome::Signal(SignalNumber(Number::SIGKILL as i32));
    let exit = Outcome::Exit;
    for (script, success_codes, befalls, expected) in [
        ("exit 0", &[0][..], Nothing, exit(0)),
        ("exit 0", &[0], NotReleased, exit(73)),
        ("exit 0", &[0], Lost, exit(76)),
        ("exit 1", &[0], Nothing, exit(1)),
        ("exit 1", &[0], NotReleased, exit(1)),
        ("exit 1", &[0], Lost, exit(76)),
        ("exit 2", &[0], NotReleased, exit(2)),
        ("exit 2", DETAILED, Nothing, exit(2)),
        ("exit 2", DETAILED, NotReleased, exit(73)),
        ("exit 2", DETAILED, Lost, exit(76)),
        ("kill -KILL $$", &[0], Nothing, killed),
        ("kill -KILL $$", &[0], NotReleased, killed),
        ("kill -KILL $$", &[0], Lost, exit(76)),
    ] {
        let scene = Scene::new();
        let play = Play {
            script,
            success_codes,
            ..Play::default()
        };
        let befall = || match befalls {
            Nothing => {}
            NotReleased => {
                let denied = Fault::Refused(StoreErrorKind::AccessDenied);
                scene.store.inject(vec![denied; 1000]);
            }
            Lost => scene.store.overwrite(None),
        };
        let ran = scene.run_child(&play, async {}, befall).unwrap();
        let outcome = ran.unwrap_or_else(|failure| exit(failure.exit_code));
        assert_eq!(outcome, expected, "{script} {success_codes:?} {befalls:?}");
        assert_eq!(scene.store.current().is_some(), befalls == NotReleased);
    }
}

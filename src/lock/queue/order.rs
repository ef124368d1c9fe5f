//! The rules of the queue, without clock or store: whose turn it is, who is next if the first does not take the lock, and
//! how often to look.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Ticket;
use crate::lock::record::LockId;
use crate::lock::record::parsed_time;

/// How long a free lock is reserved for the run whose turn it is.
pub const GRACE: Duration = Duration::from_secs(3);
/// How often the first run in the queue tries: a hand-over then takes an eighth of a second on average.
pub const FIRST: Duration = Duration::from_millis(300);
/// The interval of the others, for each run before them. The rate over all grows with the logarithm of their number: 4 looks
/// a second for 50 runs. As long as jobs take a second and a half, each run looks at least once before its turn.
const STEP: Duration = Duration::from_millis(1500);
/// How far the clock behind a ticket may lag ours before the ticket counts as abandoned.
const CLOCK_MARGIN: TimeDelta = TimeDelta::minutes(5);

/// How often to look, with that many runs before.
#[must_use]
pub fn pace(before: usize) -> Duration {
    match u32::try_from(before) {
        Ok(0) => FIRST,
        Ok(before) => STEP * before,
        Err(_) => STEP * u32::MAX,
    }
}

/// How long a lock must have been free before a run with that many before it may take it: none of them has.
#[must_use]
pub fn opens_after(before: usize) -> Duration {
    GRACE * u32::try_from(before).unwrap_or(u32::MAX)
}

/// The tickets before the ticket `id`; `None` if that is not there.
#[must_use]
pub fn before<'a>(tickets: &'a [Ticket], id: &LockId) -> Option<&'a [Ticket]> {
    let place = tickets.iter().position(|ticket| ticket.id == *id)?;
    Some(&tickets[..place])
}

/// Those of `before` that a run has to wait for: under the hold `under`, only others under the same hold.
#[must_use]
pub fn competing(before: &[Ticket], under: Option<&LockId>) -> Vec<Ticket> {
    let competes = |ticket: &&Ticket| under.is_none() || ticket.under.as_ref() == under;
    before.iter().filter(competes).cloned().collect()
}

/// The tickets that still wait once `holder` has the lock: it and all before it were served or skipped. A run under a hold
/// skips no one: the others could not have taken the lock.
#[must_use]
pub fn behind<'a>(tickets: &'a [Ticket], holder: &LockId) -> &'a [Ticket] {
    let is_served = |ticket: &Ticket| ticket.id == *holder && ticket.under.is_none();
    let served = tickets.iter().rposition(is_served);
    &tickets[served.map_or(0, |last| last + 1)..]
}

/// Inserts `mine` behind all tickets that were there when its run arrived, and behind newer ones with an earlier time. So
/// clocks decide only between runs that arrive at the same moment, or after a queue was lost.
pub fn enter(tickets: &mut Vec<Ticket>, mine: Ticket, seen_before: &[LockId]) {
    let known = tickets
        .iter()
        .rposition(|ticket| seen_before.contains(&ticket.id));
    let mut place = known.map_or(0, |last| last + 1);
    let since = mine.waits_since();
    let is_earlier = |ticket: &Ticket| match (ticket.waits_since(), since) {
        (Some(theirs), Some(ours)) => theirs <= ours,
        _ => true,
    };
    while tickets.get(place).is_some_and(is_earlier) {
        place += 1;
    }
    tickets.insert(place, mine);
}

/// Why a ticket is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// Its run has the lock: those before it are gone, or were skipped.
    Served,
    /// Its run gave up.
    GaveUp,
}

/// Removes the ticket `id`.
pub fn leave(tickets: &mut Vec<Ticket>, id: &LockId, leaving: Leaving) {
    if leaving == Leaving::Served {
        let behind = behind(tickets, id).len();
        tickets.drain(..tickets.len() - behind);
    }
    tickets.retain(|ticket| ticket.id != *id);
}

/// Removes abandoned tickets: those of runs that would have given up by now.
pub fn clear(tickets: &mut Vec<Ticket>, now: DateTime<Utc>) {
    tickets.retain(|ticket| {
        let until = ticket.until.as_deref().and_then(parsed_time);
        until.is_none_or(|until| now - until < CLOCK_MARGIN)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(id: &str, second: u32) -> Ticket {
        Ticket {
            since: format!("2026-01-01T00:00:{second:02}Z"),
            ..Ticket::new(LockId(id.into()))
        }
    }

    fn row(ids: &str) -> Vec<Ticket> {
        let ids = ids.chars().zip(1..);
        ids.map(|(id, second)| ticket(&id.to_string(), second))
            .collect()
    }

    fn ids(tickets: &[Ticket]) -> String {
        tickets.iter().map(|ticket| ticket.id.0.as_str()).collect()
    }

    fn id(id: &str) -> LockId {
        LockId(id.into())
    }

    #[test]
    fn fifty_runs_look_less_than_nine_times_a_second_in_all() {
        // A pause is shortened by up to a third, by a sixth on average.
        let looks = |count| -> f64 {
            (0..count)
                .map(|before| 6.0 / 5.0 / pace(before).as_secs_f64())
                .sum()
        };
        assert!(looks(50) < 8.0, "{}", looks(50));
        assert!(looks(500) < 10.0, "{}", looks(500));
        assert!((0..500).all(|before| pace(before) < pace(before + 1)));
    }

    #[test]
    fn a_free_lock_opens_to_one_run_after_the_other() {
        let seconds = [0, 1, 2, 10].map(|before| opens_after(before).as_secs());
        assert_eq!(seconds, [0, 3, 6, 30]);
    }

    #[test]
    fn order_tells_who_is_before_and_the_holder_tells_who_was_served() {
        let all = row("abcd");
        assert_eq!(before(&all, &id("c")).map(ids).as_deref(), Some("ab"));
        assert_eq!(before(&all, &id("x")), None);
        assert_eq!(ids(behind(&all, &id("b"))), "cd");
        assert_eq!(ids(behind(&all, &id("x"))), "abcd");
        // Repeated tickets count once, with the last of them.
        assert_eq!(ids(behind(&row("aba"), &id("a"))), "");
    }

    #[test]
    fn a_run_under_a_hold_waits_only_for_others_under_it_and_skips_no_one() {
        let mut all = row("abcd");
        for place in [1, 3] {
            all[place].under = Some(id("H"));
        }
        let first = before(&all, &id("d")).unwrap();
        assert_eq!(ids(&competing(first, Some(&id("H")))), "b");
        assert_eq!(ids(&competing(first, Some(&id("X")))), "");
        assert_eq!(ids(&competing(first, None)), "abc");
        assert_eq!(ids(behind(&all, &id("b"))), "abcd");
        leave(&mut all, &id("d"), Leaving::Served);
        assert_eq!(ids(&all), "abc");
    }

    #[test]
    fn a_ticket_goes_behind_all_that_were_there_when_its_run_arrived() {
        let cases: [(&str, &str, u32, &str); 7] = [
            ("", "", 5, "M"),
            ("ab", "ab", 5, "abM"),
            // Their clocks are ahead, but they were there before.
            ("abc", "abc", 1, "abcM"),
            // `c` arrived after `M`, but was entered first.
            ("abc", "ab", 2, "abMc"),
            // `c` arrived before `M`, and was entered between its look and its change.
            ("abc", "ab", 3, "abcM"),
            // A queue that was lost, and started again by a run further back.
            ("d", "ab", 0, "Md"),
            ("ad", "ab", 1, "aMd"),
        ];
        for (there, seen, second, expected) in cases {
            let mut tickets = row(there);
            let seen: Vec<_> = seen.chars().map(|one| id(&one.to_string())).collect();
            enter(&mut tickets, ticket("M", second), &seen);
            assert_eq!(ids(&tickets), expected, "{there} {seen:?}");
        }
    }

    #[test]
    fn a_run_that_is_served_removes_the_tickets_before_its_own() {
        for (there, leaving, left) in [
            ("abMcd", Leaving::Served, "cd"),
            ("abMcd", Leaving::GaveUp, "abcd"),
            ("ab", Leaving::Served, "ab"),
            ("MaMb", Leaving::Served, "b"),
            ("MaMb", Leaving::GaveUp, "ab"),
        ] {
            let mut tickets = row(there);
            leave(&mut tickets, &id("M"), leaving);
            assert_eq!(ids(&tickets), left, "{there} {leaving:?}");
        }
    }

    #[test]
    fn tickets_of_runs_that_would_have_given_up_are_cleared_with_a_margin_for_clocks() {
        let now = parsed_time("2026-01-01T01:00:00Z").unwrap();
        let until = |until: Option<&str>| Ticket {
            until: until.map(str::to_owned),
            ..ticket("a", 1)
        };
        for (until, left) in [
            (until(None), 1),
            (until(Some("not a time")), 1),
            (until(Some("2026-01-01T02:00:00Z")), 1),
            (until(Some("2026-01-01T00:55:30Z")), 1),
            (until(Some("2026-01-01T00:54:00Z")), 0),
        ] {
            let mut tickets = vec![until];
            clear(&mut tickets, now);
            assert_eq!(tickets.len(), left);
        }
    }
}

//! Describes the runs that wait for a lock, and the place of a run among them.

use chrono::{DateTime, Utc};

use super::holder::duration;
use crate::lock::queue::{QueuePosition, Ticket};
use crate::text::printable;

/// How many runs to list one by one.
const TOLD: usize = 10;

/// The waiting runs in order, a row for each.
#[must_use]
pub fn rows(tickets: &[Ticket], now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let told = tickets.iter().take(TOLD);
    let mut rows: Vec<_> = told
        .map(|ticket| ("waiting", summary(ticket, now)))
        .collect();
    if tickets.len() > TOLD {
        rows.push(("waiting", format!("and {} more", tickets.len() - TOLD)));
    }
    rows
}

/// `carlos@desk (apply, for 3 min): rotating the password`.
fn summary(ticket: &Ticket, now: DateTime<Utc>) -> String {
    let age = ticket
        .waits_since()
        .and_then(|since| now.signed_duration_since(since).to_std().ok());
    let age = age.map_or_else(String::new, |age| format!(", for {}", duration(age)));
    let reason = ticket.reason.as_ref().or(ticket.run_url.as_ref());
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let (who, command) = (name(ticket), &ticket.command);
    printable(&format!("{who} ({command}{age}){reason}"))
}

/// `2 runs are waiting, first carlos@desk`; `None` if there are none.
#[must_use]
pub fn summary_of(tickets: &[Ticket]) -> Option<String> {
    let first = name(tickets.first()?);
    Some(match tickets.len() {
        1 => format!("1 run is waiting: {first}"),
        count => format!("{count} runs are waiting, first {first}"),
    })
}

/// `2nd in line, after carlos@desk`; `None` for the first.
#[must_use]
pub fn place(position: &QueuePosition) -> Option<String> {
    let last = name(position.before.last()?);
    Some(format!("{}, after {last}", short_place(position)?))
}

/// `2nd in line`; `None` for the first.
#[must_use]
pub fn short_place(position: &QueuePosition) -> Option<String> {
    let place = position.place();
    let ending = match (place % 10, place % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    (place > 1).then(|| format!("{place}{ending} in line"))
}

fn name(ticket: &Ticket) -> String {
    if ticket.who.is_empty() {
        "someone".to_owned()
    } else {
        printable(&ticket.who)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::record::LockId;

    fn ticket(who: &str) -> Ticket {
        Ticket {
            who: who.to_owned(),
            command: "apply".to_owned(),
            since: "2026-11-22T10:43:00Z".to_owned(),
            ..Ticket::new(LockId(who.to_owned()))
        }
    }

    fn now() -> DateTime<Utc> {
        "2026-11-22T10:46:00Z".parse().unwrap()
    }

    #[test]
    fn the_first_ten_runs_are_listed_and_the_rest_counted() {
        let reasoned = Ticket {
            reason: Some("new\u{1b}[2J keys".to_owned()),
            ..ticket("carlos@desk")
        };
        let rows = rows(&[reasoned, ticket("")], now());
        let expected = [
            "carlos@desk (apply, for 3 min): new\u{fffd}[2J keys",
            "someone (apply, for 3 min)",
        ];
        assert_eq!(rows, expected.map(|text| ("waiting", text.to_owned())));
        let many = super::rows(&vec![ticket("a"); 12], now());
        assert_eq!(many.len(), 11);
        assert_eq!(many[10].1, "and 2 more");
    }

    #[test]
    fn a_queue_is_summed_up_in_a_few_words() {
        assert_eq!(summary_of(&[]), None);
        let one = summary_of(&[ticket("ana@laptop")]);
        assert_eq!(one.as_deref(), Some("1 run is waiting: ana@laptop"));
        let two = summary_of(&[ticket("ana@laptop"), ticket("b")]);
        assert_eq!(two.as_deref(), Some("2 runs are waiting, first ana@laptop"));
    }

    #[test]
    fn a_place_has_an_ordinal_and_names_the_run_before_it() {
        let position = |before: usize| QueuePosition {
            before: vec![ticket("ana@laptop"); before],
            behind: 3,
        };
        assert_eq!(place(&position(0)), None);
        for (before, expected) in [
            (1, "2nd"),
            (2, "3rd"),
            (3, "4th"),
            (10, "11th"),
            (11, "12th"),
            (20, "21st"),
            (110, "111th"),
        ] {
            let expected = format!("{expected} in line, after ana@laptop");
            assert_eq!(place(&position(before)), Some(expected));
        }
    }
}

//! Which request gets a fault: pure bookkeeping over patterns and counts.

use super::Fault;

/// One fault, and when it strikes.
#[derive(Debug, Clone)]
pub struct Rule {
    pattern: String,
    strikes: Strikes,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strikes {
    /// After so many more matching requests have passed, and once.
    After(usize),
    Always,
}

impl Rule {
    /// Strikes the nth matching request from now on, counted from 1.
    pub fn nth(pattern: &str, nth: usize, fault: Fault) -> Self {
        assert!(nth > 0, "requests are counted from 1");
        Self {
            pattern: pattern.to_owned(),
            strikes: Strikes::After(nth - 1),
            fault,
        }
    }

    /// Strikes all matching requests.
    pub fn every(pattern: &str, fault: Fault) -> Self {
        Self {
            pattern: pattern.to_owned(),
            strikes: Strikes::Always,
            fault,
        }
    }
}

/// All rules in force. Every rule counts every request that matches it; where several strike at once the
/// oldest wins and the others are used up.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    pub fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault for a request that has just arrived.
    pub fn fault_for(&mut self, action: &str) -> Option<Fault> {
        let mut struck = None;
        self.0.retain_mut(|rule| {
            if !matches(&rule.pattern, action) {
                return true;
            }
            let keep = match rule.strikes {
                Strikes::After(0) => false,
                Strikes::After(passing) => {
                    rule.strikes = Strikes::After(passing - 1);
                    return true;
                }
                Strikes::Always => true,
            };
            if struck.is_none() {
                struck = Some(rule.fault.clone());
            }
            keep
        });
        struck
    }
}

/// Whether an action is meant by a pattern, in which one `*` stands for anything.
pub fn matches(pattern: &str, action: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == action,
        Some((start, end)) => {
            action.len() >= start.len() + end.len()
                && action.starts_with(start)
                && action.ends_with(end)
        }
    }
}

//! Mutation testing: changes tflock's code in many small ways, one at a time, and sees whether the tests notice.
//!
//! All changes are built into one program, each switched on by its number, so that a change costs a run of the tests that pass
//! it and not a build. docs/testing.md says how it is used.

mod building;
mod changed_lines;
mod changes;
mod rooms;
mod running;
mod survivors;
mod switched;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::running::{Fate, Switch};
use crate::survivors::Survivors;
use crate::tree::{Mutant, Tree};

const USAGE: &str = "usage: cargo mutate [--since REVISION] [--seconds N] [--suite FILTER] [PATH…]";

struct Wanted {
    /// Only lines that are new since then.
    since: Option<String>,
    /// How long tests may run in all; what there is no time for is no failure.
    limit: Option<Duration>,
    /// Which tests of the suite are asked about what the others do not notice.
    suite: Option<String>,
    paths: Vec<PathBuf>,
}

impl Wanted {
    fn of(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut wanted = Self {
            since: None,
            limit: None,
            suite: None,
            paths: Vec::new(),
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--since" => wanted.since = Some(words.next().context(USAGE)?),
                "--seconds" => {
                    let seconds = words.next().context(USAGE)?.parse().context(USAGE)?;
                    wanted.limit = Some(Duration::from_secs(seconds));
                }
                "--suite" => wanted.suite = Some(words.next().context(USAGE)?),
                option if option.starts_with('-') => bail!(USAGE),
                path => wanted.paths.push(path.into()),
            }
        }
        Ok(wanted)
    }
}

fn main() -> Result<ExitCode> {
    let wanted = Wanted::of(std::env::args().skip(1))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .context("the root")?;
    let survivors = Survivors::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("survivors.txt"))?;
    let lines = match &wanted.since {
        Some(revision) => Some(changed_lines::since(root, revision)?),
        None => None,
    };
    let mut tree = Tree::make(root, &|file, site| {
        let is_named =
            wanted.paths.is_empty() || wanted.paths.iter().any(|path| file.starts_with(path));
        let is_new = lines.as_ref().is_none_or(|lines| {
            let of_file = lines.get(file).into_iter().flatten();
            let mut of_file = of_file.filter(|new| !new.is_empty());
            of_file.any(|new| new.start < site.lines.end && site.lines.start < new.end)
        });
        is_named && is_new
    })?;
    if tree.mutants().is_empty() {
        println!("nothing to change in these lines");
        return Ok(ExitCode::SUCCESS);
    }

    let program = building::build(&mut tree)?;
    let mutants = tree.mutants();
    println!("{} changes", mutants.len());
    let begun = Instant::now();
    let deadline = wanted.limit.map(|limit| begun + limit);
    let tests = running::list(&program)?;
    // Half of the time is for trying.
    let recorded_by = wanted.limit.map(|limit| begun + limit / 2);
    let passed = running::record(&tests, &tree.workspace, Switch::Variable, recorded_by)?;
    println!("{} tests", passed.len());
    let numbers: Vec<u32> = mutants.iter().map(|mutant| mutant.number).collect();
    let by_number: BTreeMap<u32, &Mutant> = mutants.iter().map(|one| (one.number, one)).collect();
    let tell = |number: u32, fate: Fate| {
        let mutant = by_number[&number];
        if let Some(word) = fate.unnoticed()
            && !survivors.has(mutant)
        {
            let (file, line) = (mutant.file.display(), mutant.line);
            println!("{word}: {file}:{line} {}", mutant.name());
        }
    };
    let tell_nothing = |_, _| {};
    let tell_now: &(dyn Fn(u32, Fate) + Sync) = match wanted.suite {
        None => &tell,
        Some(_) => &tell_nothing,
    };
    let directory = &tree.workspace;
    let mut fates = running::try_out(
        &numbers,
        tell_now,
        &passed,
        directory,
        Switch::Variable,
        deadline,
    );
    if let Some(filter) = &wanted.suite {
        ask_suite(&tree, filter, &mut fates, &tell)?;
    }
    Ok(report(&mutants, &fates, &survivors))
}

/// Asks the suite about what nobody has noticed.
fn ask_suite(
    tree: &Tree,
    filter: &str,
    fates: &mut BTreeMap<u32, Fate>,
    tell: &(dyn Fn(u32, Fate) + Sync),
) -> Result<()> {
    let left = fates.iter().filter(|(_, fate)| fate.unnoticed().is_some());
    let left: Vec<u32> = left.map(|(number, _)| *number).collect();
    let suite = building::build_for_suite(tree)?;
    let mut tests = running::list(&suite)?;
    tests.retain(|test| filter.split(',').any(|part| test.name.contains(part)));
    let passed = running::record(&tests, &tree.workspace, Switch::File, None)?;
    println!(
        "{} changes for {} tests of the suite",
        left.len(),
        passed.len()
    );
    let asked = running::try_out(&left, tell, &passed, &tree.workspace, Switch::File, None);
    for (number, fate) in asked {
        if fate != Fate::NotPassed {
            fates.insert(number, fate);
        }
    }
    std::fs::remove_file(tree.workspace.join("number"))?;
    building::restore(tree)
}

/// Something survives without a reason.
const UNEXPLAINED: u8 = 3;

/// Prints the score of each room.
fn report(mutants: &[Mutant], fates: &BTreeMap<u32, Fate>, survivors: &Survivors) -> ExitCode {
    let mut scores: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for mutant in mutants {
        let Some(fate) = fates.get(&mutant.number) else {
            continue;
        };
        let score = scores
            .entry(rooms::room_of(&mutant.file).unwrap_or("?"))
            .or_default();
        score[match fate.unnoticed() {
            None => 0,
            Some(_) if survivors.has(mutant) => 1,
            Some(_) => 2,
        }] += 1;
    }
    for (room, [noticed, explained, left]) in &scores {
        let percent = 100 * noticed / (noticed + left).max(1);
        println!(
            "{room}: {noticed} noticed, {explained} have a reason not to be, {left} were not: {percent} %"
        );
    }
    let untried = mutants.len() - fates.len();
    if untried > 0 {
        println!("{untried} changes were not tried for want of time");
    }
    if scores.values().any(|[_, _, left]| *left > 0) {
        return ExitCode::from(UNEXPLAINED);
    }
    ExitCode::SUCCESS
}

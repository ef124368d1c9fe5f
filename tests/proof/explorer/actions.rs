//! What can happen next in a small scene, and how it happens.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::oneshot;

use super::junction::{Pending, SlowAnswer, digest};
use super::world::{Actor, World};
use super::{Fault, SmallScene};
use crate::lock::store::StoreErrorKind;
use crate::referee::Party;
use crate::server::{Outcome, Place};

/// No schedule may be longer than this.
const LONGEST: Duration = Duration::from_mins(10);
/// How long a suspend or a stop lasts.
const SUSPENDED_FOR: Duration = Duration::from_secs(30);

/// What may happen next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    /// A request is carried out and answered.
    Serve(usize),
    Hit(usize, Fault),
    /// A request is carried out, and its sender dies before it hears of it.
    ServeAndKill(usize),
    /// The sender of a request dies before it is on its way.
    KillUnsent(usize),
    /// A request arrives after its sender has given up.
    Deliver(usize),
    /// An answer that was slow arrives.
    Answer(usize),
    /// A party dies; what it has sent is still under way.
    Kill(usize),
    Suspend(usize),
    /// A tflock is stopped, and nothing else on its machine.
    Stop(usize),
    /// The wall clock of a party's machine is set an hour ahead.
    SetClock(usize),
    /// Time advances to the next moment that a task waits for.
    Advance,
    /// All have ended, and what is under way never comes.
    LoseTheRest,
}

impl World<'_> {
    pub(super) fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        self.add_what_requests_meet(&mut actions);
        self.add_what_parties_meet(&mut actions);
        if self.is_over() {
            if !actions.is_empty() {
                actions.push(Action::LoseTheRest);
            }
            return actions;
        }
        let only_slow = self.junction.pending.borrow().iter().all(|one| one.slow);
        if only_slow && self.simulation.next_moment().is_some() {
            actions.push(Action::Advance);
        }
        actions
    }

    fn add_what_requests_meet(&self, actions: &mut Vec<Action>) {
        // Whoever was killed, or has given up, does not wait any more.
        for (index, one) in self.junction.pending.borrow().iter().enumerate() {
            let by = one.envelope.by;
            actions.push(Action::Serve(index));
            if self.left.faults > 0 && !one.slow && may_be_hit(self.scene, &self.actors, by) {
                let hits = self.scene.faults.iter();
                actions.extend(hits.map(|fault| Action::Hit(index, *fault)));
            }
            let lives = self.actor(by).is_some_and(|actor| actor.host.is_running());
            if self.left.crashes > 0 && matches!(by, Party::Tflock(_)) && lives {
                actions.push(Action::ServeAndKill(index));
                actions.push(Action::KillUnsent(index));
            }
        }
        let answers = self.junction.answers.borrow().len();
        actions.extend((0..answers).map(Action::Answer));
        let late = self.junction.late.borrow().len();
        actions.extend((0..late).map(Action::Deliver));
    }

    fn add_what_parties_meet(&self, actions: &mut Vec<Action>) {
        let running = self.actors.iter().enumerate().filter(|(_, actor)| {
            matches!(actor.party, Party::Tflock(_)) && actor.host.is_running()
        });
        for (index, _) in running {
            if self.left.crashes > 0 {
                actions.push(Action::Kill(index));
            }
            if self.left.suspends > 0 {
                actions.push(Action::Suspend(index));
            }
            if self.left.stops > 0 {
                actions.push(Action::Stop(index));
            }
            if self.left.clock_jumps > 0 {
                actions.push(Action::SetClock(index));
            }
        }
    }

    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Serve(index) => {
                let Pending {
                    envelope, answer, ..
                } = self.junction.take_pending(index);
                let outcome = self.junction.carry_out(&envelope);
                self.tell(envelope.by, envelope.place, outcome, answer);
            }
            Action::Hit(index, fault) => {
                self.left.faults -= 1;
                self.hit(index, fault);
            }
            Action::ServeAndKill(index) => {
                let Pending { envelope, .. } = self.junction.take_pending(index);
                // Nobody hears what came of it.
                let _ = self.junction.carry_out(&envelope);
                self.kill(envelope.by);
            }
            Action::KillUnsent(index) => {
                let Pending { envelope, .. } = self.junction.take_pending(index);
                self.kill(envelope.by);
            }
            Action::Deliver(index) => {
                let envelope = self.junction.late.borrow_mut().remove(index);
                // Nobody hears what came of it.
                let _ = self.junction.carry_out(&envelope);
            }
            Action::Answer(index) => {
                let one = self.junction.answers.borrow_mut().remove(index);
                self.tell(one.to, one.place, one.outcome, one.answer);
            }
            Action::Kill(index) => self.kill(self.actors[index].party),
            Action::Suspend(index) => self.suspend(index),
            Action::Stop(index) => self.stop(index),
            Action::SetClock(index) => {
                self.left.clock_jumps -= 1;
                let machine = self.actors[index].host.machine();
                self.referee
                    .note(|| format!("the clock of {machine} is set"));
                machine.set_wall_error(TimeDelta::hours(1));
                self.remember_all(index as u64);
            }
            Action::Advance => self.advance(),
            Action::LoseTheRest => self.junction.clear(),
        }
    }

    fn hit(&self, index: usize, fault: Fault) {
        if fault == Fault::Slow {
            self.junction.pending.borrow_mut()[index].slow = true;
            return;
        }
        let Pending {
            envelope, answer, ..
        } = self.junction.take_pending(index);
        let (to, place) = (envelope.by, envelope.place);
        self.referee
            .note(|| format!("  a request of {to}: {fault:?}"));
        let carried_out = || self.junction.carry_out(&envelope);
        match fault {
            Fault::Late => {
                self.junction.late.borrow_mut().push(envelope);
                self.tell(to, place, Err(StoreErrorKind::Unreachable), answer);
            }
            Fault::ReplyLost => {
                let _ = carried_out();
                self.tell(to, place, Err(StoreErrorKind::Unreachable), answer);
            }
            Fault::Mute => {
                let _ = carried_out();
            }
            Fault::Throttled => self.tell(to, place, Err(StoreErrorKind::Throttled), answer),
            Fault::SlowReply => {
                let one = SlowAnswer {
                    to,
                    place,
                    outcome: carried_out(),
                    answer,
                };
                self.junction.answers.borrow_mut().push(one);
            }
            Fault::Lost | Fault::Slow => {}
        }
    }

    /// The answer, and everything that its receiver can see at that moment, become part of what it knows.
    fn tell(&self, to: Party, place: Place, outcome: Outcome, answer: oneshot::Sender<Outcome>) {
        if let Some(actor) = self.actor(to) {
            self.remember(actor, digest(&outcome).wrapping_add(place as u64));
        }
        // It may have given up.
        let _ = answer.send(outcome);
    }

    fn kill(&mut self, party: Party) {
        self.left.crashes -= 1;
        self.referee.crashed(party, "is killed");
        if let Some(victim) = self.actor(party) {
            self.simulation.end_task(victim.task);
            victim.host.kill();
            victim
                .witness
                .ask_to_stop(&self.referee, party, "tflock is dead");
        }
        // Whoever looks at the processes of its machine from now on sees it.
        self.remember_all(u64::MAX);
        let answers = &self.junction.answers;
        answers.borrow_mut().retain(|one| one.to != party);
    }

    fn suspend(&mut self, index: usize) {
        self.left.suspends -= 1;
        let machine = self.actors[index].host.machine().clone();
        self.referee.note(|| format!("{machine} is suspended"));
        machine.suspend();
        // Its clocks diverge here, and what it does until it resumes depends on when this was.
        self.remember_all(index as u64);
        let (simulation, referee) = (self.simulation.clone(), self.referee.clone());
        let _ = self.simulation.spawn(async move {
            simulation.sleep(SUSPENDED_FOR).await;
            machine.resume();
            referee.note(|| format!("{machine} goes on"));
        });
    }

    fn stop(&mut self, index: usize) {
        self.left.stops -= 1;
        let Actor { party, task, .. } = self.actors[index];
        self.referee.stopped(party);
        self.simulation.stop_task(task);
        self.remember_all(index as u64);
        let simulation = self.simulation.clone();
        let _ = self.simulation.spawn(async move {
            simulation.sleep(SUSPENDED_FOR).await;
            simulation.continue_task(task);
        });
    }

    fn advance(&self) {
        if self.simulation.elapsed() > LONGEST {
            self.referee
                .violate("somebody does not come to an end".to_owned());
        }
        let moment = self.simulation.next_moment();
        while self.simulation.next_moment() == moment && self.simulation.jump() {}
    }
}

fn may_be_hit(scene: &SmallScene, actors: &[Actor], party: Party) -> bool {
    let only = scene.only_hits.map(|number| actors[number].party);
    only.is_none_or(|only| only == party)
}

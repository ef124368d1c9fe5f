//! What happens to those who act in a schedule, and to their machines.

use std::rc::Rc;
use std::time::Duration;

use chrono::TimeDelta;

use super::World;
use crate::network::{Trouble, TroubleKind};
use crate::referee::{Party, Referee};
use crate::simulation::{SimulatedHost, SimulatedMachine, Simulation, TaskId};
use crate::witness::Witness;

/// A tflock that can be killed.
pub(super) struct Victim {
    pub(super) party: Party,
    pub(super) host: SimulatedHost,
    pub(super) task: TaskId,
    pub(super) witness: Witness,
}

impl World<'_> {
    /// What happens to one tflock that starts after `delay`.
    pub(super) fn disturb(&self, party: Party, delay: Duration) {
        let random = self.random();
        if random.percent(self.scene.crashes) {
            let killing = self.kill(party);
            let simulation = self.simulation.clone();
            if random.percent(50) {
                let reached = self.steps.reached(party, 1 + random.below(12));
                let _ = self.simulation.spawn(async move {
                    if reached.await.is_ok() {
                        killing();
                    }
                });
            } else {
                let at = delay + self.seconds(0, 30);
                let _ = self.simulation.spawn(async move {
                    simulation.sleep(at).await;
                    killing();
                });
            }
        }
        if random.percent(self.scene.stops) {
            self.stop(party, delay + self.seconds(0, 20), self.seconds(1, 60));
        }
        let troubles = [
            (self.scene.cuts, TroubleKind::Cut),
            (self.scene.denials, TroubleKind::Denied),
        ];
        for (chance, kind) in troubles {
            if random.percent(chance) {
                let from = delay + self.seconds(0, 20);
                let trouble = Trouble {
                    of: random.percent(80).then_some(party),
                    from,
                    until: from + self.seconds(1, 60),
                    kind,
                };
                for network in &self.networks {
                    network.add(trouble);
                }
            }
        }
    }

    /// SIGSTOP, and SIGCONT when it `lasts` no longer.
    fn stop(&self, party: Party, at: Duration, lasts: Duration) {
        let (simulation, referee) = (self.simulation.clone(), self.referee.clone());
        let victims = Rc::clone(&self.victims);
        let _ = self.simulation.spawn(async move {
            simulation.sleep(at).await;
            let task = {
                let victims = victims.borrow();
                let victim = victims.iter().find(|one| one.party == party);
                victim
                    .filter(|one| one.host.is_running())
                    .map(|one| one.task)
            };
            if let Some(task) = task {
                referee.stopped(party);
                simulation.stop_task(task);
                simulation.sleep(lasts).await;
                simulation.continue_task(task);
            }
        });
    }

    /// SIGKILL: its tasks are no more, and the witness asks its child to stop.
    fn kill(&self, party: Party) -> impl FnOnce() + 'static {
        let (simulation, referee) = (self.simulation.clone(), self.referee.clone());
        let victims = Rc::clone(&self.victims);
        move || {
            let victims = victims.borrow();
            let victim = victims.iter().find(|one| one.party == party);
            if let Some(victim) = victim.filter(|victim| victim.host.is_running()) {
                referee.crashed(party, "is killed");
                simulation.end_task(victim.task);
                victim.host.kill();
                victim
                    .witness
                    .ask_to_stop(&referee, party, "tflock is dead");
            }
        }
    }

    pub(super) fn disturb_machines(&self) {
        for machine in &self.machines {
            self.set_wall_clock(machine);
            let (simulation, referee) = (self.simulation.clone(), self.referee.clone());
            let (machine, at) = (machine.clone(), self.seconds(0, 40));
            if self.random().percent(self.scene.suspends) {
                let lasts = self.seconds(1, 60);
                let _ = self.simulation.spawn(async move {
                    simulation.sleep(at).await;
                    referee.note(|| format!("{machine} is suspended"));
                    machine.suspend();
                    simulation.sleep(lasts).await;
                    machine.resume();
                    referee.note(|| format!("{machine} goes on"));
                });
            } else if self.random().percent(self.scene.reboots) {
                let victims = Rc::clone(&self.victims);
                let _ = self.simulation.spawn(async move {
                    simulation.sleep(at).await;
                    reboot(&referee, &machine, &victims.borrow());
                });
            }
        }
    }

    fn set_wall_clock(&self, machine: &SimulatedMachine) {
        machine.set_wall_error(up_to(&self.simulation, self.scene.wall_errors));
        if self.random().percent(50) {
            let (simulation, referee) = (self.simulation.clone(), self.referee.clone());
            let (machine, at) = (machine.clone(), self.seconds(1, 40));
            let most = self.scene.wall_jumps;
            let _ = self.simulation.spawn(async move {
                simulation.sleep(at).await;
                let error = up_to(&simulation, most);
                referee.note(|| format!("the clock of {machine} is set {error} wrong"));
                machine.set_wall_error(error);
            });
        }
    }
}

/// An error of either sign, up to `most`.
fn up_to(simulation: &Simulation, most: TimeDelta) -> TimeDelta {
    let span = most.to_std().unwrap_or_default() * 2;
    let error = simulation.random().between(Duration::ZERO, span);
    TimeDelta::from_std(error).unwrap_or_default() - most
}

/// Everything that runs on a machine ends at once, without a word.
fn reboot(referee: &Referee, machine: &SimulatedMachine, victims: &[Victim]) {
    referee.note(|| format!("{machine} is booted"));
    for victim in victims.iter().filter(|one| one.host.machine() == machine) {
        if victim.host.is_running() {
            referee.crashed(victim.party, "dies with its machine");
        }
    }
    referee.all_children_ended_on(machine);
    machine.reboot();
}

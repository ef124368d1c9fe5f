//! Who acts in a small scene.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::Role;
use super::junction::ToJunction;
use super::world::{Actor, World};
use crate::child::Child;
use crate::client::Client;
use crate::contender::{Contender, Plan};
use crate::lock::acquire::Claim;
use crate::lock::host::Host as _;
use crate::lock::store::Store;
use crate::mutants::Mutation;
use crate::others::{Insistence, Person, Terraform};
use crate::referee::{Candidate, Party};
use crate::schedule::Likeness;
use crate::server::Place;
use crate::simulation::{SimulatedHost, TaskId};
use crate::witness::Witness;

impl World<'_> {
    pub(super) fn add(&mut self, number: usize, role: &Role, mutation: Mutation) {
        let host = match role {
            Role::Tflock {
                machine,
                like: None,
                ..
            } => self.machines[*machine].tflock(),
            Role::Tflock {
                machine,
                like: Some((Likeness::RandomBytes, model)),
                ..
            } => self.machines[*machine].tflock_drawing_as(&self.actors[*model].host),
            Role::Tflock {
                like: Some((Likeness::Everything, model)),
                ..
            } => {
                let model = &self.actors[*model].host;
                self.machines[number] = self.simulation.clone_of(model.machine());
                model.woken_on(&self.machines[number])
            }
            Role::Terraform(_) | Role::Person(_) => self.machines[number].tflock(),
        };
        let witness = Witness::default();
        let (party, task) = match role {
            Role::Tflock { promise, plan, .. } => {
                let party = Party::Tflock(number);
                let claim = Claim {
                    under: self
                        .hold
                        .clone()
                        .filter(|_| self.scene.owners.contains(&number)),
                    ..host.claim(*promise)
                };
                let task = self.tflock(party, &host, claim, plan, &witness, mutation);
                (party, task)
            }
            Role::Terraform(work) => {
                let party = Party::Terraform(number);
                (party, self.terraform(party, &host, *work))
            }
            Role::Person(after) => {
                let party = Party::Person(number);
                (party, self.person(party, &host, *after))
            }
        };
        self.actors.push(Actor {
            party,
            host,
            task,
            witness,
            history: Cell::default(),
        });
    }

    fn tflock(
        &self,
        party: Party,
        host: &SimulatedHost,
        claim: Claim,
        plan: &Plan,
        witness: &Witness,
        mutation: Mutation,
    ) -> TaskId {
        let Party::Tflock(number) = party else {
            unreachable!("it is a tflock")
        };
        let wants = self.scene.wants.get(number).copied().unwrap_or(&[0]);
        let candidate = Candidate {
            under: claim.under.clone(),
            id: claim.info.id.clone(),
            host: host.clone(),
            promise: claim.lease.expire_after,
            stops_within: plan.stops_within,
            wants: wants.iter().copied().collect(),
        };
        self.referee.admit(party, candidate);
        let wanted = wants.iter().map(|place| {
            let client: Rc<dyn Store> = Rc::new(self.client(party, host, *place));
            (*place, mutation.store(client, &claim.info.id))
        });
        let wanted = wanted.collect();
        let servers = wants.iter();
        let servers = servers.map(|place| Rc::clone(&self.junction.servers[*place]));
        let contender = Contender {
            party,
            seen_host: mutation.host(host),
            host: host.clone(),
            plan: plan.clone(),
            child: Child::Terraform,
            wanted,
            servers: servers.collect(),
            referee: self.referee.clone(),
            witness: witness.clone(),
            mutation,
            claim,
        };
        host.machine().spawn(contender.run()).0
    }

    fn terraform(&self, party: Party, host: &SimulatedHost, work: Duration) -> TaskId {
        let terraform = Terraform {
            party,
            client: self.client(party, host, 0),
            host: host.clone(),
            id: self.referee.admit_terraform(party, host),
            server: Rc::clone(&self.junction.servers[0]),
            referee: self.referee.clone(),
            patience: Duration::from_secs(4),
            work,
        };
        host.machine().spawn(terraform.run()).0
    }

    fn person(&self, party: Party, host: &SimulatedHost, after: Duration) -> TaskId {
        let person = Person {
            party,
            clients: (0..self.junction.servers.len())
                .map(|place| self.client(party, host, place))
                .collect(),
            host: host.clone(),
            referee: self.referee.clone(),
            thinks_for: Duration::from_millis(400),
            insistence: Insistence::Forced,
        };
        let waiting = host.clone();
        let waiting_first = async move {
            waiting.sleep(after).await;
            person.run().await;
        };
        host.machine().spawn(waiting_first).0
    }

    fn client(&self, party: Party, host: &SimulatedHost, place: Place) -> Client {
        Client {
            wire: Rc::new(ToJunction {
                junction: Rc::clone(&self.junction),
                place,
            }),
            host: host.clone(),
            party,
            referee: self.referee.clone(),
            simulation: self.simulation.clone(),
            skew: Rc::default(),
            queue: None,
        }
    }
}

//! Who acts in a schedule.

use std::rc::Rc;
use std::time::Duration;

use super::disturbances::Victim;
use super::{Likeness, Wants, World};
use crate::borrower::{Errand, Script, Session};
use crate::child::Child;
use crate::client::Client;
use crate::contender::{Contender, Plan};
use crate::lock::acquire::Patience;
use crate::lock::host::Host as _;
use crate::lock::record::LockId;
use crate::lock::store::Store;
use crate::network::Network;
use crate::others::{Insistence, Person, Terraform, hold_of};
use crate::referee::{Candidate, Party};
use crate::server::Server;
use crate::simulation::{SimulatedHost, SimulatedMachine};
use crate::witness::Witness;

/// What of a party is drawn before it starts.
struct Character {
    promise: Option<Duration>,
    /// The hold that it works under.
    under: Option<LockId>,
    plan: Plan,
    child: Child,
    delay: Duration,
    /// The numbers of the places that it wants, as it names them.
    wants: Vec<usize>,
}

impl World<'_> {
    pub(super) fn add_tflock(&mut self, number: usize) {
        let character = self.draw();
        let delay = character.delay;
        let host = self.some_host();
        self.last = Some(host.clone());
        self.add(Party::Tflock(number), host, character);
        self.disturb(Party::Tflock(number), delay);
    }

    /// Whoever is like the one before it, in most cases where the scene wants that.
    fn some_host(&mut self) -> SimulatedHost {
        let Some(likeness) = self.scene.likeness else {
            return self.some_machine().tflock();
        };
        let model = self.last.take().filter(|_| self.random().percent(70));
        match (likeness, model) {
            (Likeness::RandomBytes, Some(model)) => self.some_machine().tflock_drawing_as(&model),
            (Likeness::RandomBytes, None) => self.some_machine().tflock(),
            (Likeness::Everything, model) => {
                let machine = match &model {
                    Some(model) => self.simulation.clone_of(model.machine()),
                    None => self.simulation.machine(),
                };
                self.machines.push(machine.clone());
                model.map_or_else(|| machine.tflock(), |model| model.woken_on(&machine))
            }
        }
    }

    /// A last one, to whom nothing happens.
    pub(super) fn add_heir(&mut self, machine: &SimulatedMachine) {
        let plan = Plan {
            patience: Patience::For(Duration::from_secs(5)),
            work: Duration::from_secs(1),
            stops_within: Duration::ZERO,
            asked_to_end: None,
            usurps_after: None,
            restless: None,
        };
        let heir = Character {
            promise: None,
            under: self.held(),
            child: Child::Terraform,
            plan,
            delay: Duration::ZERO,
            wants: (0..self.servers.len()).collect(),
        };
        self.add(Party::Tflock(usize::MAX), machine.tflock(), heir);
    }

    fn draw(&self) -> Character {
        let (scene, random) = (self.scene, self.random());
        let promise = random.percent(scene.promises).then(|| self.seconds(3, 20));
        let left_to_stop = promise.unwrap_or(Duration::from_secs(9)) / 3;
        let stops_within = if random.percent(scene.slow_to_stop) {
            left_to_stop + self.seconds(0, 20)
        } else {
            random.between(Duration::ZERO, left_to_stop)
        };
        let plan = Plan {
            patience: match scene.patience {
                Patience::For(limit) => Patience::For(random.between(Duration::ZERO, limit)),
                Patience::Forever => Patience::Forever,
            },
            work: random.between(Duration::ZERO, Duration::from_secs(25)),
            stops_within,
            asked_to_end: random
                .percent(scene.asked_to_end)
                .then(|| self.seconds(0, 30)),
            usurps_after: random.percent(scene.usurpers).then(|| self.seconds(0, 20)),
            restless: random.percent(scene.restless).then(|| self.seconds(1, 5)),
        };
        let owns = self.scene.owners > 0 && random.percent(self.scene.owners);
        Character {
            promise,
            under: self.hold.clone().filter(|_| owns),
            child: self.some_child(),
            plan,
            delay: self.start_delay(),
            wants: self.some_places(),
        }
    }

    fn some_child(&self) -> Child {
        let (scene, random) = (self.scene, self.random());
        if let Some(runs) = &self.runs
            && random.percent(scene.lenders)
        {
            let (networks, client) = (self.networks.clone(), self.client_maker());
            let mutation = self.mutation;
            let reach = move |party, host: &SimulatedHost| {
                let clients = networks.iter().map(|network| {
                    let client: Rc<dyn Store> = Rc::new(client(party, host, network));
                    mutation.store(client, &LockId(String::new()))
                });
                clients.collect()
            };
            return Child::Script(Rc::new(Script {
                errands: (0..2 + random.below(3))
                    .map(|_| self.some_errand())
                    .collect(),
                runs: runs.path().join("runs"),
                reach: Rc::new(reach),
            }));
        }
        if scene.clients > 0 && random.percent(scene.clients) {
            return Child::Client {
                killed_after: self.seconds(0, 25),
                elsewhere: self.simulation.clone(),
            };
        }
        Child::Terraform
    }

    fn some_errand(&self) -> Errand {
        let random = self.random();
        let number = self.errands.get() + 1;
        self.errands.set(number);
        Errand {
            number,
            after: self.seconds(0, 15),
            work: self.seconds(0, 30),
            patience: self.seconds(0, 90),
            session: if random.percent(50) {
                Session::Own
            } else {
                Session::Shared
            },
            calls_itself: random.percent(30),
        }
    }

    fn some_places(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.servers.len()).collect();
        if self.scene.wants == Wants::OneLock {
            return places;
        }
        let random = self.random();
        let count = 1 + usize::try_from(random.below(places.len() as u64)).unwrap_or(0);
        let mut named = Vec::new();
        while named.len() < count {
            let some = usize::try_from(random.below(places.len() as u64)).unwrap_or(0);
            named.push(places.remove(some));
        }
        named
    }

    fn add(&mut self, party: Party, host: SimulatedHost, character: Character) {
        let mut claim = host.claim(character.promise);
        claim.under.clone_from(&character.under);
        let candidate = Candidate {
            id: claim.info.id.clone(),
            host: host.clone(),
            promise: character.promise,
            under: character.under,
            stops_within: character.plan.stops_within,
            wants: character.wants.iter().copied().collect(),
        };
        self.referee.admit(party, candidate);
        let witness = Witness::default();
        let wanted = character.wants.iter().map(|place| {
            let client = Client {
                queue: self.queues[*place].clone(),
                ..self.client(party, &host, &self.networks[*place])
            };
            let client: Rc<dyn Store> = Rc::new(client);
            let lock = match self.scene.wants {
                Wants::OneLock => 0,
                Wants::SomeOfSeveral => *place,
            };
            (lock, self.mutation.store(client, &claim.info.id))
        });
        let servers = character.wants.iter();
        let servers = servers.map(|place| Rc::clone(&self.servers[*place]));
        let contender = Contender {
            party,
            seen_host: self.mutation.host(&host),
            host: host.clone(),
            plan: character.plan,
            child: character.child,
            wanted: wanted.collect(),
            servers: servers.collect(),
            referee: self.referee.clone(),
            witness: witness.clone(),
            mutation: self.mutation,
            claim,
        };
        let starting = host.clone();
        let (task, ending) = host.machine().spawn(async move {
            starting.sleep(character.delay).await;
            contender.run().await
        });
        self.endings.push(ending);
        self.victims.borrow_mut().push(Victim {
            party,
            host,
            task,
            witness,
        });
    }

    /// Puts the lock on hold, in all its places.
    pub(super) fn put_on_hold(&mut self) {
        if self.scene.owners == 0 {
            return;
        }
        let record = hold_of(&self.some_machine().tflock());
        for server in &self.servers {
            server.hold(&record);
        }
        self.hold = record.lock_id();
    }

    /// The hold, if it stands there still, by itself or with a run under it.
    fn held(&self) -> Option<LockId> {
        self.servers.first().and_then(|server| held_in(server))
    }

    /// Whether all places say so: a person may have ended the hold in one of them.
    pub(super) fn is_held_alike(&self) -> bool {
        let mut servers = self.servers.iter();
        servers.all(|server| held_in(server) == self.held())
    }

    fn client(&self, party: Party, host: &SimulatedHost, network: &Network) -> Client {
        self.client_maker()(party, host, network)
    }

    fn client_maker(&self) -> impl Fn(Party, &SimulatedHost, &Network) -> Client + use<> {
        let (referee, simulation) = (self.referee.clone(), self.simulation.clone());
        move |party, host, network| Client {
            wire: Rc::new(network.clone()),
            host: host.clone(),
            party,
            referee: referee.clone(),
            simulation: simulation.clone(),
            skew: Rc::default(),
            queue: None,
        }
    }

    fn some_machine(&self) -> SimulatedMachine {
        let count = u64::try_from(self.machines.len()).unwrap_or(1);
        let number = usize::try_from(self.random().below(count)).unwrap_or(0);
        self.machines[number].clone()
    }

    /// Often all at once, where it is closest.
    fn start_delay(&self) -> Duration {
        match self.random().below(3) {
            0 => Duration::ZERO,
            1 => self
                .random()
                .between(Duration::ZERO, Duration::from_secs(1)),
            _ => self.seconds(0, 20),
        }
    }

    /// Plain terraform stands beside tflock where there is one place.
    pub(super) fn add_terraform(&mut self) {
        let [server] = self.servers.as_slice() else {
            return;
        };
        if !self.random().percent(self.scene.terraforms) {
            return;
        }
        let party = Party::Terraform(0);
        let machine = self.some_machine();
        let host = machine.tflock();
        let terraform = Terraform {
            party,
            client: self.client(party, &host, &self.networks[0]),
            host: host.clone(),
            id: self.referee.admit_terraform(party, &host),
            server: Rc::clone(server),
            referee: self.referee.clone(),
            patience: self.seconds(0, 40),
            work: self.seconds(0, 15),
        };
        let delay = self.start_delay();
        let (_, ended) = machine.spawn(async move {
            host.sleep(delay).await;
            terraform.run().await;
        });
        self.others.push(ended);
    }

    pub(super) fn add_person(&mut self) {
        if !self.random().percent(self.scene.people) {
            return;
        }
        let party = Party::Person(0);
        let machine = self.some_machine();
        let host = machine.tflock();
        let insistence = if self.random().percent(60) {
            Insistence::Forced
        } else {
            Insistence::Careful
        };
        let clients = self
            .networks
            .iter()
            .map(|network| self.client(party, &host, network));
        let person = Person {
            party,
            clients: clients.collect(),
            host: host.clone(),
            referee: self.referee.clone(),
            thinks_for: self
                .random()
                .between(Duration::ZERO, Duration::from_secs(3)),
            insistence,
        };
        let delay = self.seconds(0, 30);
        let (_, ended) = machine.spawn(async move {
            host.sleep(delay).await;
            person.run().await;
        });
        self.others.push(ended);
    }
}

fn held_in(server: &Server) -> Option<LockId> {
    server.entry()?.record.hold()?.lock_id()
}

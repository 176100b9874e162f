//! Does what [`Watch`] decides, for all adapters on one connection to the bus.
//!
//! One loop: signals are heard, adapters are looked at every second and whenever BlueZ says that something changed, and
//! what was begun reports when it is done. Everything that waits for BlueZ is such a task with a time limit, so that one
//! adapter, or BlueZ itself, never holds up the others.

use super::{
    Adapter, Limits,
    bus::{self, Bus, CallError, Caller, ConnectError, Line},
    ear::Ear,
    monitor,
    scan::Scan,
    signal::{self, AdapterName, Report, Signal},
    watch::{Action, Look, Watch},
};
use crate::{
    capture::source::{Listener, Notice, SourceError, Stop, stopped},
    clock::{Clock, Now},
};
use btleplug::{
    api::Central,
    platform::{self, Manager},
};
use dbus::Message;
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use std::{str::FromStr, sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use vitrine_protocol::Id;

/// How often adapters are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the scans to end.
const ENDING: Duration = Duration::from_secs(2);
/// The wait before the next attempt to connect, after a first; it doubles up to [`CONNECT_MAX`].
const CONNECT: Duration = Duration::from_millis(250);
const CONNECT_MAX: Duration = Duration::from_secs(4);
/// Most questions to BlueZ for an RSSI at one time; what would be one more goes without.
const QUESTIONS_MAX: usize = 16;

/// An adapter in use.
struct Station {
    name: AdapterName,
    receiver: Id,
    watch: Watch,
    ear: Ear,
    /// btleplug's name for it, once it was there.
    central: Option<platform::Adapter>,
    is_looking: bool,
    /// What was said last of why it does not hear.
    said: Option<String>,
}

/// What a task brought. The number is the station's.
enum Done {
    Looked(usize, Result<Look, CallError>),
    Scanned(usize, Option<platform::Adapter>, Result<(), String>),
    Learnt(usize, Message, Now, Option<i8>),
}

/// Why a connection is given up.
enum End {
    /// The bus is gone.
    Lost,
    /// It brings nothing.
    Silent,
}

type Tasks = FuturesUnordered<BoxFuture<'static, Done>>;

/// Hears until `stop`.
///
/// # Errors
/// When the process has used up its connections.
pub(super) async fn run(
    adapters: Vec<Adapter>,
    limits: Limits,
    listener: Arc<dyn Listener>,
    clock: Clock,
    stop: Stop,
) -> Result<(), SourceError> {
    let silence_ms = u64::try_from(limits.silence.as_millis()).unwrap_or(u64::MAX);
    let stations = adapters.into_iter().filter_map(|Adapter { name, receiver }| {
        let Ok(name) = AdapterName::from_str(&name) else {
            tracing::error!(%receiver, name, "no Bluetooth adapter has so long a name");
            return None;
        };
        Some(Station {
            name,
            receiver,
            watch: Watch::new(silence_ms),
            ear: Ear::new(receiver),
            central: None,
            is_looking: false,
            said: None,
        })
    });
    let mut driver = Driver { stations: stations.collect(), listener, clock };
    let outcome = tokio::select! {
        Err(error) = driver.drive(limits) => Err(error),
        () = stopped(stop) => Ok(()),
    };
    driver.end_scans().await;
    outcome
}

struct Driver {
    stations: Vec<Station>,
    listener: Arc<dyn Listener>,
    clock: Clock,
}

impl Driver {
    /// Connects, and again when it has to. Never returns `Ok`.
    async fn drive(&mut self, limits: Limits) -> Result<(), SourceError> {
        let (mut manager, mut connections, mut wait) = (None::<Manager>, 0, CONNECT);
        loop {
            if manager.is_none() {
                if connections >= limits.connections {
                    return Err(SourceError {
                        name: "bluez",
                        why: format!(
                            "{connections} connections to the system bus are used up: start the agent again, and see why \
                             the bus was lost so often (`journalctl -u dbus`)"
                        ),
                    });
                }
                connections += 1;
            }
            match self.connect(manager.clone()).await {
                Ok((mut bus, of_btleplug)) => {
                    wait = CONNECT;
                    manager = match self.serve(&mut bus, &of_btleplug).await {
                        End::Silent => Some(of_btleplug),
                        End::Lost => None,
                    };
                }
                Err(error) => {
                    // A bus that refuses costs no connection; one that is silent keeps a thread.
                    connections -= u32::from(manager.is_none() && matches!(error, ConnectError::Refused(_)));
                    manager = None;
                    (0..self.stations.len())
                        .for_each(|station| self.say(station, NO_BUS, &error.to_string()));
                }
            }
            if manager.is_none() {
                for station in 0..self.stations.len() {
                    let actions = self.stations[station].watch.disconnected();
                    self.stations[station].central = None;
                    self.tell(station, actions);
                }
                sleep(wait).await;
                wait = (wait * 2).min(CONNECT_MAX);
            }
        }
    }

    async fn connect(&self, manager: Option<Manager>) -> Result<(Bus, Manager), ConnectError> {
        let (channel, manager) = bus::open(manager).await?;
        let adapters = self.stations.iter().map(|station| (station.name, station.receiver));
        let bus = Bus::new(channel, adapters, monitor::patterns().into(), self.listener.clone()).await;
        Ok((bus.map_err(|error| ConnectError::Broken(error.to_string()))?, manager))
    }

    /// Hears on a connection until it has to be given up.
    async fn serve(&mut self, bus: &mut Bus, manager: &Manager) -> End {
        self.stations.iter_mut().for_each(|station| {
            station.is_looking = false;
            station.watch.connected();
        });
        let (mut tasks, mut questions) = (Tasks::new(), 0);
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(message) = bus.signals.recv() => {
                    let unheard = match signal::read(&message) {
                        Signal::Advertisement(report) => self.hear(&report, questions < QUESTIONS_MAX),
                        Signal::Change => {
                            self.look(bus, &tasks);
                            None
                        }
                        Signal::Other => None,
                    };
                    if let Some((station, now)) = unheard {
                        questions += 1;
                        tasks.push(learn(bus.caller().clone(), station, message, now).boxed());
                    }
                }
                Some(done) = tasks.next(), if !tasks.is_empty() => match done {
                    Done::Learnt(station, message, at, rssi_dbm) => {
                        questions -= 1;
                        self.learn(station, &message, at, rssi_dbm);
                    }
                    Done::Looked(station, look) => {
                        let actions = self.looked(station, look, bus.line(station));
                        if self.act(station, actions, bus, manager, &tasks) {
                            return End::Silent;
                        }
                    }
                    Done::Scanned(station, central, outcome) => {
                        self.scanned(station, central, outcome);
                    }
                },
                _ = tick.tick() => self.look(bus, &tasks),
                _ = &mut bus.end => return End::Lost,
            }
        }
    }

    /// Hears a report, except where its RSSI is to be asked for first: returns by which station, and when.
    fn hear(&mut self, report: &Report<'_>, may_ask: bool) -> Option<(usize, Now)> {
        let now = self.clock.now();
        let index = self.stations.iter().position(|station| station.name == report.adapter)?;
        let station = &mut self.stations[index];
        let actions = station.watch.heard(now.mono_ms);
        let is_heard = station.ear.hear(report, now, &*self.listener);
        if !is_heard && !may_ask {
            station.ear.hear_anyway(report, now, &*self.listener);
        }
        self.tell(index, actions);
        (!is_heard && may_ask).then_some((index, now))
    }

    /// Hears a report whose RSSI was asked for.
    fn learn(&mut self, station: usize, message: &Message, at: Now, rssi_dbm: Option<i8>) {
        let Signal::Advertisement(report) = signal::read(message) else { return };
        let report = Report { rssi_dbm, ..report };
        let ear = &mut self.stations[station].ear;
        if !ear.hear(&report, at, &*self.listener) {
            ear.hear_anyway(&report, at, &*self.listener);
        }
    }

    /// Begins a look at each adapter that is not being looked at.
    fn look(&mut self, bus: &Bus, tasks: &Tasks) {
        for (index, station) in self.stations.iter_mut().enumerate() {
            if !std::mem::replace(&mut station.is_looking, true) {
                let look = bus.caller().clone().look(station.name);
                tasks.push(look.map(move |look| Done::Looked(index, look)).boxed());
            }
        }
    }

    fn looked(&mut self, index: usize, look: Result<Look, CallError>, line: &Line) -> Vec<Action> {
        match &look {
            Ok(Look::NoService) => self.say(index, NO_SERVICE, ""),
            Ok(Look::NoAdapter) => self.say(index, NO_ADAPTER, ""),
            Ok(Look::Adapter { powered: false, .. }) => self.say(index, OFF, ""),
            Err(error) => self.say(index, NO_ANSWER, &error.to_string()),
            Ok(_) => {}
        }
        let station = &mut self.stations[index];
        station.is_looking = false;
        let monitored = *line.monitored().borrow();
        station.watch.look(look.unwrap_or(Look::NoAnswer), monitored, self.clock.now().mono_ms)
    }

    fn scanned(&mut self, index: usize, central: Option<platform::Adapter>, outcome: Result<(), String>) {
        let now = self.clock.now();
        match &outcome {
            Ok(()) => self.stations[index].said = None,
            Err(error) => self.say(index, NO_SCAN, error),
        }
        let station = &mut self.stations[index];
        station.central = central;
        let actions = station.watch.scanned(outcome.is_ok(), now.mono_ms);
        self.tell(index, actions);
    }

    /// Does what is to be done; `true` where the connection is to be replaced.
    fn act(&self, index: usize, actions: Vec<Action>, bus: &Bus, manager: &Manager, tasks: &Tasks) -> bool {
        let mut reconnect = false;
        for action in &actions {
            match *action {
                Action::Scan { afresh } => {
                    let station = &self.stations[index];
                    let scan = Scan {
                        caller: bus.caller().clone(),
                        monitored: bus.line(index).monitored().clone(),
                        manager: manager.clone(),
                        name: station.name,
                        central: station.central.clone(),
                        afresh,
                    };
                    tasks.push(
                        scan.start()
                            .map(move |(central, outcome)| Done::Scanned(index, central, outcome))
                            .boxed(),
                    );
                }
                Action::Reconnect => reconnect = true,
                Action::Tell(_) | Action::Recovered(_) | Action::Duplicates { .. } => {}
            }
        }
        self.tell(index, actions);
        reconnect
    }

    /// Passes on what is to be said.
    fn tell(&self, index: usize, actions: Vec<Action>) {
        let receiver = self.stations[index].receiver;
        for action in actions {
            let notice = match action {
                Action::Tell(state) => Notice::Radio { receiver, state },
                Action::Recovered(cause) => Notice::Recovered { receiver, cause },
                Action::Duplicates { filtered } => Notice::Duplicates { receiver, filtered },
                Action::Scan { .. } | Action::Reconnect => continue,
            };
            self.listener.notice(notice, self.clock.now());
        }
    }

    /// Says once why an adapter does not hear, and what to do.
    fn say(&mut self, index: usize, what: &str, detail: &str) {
        let station = &mut self.stations[index];
        if station.said.as_deref() != Some(what) {
            station.said = Some(what.to_owned());
            tracing::warn!(adapter = %station.name, receiver = %station.receiver, detail, "{what}");
        }
    }

    /// Ends the scans, within [`ENDING`].
    async fn end_scans(&self) {
        let scanning = self.stations.iter().filter(|station| station.watch.is_scanning());
        let scans = scanning.filter_map(|station| station.central.as_ref()).map(Central::stop_scan);
        if timeout(ENDING, join_all(scans)).await.is_err() {
            tracing::debug!("not every scan could be ended");
        }
    }
}

const NO_BUS: &str = "the system bus cannot be reached: see `systemctl status dbus`";
const NO_SERVICE: &str =
    "BlueZ is not on the system bus: install `bluez`, and start it with `systemctl start bluetooth`";
const NO_ANSWER: &str = "BlueZ does not answer: let this user talk to it (on Debian: group `bluetooth`), and see \
                         `journalctl -u bluetooth`";
const NO_ADAPTER: &str = "no Bluetooth adapter has this name: `bluetoothctl list` and `dmesg | grep -i bluetooth` show \
                          those that are there";
const OFF: &str = "the Bluetooth adapter is switched off, and stays so: `bluetoothctl power on` switches it on, \
                   `rfkill list` tells whether it is blocked";
const NO_SCAN: &str = "BlueZ does not scan: another program may be at it; see `journalctl -u bluetooth`";

/// Asks for the RSSI of the device that `message` is of.
async fn learn(caller: Caller, station: usize, message: Message, at: Now) -> Done {
    let path = message.path().map(|path| path.to_string()).unwrap_or_default();
    let rssi_dbm = caller.rssi_dbm(&path).await;
    Done::Learnt(station, message, at, rssi_dbm)
}

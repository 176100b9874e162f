//! The fake's process: its connection to the bus, and what answers there.

use super::state::{Answer, State, lock};
use dbus::{
    Message, Path,
    arg::PropMap,
    blocking::{SyncConnection, stdintf::org_freedesktop_dbus::ObjectManager},
    channel::{Channel, MatchingReceiver, Sender},
    message::MatchRule,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const MONITOR: &str = "org.bluez.AdvertisementMonitor1";

/// A running bluetoothd. Dropped, it is gone from the bus.
pub(super) struct Daemon {
    connection: Arc<SyncConnection>,
    stop: Arc<AtomicBool>,
    service: Option<JoinHandle<()>>,
}

impl Daemon {
    pub(super) fn start(bus: &str, state: &Arc<Mutex<State>>) -> Self {
        let connection = Arc::new(SyncConnection::from(open(bus)));
        connection.request_name("org.bluez", false, false, true).expect("the name org.bluez is free");
        let (answering, bus) = (state.clone(), bus.to_owned());
        let answer = move |call: Message, connection: &SyncConnection| {
            let answer = lock(&answering).answer(&call);
            match answer {
                Answer::Reply(reply) => {
                    connection.send(reply).ok();
                }
                Answer::Monitor(reply) => register(&call, reply, &bus, &answering, connection),
                Answer::Nothing => {}
            }
            true
        };
        connection.start_receive(MatchRule::new_method_call(), Box::new(answer));
        let stop = Arc::<AtomicBool>::default();
        let (stopped, processing) = (stop.clone(), connection.clone());
        let service = thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) && processing.process(Duration::from_millis(5)).is_ok() {}
        });
        Self { connection, stop, service: Some(service) }
    }

    pub(super) fn send(&self, signal: Message) {
        // The bus may be gone.
        self.connection.send(signal).ok();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(service) = self.service.take() {
            // If it panicked, it has said so.
            service.join().ok();
        }
    }
}

fn open(bus: &str) -> Channel {
    let mut channel = Channel::open_private(bus).expect("the private bus answers");
    channel.register().expect("the private bus lets us in");
    channel
}

/// Reads the monitors of whoever called, which bluetoothd does before it answers, and puts them in force.
fn register(
    call: &Message,
    reply: Message,
    bus: &str,
    state: &Arc<Mutex<State>>,
    connection: &SyncConnection,
) {
    let (client, root) = (call.sender().expect("the bus names it").into_static(), call.read1::<Path<'_>>());
    let root = root.expect("a path").into_static();
    let adapter = call.path().and_then(|path| path.rsplit('/').next().map(str::to_owned)).unwrap_or_default();
    // bluetoothd asks at "/".
    let channel = SyncConnection::from(open(bus));
    let proxy = dbus::blocking::Proxy::new(client.clone(), "/", Duration::from_secs(2), &channel);
    let objects = proxy.get_managed_objects().unwrap_or_default();
    let monitor = objects.iter().find_map(|(path, interfaces)| {
        let is_below = path.starts_with(&*root);
        interfaces.get(MONITOR).filter(|monitor| is_below && is_in_order(monitor)).map(|_| path.clone())
    });
    connection.send(reply).ok();
    if let Some(monitor) = monitor {
        lock(state).adapter(&adapter).monitored = true;
        let activate = Message::method_call(&client, &monitor, &MONITOR.into(), &"Activate".into());
        connection.send(activate).ok();
    }
}

fn is_in_order(monitor: &PropMap) -> bool {
    let is_of_patterns =
        dbus::arg::prop_cast::<String>(monitor, "Type").is_some_and(|kind| kind == "or_patterns");
    let patterns = monitor.get("Patterns").map(|patterns| patterns.0.signature().to_string());
    let count = monitor.get("Patterns").and_then(|patterns| patterns.0.as_iter().map(Iterator::count));
    is_of_patterns
        && patterns.as_deref() == Some("a(yyay)")
        && count.is_some_and(|count| (1..=16).contains(&count))
}

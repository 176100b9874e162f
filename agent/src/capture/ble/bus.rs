//! The connection to the system bus: signals in a bounded queue, calls with a timeout, and its end.
//!
//! btleplug has a connection of its own, which it never closes. This one is for what btleplug cannot do: it asks BlueZ
//! about the device again for each event, keeps events without a bound, and tells neither when the bus is gone nor whose
//! bluetoothd it talks to; and it knows no advertisement monitors.

use super::{
    monitor::{self, Pattern},
    signal::{self, ADAPTER, AdapterName, DEVICE, ROOT, Signal},
    watch::Look,
};
use crate::capture::source::Listener;
use btleplug::platform::Manager;
use dbus::{
    Error, Message,
    arg::PropMap,
    channel::{BusType, Channel, MatchingReceiver},
    message::{MatchRule, MessageType},
    nonblock::{NonblockReply, SyncConnection},
};
use dbus_tokio::connection;
use std::{sync::Arc, thread, time::Duration};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use vitrine_protocol::Id;

/// The bus's own name, and its interface.
const BUS: &str = "org.freedesktop.DBus";
/// BlueZ's name on the bus.
const BLUEZ: &str = "org.bluez";
/// Signals that wait; more are dropped and counted.
const QUEUE: usize = 1024;
/// Longest wait for a connection.
const CONNECTING: Duration = Duration::from_secs(5);
/// Longest wait for what takes no time.
const QUICK: Duration = Duration::from_secs(2);

/// Longest wait for a monitor to come into force.
const IN_FORCE: Duration = Duration::from_secs(1);

/// What comes in: advertisements, and changes of adapters and of BlueZ itself.
const RULES: [&str; 3] = [
    "type='signal',sender='org.bluez',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
    "type='signal',sender='org.bluez',interface='org.freedesktop.DBus.ObjectManager',member='InterfacesAdded'",
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.bluez'",
];

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// An error came back.
    #[error("{0}")]
    Refused(Error),
    /// Nothing came back.
    #[error("no answer")]
    NoAnswer,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The bus cannot be reached, or does not let us in.
    #[error("{0}")]
    Refused(String),
    /// The bus let us in, and then failed: a connection is used up.
    #[error("{0}")]
    Broken(String),
    /// The bus says nothing. A thread waits for it for ever.
    #[error("no answer")]
    Silent,
}

/// What the connection knows of an adapter.
#[derive(Debug)]
pub(super) struct Line {
    name: AdapterName,
    receiver: Id,
    monitored: watch::Sender<bool>,
}

impl Line {
    /// Whether a monitor is in force on it.
    pub(super) fn monitored(&self) -> &watch::Sender<bool> {
        &self.monitored
    }
}

/// A connection.
pub(super) struct Bus {
    caller: Caller,
    /// What BlueZ tells.
    pub(super) signals: mpsc::Receiver<Message>,
    lines: Arc<[Line]>,
    /// Ends with the bus.
    pub(super) end: JoinHandle<()>,
}

/// Opens a connection, and btleplug's where `manager` is none, on a thread of their own: libdbus blocks, and for ever where
/// the bus lets it in and then says nothing. A thread of the runtime's would hold up the runtime's end as well.
pub(super) async fn open(manager: Option<Manager>) -> Result<(Channel, Manager), ConnectError> {
    let (opened, opening) = oneshot::channel();
    let runtime = Handle::current();
    let open = move || {
        let channel = Channel::get_private(BusType::System).map_err(|error| error.to_string())?;
        let manager = match manager {
            Some(manager) => manager,
            None => runtime.block_on(Manager::new()).map_err(|error| error.to_string())?,
        };
        Ok((channel, manager))
    };
    thread::spawn(move || opened.send(open()).is_ok());
    match timeout(CONNECTING, opening).await {
        Ok(Ok(outcome)) => outcome.map_err(ConnectError::Refused),
        Ok(Err(_)) => Err(ConnectError::Refused("connecting panicked".to_owned())),
        Err(_) => Err(ConnectError::Silent),
    }
}

impl Bus {
    /// Makes `channel` carry what concerns `adapters`, which are receivers of the plan. `listener` is told of what finds no
    /// room in the queue.
    pub(super) async fn new(
        channel: Channel,
        adapters: impl Iterator<Item = (AdapterName, Id)>,
        patterns: Arc<[Pattern]>,
        listener: Arc<dyn Listener>,
    ) -> Result<Self, CallError> {
        let (resource, connection) =
            connection::from_channel::<SyncConnection>(channel).map_err(CallError::Refused)?;
        let line = |(name, receiver)| Line { name, receiver, monitored: watch::Sender::new(false) };
        let lines: Arc<[Line]> = adapters.map(line).collect();
        let (signal, signals) = mpsc::channel(QUEUE);
        let counting = lines.clone();
        let rule = MatchRule::new().with_type(MessageType::Signal);
        connection.start_receive(
            rule,
            Box::new(move |message, _| {
                if let Err(full) = signal.try_send(message) {
                    tell_dropped(&counting, &full.into_inner(), &*listener);
                }
                true
            }),
        );
        let answering = lines.clone();
        connection.start_receive(
            MatchRule::new_method_call(),
            Box::new(move |call, connection| {
                let set = |adapter: &str, in_force| {
                    if let Some(line) = answering.iter().find(|line| line.name.as_str() == adapter) {
                        line.monitored.send_replace(in_force);
                    }
                };
                let names = answering.iter().map(|line| line.name.as_str());
                monitor::answer(&call, names, &patterns, set, connection);
                true
            }),
        );
        // Its end is all that there is to know of it.
        let end = tokio::spawn(async move { drop(resource.await) });
        let bus = Self { caller: Caller(connection), signals, lines, end };
        for rule in RULES {
            bus.caller
                .call(method(BUS, "/org/freedesktop/DBus", BUS, "AddMatch").append1(rule), QUICK)
                .await?;
        }
        Ok(bus)
    }

    /// Who calls on it.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The adapter's part of it.
    pub(super) fn line(&self, adapter: usize) -> &Line {
        &self.lines[adapter]
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // It holds the connection.
        self.end.abort();
    }
}

fn tell_dropped(lines: &[Line], message: &Message, listener: &dyn Listener) {
    if let Signal::Advertisement(report) = signal::read(message)
        && let Some(line) = lines.iter().find(|line| line.name == report.adapter)
    {
        listener.lost(line.receiver, 1);
    }
}

/// Makes calls.
#[derive(Clone)]
pub(super) struct Caller(Arc<SyncConnection>);

impl Caller {
    /// Looks at an adapter. bluetoothd is not started for that: whoever stopped it means it.
    pub(super) async fn look(self, adapter: AdapterName) -> Result<Look, CallError> {
        let reply = match self.call(get_all(&adapter_path(&adapter), ADAPTER), QUICK).await {
            Err(CallError::Refused(error)) => {
                return match error.name() {
                    Some(
                        "org.freedesktop.DBus.Error.ServiceUnknown"
                        | "org.freedesktop.DBus.Error.NameHasNoOwner",
                    ) => Ok(Look::NoService),
                    Some(
                        "org.freedesktop.DBus.Error.UnknownObject"
                        | "org.freedesktop.DBus.Error.UnknownMethod"
                        | "org.freedesktop.DBus.Error.UnknownInterface",
                    ) => Ok(Look::NoAdapter),
                    _ => Err(CallError::Refused(error)),
                };
            }
            reply => reply?,
        };
        let properties: PropMap = reply.read1().map_err(|error| CallError::Refused(error.into()))?;
        let is = |name: &str| dbus::arg::prop_cast(&properties, name).copied().unwrap_or(false);
        let owner = reply.sender().map(|sender| sender.to_string()).unwrap_or_default();
        Ok(Look::Adapter { owner, powered: is("Powered"), discovering: is("Discovering") })
    }

    /// What BlueZ holds to be the RSSI of the device at `path`.
    pub(super) async fn rssi_dbm(&self, path: &str) -> Option<i8> {
        let reply = self.call(get_all(path, DEVICE), QUICK).await.ok()?;
        let properties: PropMap = reply.read1().ok()?;
        signal::rssi_dbm(*dbus::arg::prop_cast(&properties, "RSSI")?)
    }

    /// Has our advertisement monitor registered on an adapter, anew where there is one, and waits a little until it is in
    /// force, so that a scan that is started next is not filtered.
    pub(super) async fn monitor(
        &self,
        adapter: AdapterName,
        monitored: watch::Sender<bool>,
    ) -> Result<(), CallError> {
        let root = dbus::Path::from(monitor::root(&adapter));
        let call = |member| {
            let call = method(BLUEZ, &adapter_path(&adapter), monitor::MANAGER, member);
            self.call(call.append1(root.clone()), QUICK)
        };
        // There may be none.
        call("UnregisterMonitor").await.ok();
        monitored.send_replace(false);
        call("RegisterMonitor").await?;
        let mut in_force = monitored.subscribe();
        timeout(IN_FORCE, in_force.wait_for(|in_force| *in_force))
            .await
            .map_err(|_| CallError::NoAnswer)?
            .ok();
        Ok(())
    }

    /// Calls, and waits for the answer, but not for ever.
    async fn call(&self, mut message: Message, wait: Duration) -> Result<Message, CallError> {
        message.set_auto_start(false);
        let (reply, replied) = oneshot::channel();
        let take = Box::new(move |message, _: &SyncConnection| drop(reply.send(message)));
        let token = self.0.send_with_reply(message, take).map_err(|()| CallError::NoAnswer)?;
        match timeout(wait, replied).await {
            Ok(Ok(mut message)) => match message.as_result() {
                Ok(_) => Ok(message),
                Err(error) => Err(CallError::Refused(error)),
            },
            Ok(Err(_)) => Err(CallError::NoAnswer),
            Err(_) => {
                self.0.cancel_reply(token);
                Err(CallError::NoAnswer)
            }
        }
    }
}

fn adapter_path(adapter: &AdapterName) -> String {
    format!("{ROOT}{adapter}")
}

fn get_all(path: &str, interface: &str) -> Message {
    method(BLUEZ, path, "org.freedesktop.DBus.Properties", "GetAll").append1(interface)
}

fn method(destination: &str, path: &str, interface: &str, member: &str) -> Message {
    Message::method_call(&destination.into(), &path.into(), &interface.into(), &member.into())
}

//! BLE advertisements straight from the kernel, over its Bluetooth management socket: for stores so dense with beacons that
//! D-Bus is in the way.
//!
//! One source is one adapter. It needs `CAP_NET_ADMIN`, and nothing of bluetoothd, which may run beside it; somebody has to
//! power the adapter, which this part never does. `watch` decides, this part does.
//!
//! Left out: extended advertisements in several parts (the kernel joins them), classic devices, and everything about
//! connections. With several adapters each source is handed the packets of all, and passes over those of others.

mod packet;
mod socket;
mod watch;

use self::{
    packet::{Command, Event, PACKET_MAX},
    socket::Socket,
    watch::{Action, Watch},
};
use crate::{
    capture::source::{AdvertSource, Advertisement, Content, Listener, SourceError, Stop, stopped},
    clock::Clock,
};
use futures_util::future::BoxFuture;
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval, sleep};
use vitrine_protocol::Id;

const NAME: &str = "mgmt";
/// How often the watch is told that time passes.
const TICK: Duration = Duration::from_millis(100);
/// Ticks from one look at the kernel's drops to the next.
const DROPS_EVERY: u32 = 10;
/// Packets read at once before others have their turn.
const BURST: usize = 64;
/// Before the socket is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// An adapter, listened to through the kernel.
#[derive(Clone, Debug)]
pub struct Mgmt {
    name: String,
    index: u16,
    receiver: Id,
}

impl Mgmt {
    /// The adapter `name`, such as `hci0`, as `receiver` of the plan; `None` where that is no adapter's name.
    pub fn new(name: &str, receiver: Id) -> Option<Self> {
        Some(Self { name: name.to_owned(), index: index(name)?, receiver })
    }
}

/// The kernel's number of an adapter.
pub fn index(name: &str) -> Option<u16> {
    let digits =
        name.strip_prefix("hci").filter(|digits| digits.bytes().all(|octet| octet.is_ascii_digit()))?;
    digits.parse().ok().filter(|&index| index != packet::NONE)
}

impl AdvertSource for Mgmt {
    fn run(
        self: Box<Self>,
        listener: Arc<dyn Listener>,
        clock: Clock,
        stop: Stop,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        let Self { name, index, receiver } = *self;
        let ear = Ear { name, index, receiver, listener, clock };
        Box::pin(async move { ear.listen(stop).await })
    }
}

/// Why a socket is no longer listened to.
enum End {
    /// It is time to stop.
    Stopped,
    /// The socket has to be opened anew.
    Reopen,
    /// This process may not listen.
    Forbidden,
}

struct Ear {
    name: String,
    index: u16,
    receiver: Id,
    listener: Arc<dyn Listener>,
    clock: Clock,
}

impl Ear {
    async fn listen(&self, stop: Stop) -> Result<(), SourceError> {
        let mut watch = Watch::new(self.receiver);
        let mut is_told = false;
        loop {
            match Socket::open() {
                Ok(socket) => match self.session(socket, &mut watch, stop.clone()).await {
                    End::Stopped => return Ok(()),
                    End::Reopen => {
                        is_told = false;
                        self.notify(watch.closed());
                    }
                    End::Forbidden => return Err(forbidden()),
                },
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(forbidden()),
                Err(error) => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::error!(
                            adapter = self.name, %error,
                            "this kernel has no Bluetooth: `modprobe bluetooth`; or the unit's RestrictAddressFamilies \
                             lacks AF_BLUETOOTH"
                        );
                    }
                    self.notify(watch.no_socket());
                }
            }
            tokio::select! {
                () = sleep(AGAIN_AFTER) => {}
                () = stopped(stop.clone()) => return Ok(()),
            }
        }
    }

    /// Listens to a socket as long as it serves.
    async fn session(&self, mut socket: Socket, watch: &mut Watch, stop: Stop) -> End {
        let mut stop = pin!(stopped(stop));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut buffer, mut tick) = (vec![0; PACKET_MAX], 0u32);
        let mut actions = watch.start(self.clock.now().mono_ms);
        loop {
            if let Some(end) = self.act(&socket, actions) {
                return end;
            }
            actions = tokio::select! {
                () = &mut stop => {
                    for command in watch.leave() {
                        // Whether it arrives or not, nothing else can be done.
                        socket.send(&command.encode(self.index)).ok();
                    }
                    return End::Stopped;
                }
                _ = ticks.tick() => {
                    let now_ms = self.clock.now().mono_ms;
                    tick = tick.wrapping_add(1);
                    if tick % DROPS_EVERY == 0 && self.has_lost(&mut socket) { watch.start(now_ms) } else { watch.tick(now_ms) }
                }
                readable = socket.readable() => match readable.and_then(|()| self.read(&socket, &mut buffer, watch)) {
                    Ok(actions) => actions,
                    Err(error) => return self.broken(&error),
                },
            };
        }
    }

    /// Reads what is there, up to [`BURST`].
    fn read(&self, socket: &Socket, buffer: &mut [u8], watch: &mut Watch) -> io::Result<Vec<Action>> {
        let (mut actions, at) = (Vec::new(), self.clock.now());
        for _ in 0..BURST {
            let Some(length) = socket.read(buffer)? else { break };
            // What is cut short is passed over: the watch notices where an answer is missing.
            let Some(packet) = packet::parse(&buffer[..length]) else { continue };
            match packet.event {
                _ if packet.index != self.index => {}
                Event::Found(found) => {
                    watch.heard(at.mono_ms);
                    self.listener.hear(&Advertisement {
                        at,
                        receiver: self.receiver,
                        address: Some(found.address),
                        rssi_dbm: found.rssi_dbm,
                        content: Content::Raw(found.content),
                    });
                }
                event => actions.extend(watch.handle(event, at.mono_ms)),
            }
        }
        Ok(actions)
    }

    /// Whether the kernel had no room for some packets. Among them may be any.
    fn has_lost(&self, socket: &mut Socket) -> bool {
        let dropped = socket.dropped();
        if dropped > 0 {
            self.listener.lost(self.receiver, dropped.into());
            tracing::warn!(adapter = self.name, dropped, "advertisements came faster than they were read");
        }
        dropped > 0
    }

    fn act(&self, socket: &Socket, actions: Vec<Action>) -> Option<End> {
        for action in actions {
            match action {
                Action::Send(command) => {
                    if let Err(error) = self.send(socket, command) {
                        return Some(self.broken(&error));
                    }
                }
                Action::Reopen => return Some(End::Reopen),
                Action::Forbidden => return Some(End::Forbidden),
                other => self.notify(vec![other]),
            }
        }
        None
    }

    fn send(&self, socket: &Socket, command: Command) -> io::Result<()> {
        tracing::debug!(adapter = self.name, ?command, "asking the kernel");
        socket.send(&command.encode(self.index))
    }

    fn notify(&self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Notice(notice) => self.listener.notice(notice, self.clock.now()),
                Action::Warn(why) => tracing::warn!(adapter = self.name, "{why}"),
                Action::Send(_) | Action::Reopen | Action::Forbidden => {}
            }
        }
    }

    fn broken(&self, error: &io::Error) -> End {
        tracing::warn!(adapter = self.name, %error, "the kernel's Bluetooth socket failed");
        End::Reopen
    }
}

fn forbidden() -> SourceError {
    SourceError {
        name: NAME,
        why: "listening through the kernel needs CAP_NET_ADMIN: set AmbientCapabilities=CAP_NET_ADMIN in the unit \
              (`systemctl edit vitrine`), or backend = \"bluez\" in gateway.toml"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests;

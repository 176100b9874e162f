//! A TCP relay that can be shut: the line between the store and the platform.

use std::{net::Ipv4Addr, sync::Arc};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Relays connections to another port of the loopback address while it is open. Starts open.
#[derive(Clone)]
pub struct Gate {
    /// Where it listens, on the loopback address.
    pub port: u16,
    open: Arc<watch::Sender<bool>>,
    stalled: Arc<watch::Sender<bool>>,
}

impl Gate {
    /// A gate in front of `port`.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let gate = Self {
            port: listener.local_addr().unwrap().port(),
            open: Arc::new(watch::channel(true).0),
            stalled: Arc::new(watch::channel(false).0),
        };
        tokio::spawn(relay(listener, port, gate.open.subscribe(), gate.stalled.subscribe()));
        gate
    }

    /// Shuts the gate: cuts every connection, and takes no new one.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Stalls the connections there are: they stay, and carry nothing any more, as behind a router that has forgotten them. New
    /// ones are not concerned.
    pub fn stall(&self) {
        self.stalled.send_replace(true);
        self.stalled.send_replace(false);
    }

    /// Opens the gate.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

async fn relay(
    listener: TcpListener,
    port: u16,
    open: watch::Receiver<bool>,
    stalled: watch::Receiver<bool>,
) {
    while let Ok((mut near, _)) = listener.accept().await {
        let (mut open, mut stalled) = (open.clone(), stalled.clone());
        stalled.mark_unchanged();
        if !*open.borrow_and_update() {
            continue;
        }
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
            let is_stalled = tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => false,
                () = is_shut(open.clone()) => false,
                _ = stalled.changed() => true,
            };
            if is_stalled {
                is_shut(open).await;
            }
        });
    }
}

async fn is_shut(mut open: watch::Receiver<bool>) {
    open.wait_for(|open| !open).await.ok();
}

//! An HTTP proxy that does nothing but CONNECT.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// A proxy on the loopback address.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    tunnels: Arc<AtomicUsize>,
}

impl Proxy {
    /// Starts it; it goes on as long as the runtime.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), tunnels: Arc::default() };
        let tunnels = proxy.tunnels.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(tunnel(near, tunnels.clone()));
            }
        });
        proxy
    }

    /// Tunnels that were opened.
    pub fn tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Acquire)
    }
}

async fn tunnel(mut near: TcpStream, tunnels: Arc<AtomicUsize>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
        let Ok(byte) = near.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let far = match target {
        Some(target) => TcpStream::connect(target).await,
        None => return,
    };
    let Ok(mut far) = far else {
        near.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await.ok();
        return;
    };
    tunnels.fetch_add(1, Ordering::AcqRel);
    if near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
        copy_bidirectional(&mut near, &mut far).await.ok();
    }
}

//! The line between the store and the broker: a TCP proxy that can be cut and mended.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// A line that is up until it is cut. Dropped, it is gone.
#[derive(Debug)]
pub struct Line {
    port: u16,
    up: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Line {
    /// A line from a free loopback port to `target`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (up, is_up) = watch::channel(true);
        Ok(Self { port, up, accepting: tokio::spawn(accept(listener, target, is_up)) })
    }

    /// The port at the store's end.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Drops all connections, with whatever is under way on them, and closes new ones at once.
    pub fn cut(&self) {
        self.up.send_replace(false);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.up.send_replace(true);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort(); // the connections end with `up`
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, is_up: watch::Receiver<bool>) {
    loop {
        // An error is one connection's, or a lack of descriptors: either way the next may do better.
        let Ok((near, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        if *is_up.borrow() {
            tokio::spawn(carry(near, target, is_up.clone()));
        }
    }
}

async fn carry(mut near: TcpStream, target: SocketAddr, mut is_up: watch::Receiver<bool>) {
    let through = async {
        let mut far = TcpStream::connect(target).await?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        copy_bidirectional(&mut near, &mut far).await
    };
    tokio::select! {
        ended = through => tracing::debug!(?ended, "a connection ended"),
        _ = is_up.wait_for(|up| !up) => tracing::debug!("a connection was cut"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_cut_line_drops_its_connections_and_a_mended_one_carries_again() {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = echo.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await.ok();
                });
            }
        });
        let line = Line::start(target).await.unwrap();
        let mut buffer = [0; 5];
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, line.port()));

        let mut before = connect().await.unwrap();
        before.write_all(b"hello").await.unwrap();
        before.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"hello");

        line.cut();
        assert!(before.read_exact(&mut buffer).await.is_err());
        let mut during = connect().await.unwrap();
        assert!(during.read_exact(&mut buffer).await.is_err());

        line.mend();
        let mut after = connect().await.unwrap();
        after.write_all(b"again").await.unwrap();
        after.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"again");
    }
}

//! The socket's other end is in the test: it answers as the kernel does.

use super::*;
use crate::capture::source::Notice;
use std::{
    os::fd::OwnedFd,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{net::UnixDatagram, sync::watch as signal, time::timeout};

#[derive(Default)]
struct Notebook {
    heard: AtomicU64,
    notices: Mutex<Vec<String>>,
}

impl Listener for Notebook {
    fn wants(&self, _: &Advertisement<'_>) -> bool {
        true
    }

    fn hear(&self, advertisement: &Advertisement<'_>) {
        assert_eq!(advertisement.rssi_dbm, Some(-59));
        assert!(matches!(advertisement.content, Content::Raw([2, 1, 6])));
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    fn lost(&self, _: Id, _: u64) {}

    fn notice(&self, notice: Notice, _: crate::clock::Now) {
        self.notices.lock().unwrap().push(format!("{notice:?}"));
    }
}

/// Takes a command and answers it, if there is something to answer.
async fn serve(kernel: &UnixDatagram, answer: impl Fn(u16) -> Option<Vec<u8>>) -> u16 {
    let mut buffer = [0; 256];
    let length = timeout(Duration::from_secs(10), kernel.recv(&mut buffer)).await.unwrap().unwrap();
    assert!(length >= 6);
    let opcode = u16::from_le_bytes([buffer[0], buffer[1]]);
    if let Some(parameters) = answer(opcode) {
        let parameters = [&opcode.to_le_bytes()[..], &parameters].concat();
        kernel.send(&packet(0x0001, 0, &parameters)).await.unwrap();
    }
    opcode
}

fn packet(opcode: u16, index: u16, parameters: &[u8]) -> Vec<u8> {
    let header = [opcode, index, parameters.len() as u16];
    header.iter().flat_map(|field| field.to_le_bytes()).chain(parameters.iter().copied()).collect()
}

fn advertisement(index: u16) -> Vec<u8> {
    packet(0x0012, index, &[1, 2, 3, 4, 5, 0xc6, 2, 0xc5, 0, 0, 0, 0, 3, 0, 2, 1, 6])
}

/// A kernel with a powered controller and a monitor.
fn well(opcode: u16) -> Option<Vec<u8>> {
    match opcode {
        0x0004 => {
            let mut answer = vec![0; 281];
            answer[14..18].copy_from_slice(&0x0201u32.to_le_bytes());
            Some(answer)
        }
        0x0051 => Some([&[0; 12][..], &[1, 0, 3, 0]].concat()),
        0x0023 => Some(vec![0, 6]),
        _ => None,
    }
}

struct Fixture {
    notebook: Arc<Notebook>,
    kernel: UnixDatagram,
    stop: signal::Sender<bool>,
    session: tokio::task::JoinHandle<bool>,
}

/// A session for `hci0`; it resolves to whether it may go on.
fn start() -> Fixture {
    let (ours, kernel) = std::os::unix::net::UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    kernel.set_nonblocking(true).unwrap();
    let kernel = UnixDatagram::from_std(kernel).unwrap();
    let notebook = Arc::<Notebook>::default();
    let (stop, stopping) = signal::channel(false);
    let receiver = Id::new("door").unwrap();
    let ear =
        Ear { name: "hci0".into(), index: 0, receiver, listener: notebook.clone(), clock: Clock::system() };
    let session = tokio::spawn(async move {
        let socket = Socket::of(OwnedFd::from(ours)).unwrap();
        let end = ear.session(socket, &mut Watch::new(receiver), stopping).await;
        !matches!(end, End::Forbidden)
    });
    Fixture { notebook, kernel, stop, session }
}

#[tokio::test]
async fn it_asks_hears_and_leaves_nothing_behind() {
    let Fixture { notebook, kernel, stop, session } = start();
    for expected in [0x0004, 0x0051, 0x0023] {
        assert_eq!(serve(&kernel, well).await, expected);
    }
    for round in 0..100 {
        // Those of another controller are passed over, and so is what is cut short.
        kernel.send(&advertisement(u16::from(round % 2 == 1))).await.unwrap();
        kernel.send(&advertisement(0)[..12]).await.unwrap();
    }
    kernel.send(&packet(0x0013, 0, &[6, 0])).await.unwrap();
    assert_eq!(serve(&kernel, well).await, 0x0023);
    kernel.send(&advertisement(0)).await.unwrap();
    // With it, everything before it has been read.
    let all = async {
        while notebook.heard.load(Ordering::Relaxed) < 51 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), all).await.unwrap();
    stop.send(true).unwrap();
    assert!(session.await.unwrap());
    assert_eq!(serve(&kernel, |_| None).await, 0x0024);
    assert_eq!(notebook.notices.lock().unwrap().len(), 2, "not filtered, and scanning");
}

#[tokio::test]
async fn a_process_that_may_not_listen_is_told_so() {
    let Fixture { kernel, stop: _stop, session, .. } = start();
    let forbidden = |opcode| if opcode == 0x0004 { well(opcode) } else { Some(vec![0x14]) };
    for _ in 0..2 {
        serve(&kernel, forbidden).await;
    }
    assert!(!session.await.unwrap());
}

#[tokio::test]
async fn a_socket_that_ends_is_opened_anew() {
    let Fixture { kernel, stop: _stop, session, .. } = start();
    serve(&kernel, well).await;
    drop(kernel);
    assert!(session.await.unwrap());
}

#[test]
fn an_adapter_is_named_by_its_number() {
    assert_eq!([index("hci0"), index("hci12")], [Some(0), Some(12)]);
    for bad in ["hci", "hci65535", "hci-1", "hci+1", "usb0", "0"] {
        assert_eq!(index(bad), None, "{bad}");
    }
}

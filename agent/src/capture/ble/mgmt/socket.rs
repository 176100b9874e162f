//! The kernel's Bluetooth management socket: whole packets in and out, and how many it had to drop.

#![allow(unsafe_code, reason = "AF_BLUETOOTH has no safe wrapper in the libraries we use")]

use std::{
    fs::File,
    io::{self, Read, Write},
    mem::size_of,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};
use tokio::io::unix::AsyncFd;

/// Room for what the agent has not read yet: some 10 000 advertisements.
const RECEIVE_BUFFER: libc::c_int = 8 << 20;
const BTPROTO_HCI: libc::c_int = 1;
const HCI_CHANNEL_CONTROL: u16 = 3;
/// Where the count of drops is in what SO_MEMINFO gives, and how much that is.
const MEMINFO_DROPS: usize = 8;
const MEMINFO_VARIABLES: usize = 9;

/// `struct sockaddr_hci`.
#[repr(C)]
struct Address {
    family: libc::sa_family_t,
    device: u16,
    channel: u16,
}

/// An open socket.
#[derive(Debug)]
pub(super) struct Socket {
    file: AsyncFd<File>,
    dropped: u32,
}

impl Socket {
    /// Opens the socket. Only within a runtime.
    ///
    /// # Errors
    /// Where there is no Bluetooth, or this process may not use it.
    pub(super) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no memory is passed; a descriptor that is returned is nobody else's.
        let socket = unsafe {
            match libc::socket(libc::AF_BLUETOOTH, kind, BTPROTO_HCI) {
                -1 => return Err(io::Error::last_os_error()),
                descriptor => OwnedFd::from_raw_fd(descriptor),
            }
        };
        let address = Address {
            family: libc::AF_BLUETOOTH as libc::sa_family_t,
            device: super::packet::NONE,
            channel: HCI_CHANNEL_CONTROL,
        };
        // SAFETY: the address and its size belong together, and it outlives the call.
        let bound = unsafe {
            let length = size_of::<Address>() as libc::socklen_t;
            libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length)
        };
        if bound == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the value and its size belong together, and it outlives the call. Without the capability the buffer
        // stays as it is; so does the process, which is told when it starts the scan.
        unsafe {
            let length = size_of::<libc::c_int>() as libc::socklen_t;
            let value = &RECEIVE_BUFFER as *const libc::c_int;
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUFFORCE,
                value.cast(),
                length,
            );
        }
        Self::of(socket)
    }

    /// Of any socket of packets that does not block.
    pub(super) fn of(socket: OwnedFd) -> io::Result<Self> {
        // SAFETY: a `File` keeps its descriptor until it is dropped, and the runtime's registration goes first.
        let file = unsafe { AsyncFd::register(File::from(socket)) }?;
        Ok(Self { file, dropped: 0 })
    }

    /// Resolves when there is something to read. Cancel-safe.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.file.readable().await.map(|mut guard| guard.retain_ready())
    }

    /// Reads a packet into `buffer`; `None` where there is none now.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.file.try_io(tokio::io::Interest::READABLE, |mut file| file.read(buffer)) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a packet.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.file.get_ref().write_all(packet)
    }

    /// How many packets the kernel has dropped since the last time, for want of room. It tells of them in no other way.
    pub(super) fn dropped(&mut self) -> u32 {
        let mut variables = [0u32; MEMINFO_VARIABLES];
        let mut length = size_of_val(&variables) as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` octets, which is what there is.
        let got = unsafe {
            libc::getsockopt(
                self.file.get_ref().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                variables.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if got == -1 {
            return 0;
        }
        let before = std::mem::replace(&mut self.dropped, variables[MEMINFO_DROPS]);
        self.dropped.wrapping_sub(before)
    }
}

//! A serial port of the operating system: opened for us alone, its settings raw, read and written without blocking.

use rustix::termios::{
    ControlModes, InputModes, OptionalActions, QueueSelector, ioctl_tiocexcl, tcflush, tcgetattr, tcsetattr,
};
use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};
use tokio::io::{Interest, unix::AsyncFd};

/// How an octet is sent, such as `8N1`: data bits, parity, stop bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Seven data bits instead of eight.
    pub is_seven_bits: bool,
    /// The parity bit.
    pub parity: Parity,
    /// Two stop bits instead of one.
    pub is_two_stop_bits: bool,
}

/// The parity bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// There is none.
    None,
    /// It makes the count of ones even.
    Even,
    /// It makes the count of ones odd.
    Odd,
}

impl Framing {
    /// `8N1`
    pub const DEFAULT: Self = Self { is_seven_bits: false, parity: Parity::None, is_two_stop_bits: false };

    /// Reads a text such as `8N1` or `7E1`.
    pub fn parse(text: &str) -> Option<Self> {
        let [bits, parity, stop] = text.as_bytes() else { return None };
        Some(Self {
            is_seven_bits: match bits {
                b'7' => true,
                b'8' => false,
                _ => return None,
            },
            parity: match parity.to_ascii_uppercase() {
                b'N' => Parity::None,
                b'E' => Parity::Even,
                b'O' => Parity::Odd,
                _ => return None,
            },
            is_two_stop_bits: match stop {
                b'1' => false,
                b'2' => true,
                _ => return None,
            },
        })
    }
}

/// Why a port cannot be opened; says what to do.
#[derive(Debug)]
pub(super) struct OpenError(io::Error);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "is it plugged in? `ls /dev/serial/by-id` shows what is.",
            io::ErrorKind::PermissionDenied => "add the agent's user to the group of the device (`dialout`).",
            io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock => {
                "another program uses it (`fuser -v` names it); stop that one."
            }
            _ if error.raw_os_error() == Some(libc::ENOTTY) => {
                "it is no serial port: name another in `port`."
            }
            _ => "see `dmesg`.",
        };
        write!(f, "the serial port cannot be opened ({error}): {remedy}")
    }
}

/// An open port.
#[derive(Debug)]
pub(super) struct Tty(AsyncFd<File>);

impl Tty {
    /// Opens the port for us alone. What was received before is dropped.
    pub(super) fn open(path: &Path, baud: u32, framing: Framing) -> Result<Self, OpenError> {
        Self::try_open(path, baud, framing).map_err(OpenError)
    }

    fn try_open(path: &Path, baud: u32, framing: Framing) -> io::Result<Self> {
        // Without waiting for a modem's carrier, and without becoming the process's terminal.
        let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
        let file = File::options().read(true).write(true).custom_flags(flags).open(path)?;
        let mut settings = tcgetattr(&file)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::ResourceBusy.into(),
            TryLockError::Error(error) => error,
        })?;
        ioctl_tiocexcl(&file)?;
        settings.make_raw();
        let modes = &mut settings.control_modes;
        modes.remove(ControlModes::CSIZE | ControlModes::PARENB | ControlModes::PARODD);
        modes.remove(ControlModes::CSTOPB | ControlModes::CRTSCTS | ControlModes::HUPCL);
        modes.insert(ControlModes::CREAD | ControlModes::CLOCAL);
        modes.insert(if framing.is_seven_bits { ControlModes::CS7 } else { ControlModes::CS8 });
        modes.set(ControlModes::PARENB, framing.parity != Parity::None);
        modes.set(ControlModes::PARODD, framing.parity == Parity::Odd);
        modes.set(ControlModes::CSTOPB, framing.is_two_stop_bits);
        // An octet of wrong parity is dropped, and with it the frame's CRC or the line's pattern fails.
        settings.input_modes.set(InputModes::INPCK | InputModes::IGNPAR, framing.parity != Parity::None);
        settings.set_speed(baud)?;
        tcsetattr(&file, OptionalActions::Now, &settings)?;
        tcflush(&file, QueueSelector::IFlush)?;
        Ok(Self(watch(file)?))
    }

    /// Octets that were received, at least one.
    pub(super) async fn read(&self, octets: &mut [u8]) -> io::Result<usize> {
        match self.0.async_io(Interest::READABLE, |mut file| file.read(octets)).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up")),
            count => Ok(count),
        }
    }

    /// Sends some of `octets`; how many.
    pub(super) async fn write(&self, octets: &[u8]) -> io::Result<usize> {
        self.0.async_io(Interest::WRITABLE, |mut file| file.write(octets)).await
    }
}

#[allow(unsafe_code, reason = "tokio has no safe way for a file that is no socket and no pipe")]
fn watch(file: File) -> io::Result<AsyncFd<File>> {
    // SAFETY: a `File` owns its descriptor, and this one is neither replaced nor closed before it is dropped.
    Ok(unsafe { AsyncFd::register(file) }?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framings_are_read() {
        let even = Framing { is_seven_bits: true, parity: Parity::Even, is_two_stop_bits: false };
        assert_eq!(Framing::parse("7E1"), Some(even));
        assert_eq!(Framing::parse("8n1"), Some(Framing::DEFAULT));
        for bad in ["", "8N", "8N12", "9N1", "8X1", "8N0"] {
            assert_eq!(Framing::parse(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_opened_is_told_with_its_remedy() {
        let open = |path: &Path| Tty::open(path, 9600, Framing::DEFAULT).unwrap_err().to_string();
        assert!(open(Path::new("/nonexistent")).contains("is it plugged in?"));
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(open(file.path()).contains("it is no serial port"));
    }
}

//! A serial line without hardware: a pseudo terminal, one end in the test's hand, the other under a name that stays.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::time::Instant;

/// A line that is plugged in: what is written to the other end is read here, and the reverse.
pub struct Pty {
    near: File,
    link: PathBuf,
}

impl Pty {
    /// Plugs it in at `link`, as udev makes a name for a port.
    pub fn plug(link: &Path) -> Self {
        // Programs that are started meanwhile must not hold it open.
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&near).unwrap();
        unlockpt(&near).unwrap();
        let mut settings = tcgetattr(&near).unwrap();
        settings.make_raw();
        tcsetattr(&near, OptionalActions::Now, &settings).unwrap();
        let flags = rustix::fs::fcntl_getfl(&near).unwrap();
        rustix::fs::fcntl_setfl(&near, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        let name = ptsname(&near, Vec::new()).unwrap().into_string().unwrap();
        fs::remove_file(link).ok();
        std::os::unix::fs::symlink(name, link).unwrap();
        Self { near: near.into(), link: link.to_owned() }
    }

    /// What has come; nothing where nobody has the other end open.
    pub fn read(&mut self) -> Vec<u8> {
        let mut octets = [0; 4096];
        match self.near.read(&mut octets) {
            Ok(count) => octets[..count].to_vec(),
            Err(error) if is_nobody(&error) => Vec::new(),
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends `octets`; what there is no room for is lost, as on a line.
    pub fn write(&mut self, octets: &[u8]) {
        match self.near.write(octets) {
            Ok(_) => {}
            Err(error) if is_nobody(&error) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn is_nobody(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(5)
}

impl Drop for Pty {
    /// Pulls the plug.
    fn drop(&mut self) {
        fs::remove_file(&self.link).ok();
    }
}

/// Something that speaks on a line.
pub trait Device: Send + 'static {
    /// What the gateway has said, and the time; what is said.
    fn turn(&mut self, heard: &[u8], now_ms: u64) -> Vec<u8>;
}

/// A device at the end of a line, on a thread of its own. Its time starts with it.
pub struct Plugged<D> {
    device: Arc<Mutex<D>>,
    pty: Arc<Mutex<Option<Pty>>>,
    link: PathBuf,
    stop: Arc<AtomicBool>,
    started: Instant,
    running: Option<JoinHandle<()>>,
}

impl<D: Device> Plugged<D> {
    /// Plugs `device` in at `link`.
    pub fn plug(device: D, link: &Path) -> Self {
        let (device, pty) = (Arc::new(Mutex::new(device)), Arc::new(Mutex::new(Some(Pty::plug(link)))));
        let (stop, started) = (Arc::<AtomicBool>::default(), Instant::now());
        let run = {
            let (device, pty, stop) = (device.clone(), pty.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Acquire) {
                    if let Some(pty) = pty.lock().unwrap().as_mut() {
                        let heard = pty.read();
                        let said = device.lock().unwrap().turn(&heard, started.elapsed().as_millis() as u64);
                        if !said.is_empty() {
                            pty.write(&said);
                        }
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            }
        };
        Self { device, pty, link: link.to_owned(), stop, started, running: Some(thread::spawn(run)) }
    }

    /// Looks at the device or does something to it, which is given its time.
    pub fn with<T>(&self, act: impl FnOnce(&mut D, u64) -> T) -> T {
        act(&mut self.device.lock().unwrap(), self.started.elapsed().as_millis() as u64)
    }

    /// Pulls the plug, after a last word that may be cut.
    pub fn unplug(&self, last_word: &[u8]) {
        if let Some(mut pty) = self.pty.lock().unwrap().take() {
            pty.write(last_word);
        }
    }

    /// Plugs it in again, as another port of the same name.
    pub fn replug(&self) {
        *self.pty.lock().unwrap() = Some(Pty::plug(&self.link));
    }
}

impl<D> Drop for Plugged<D> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(running) = self.running.take() {
            // If it panicked, it has said so.
            running.join().ok();
        }
    }
}

impl Device for crate::shelf_controller::ShelfController {
    fn turn(&mut self, heard: &[u8], now_ms: u64) -> Vec<u8> {
        self.handle_octets(heard);
        std::iter::from_fn(|| self.poll_transmit(now_ms)).flatten().collect()
    }
}

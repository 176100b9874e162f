//! The spool, broken on purpose: killed, cut off from power, out of space, bit by bit damaged; and what it promises
//! must hold.
//!
//! Every test has a bounded form and a long one (`tests/run soak`), and prints its seed.
#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]
#![allow(clippy::print_stdout, reason = "what was done is said where a test fails, or is asked to")]

mod damage;
mod full;
mod kill;
mod model;
mod power;
mod volume;

use std::{path::Path, thread, time::Duration};
use tokio::time::timeout;
use vitrine_agent::spool::{Damage, SpoolError, View, verify};
use vitrine_tests::spool::{
    ledger::{Balance, Ledger},
    queue::{Queue, Settings},
};

/// The process that is killed.
const PROGRAM: &str = env!("CARGO_BIN_EXE_spool_child");

/// What takes longer than this is stuck.
const STUCK: Duration = Duration::from_secs(90);

/// Opens the spool and reads all that is in it; the account must balance. What was read is freed, or not.
async fn check(spool: &Path, settings: Settings, ledger: &mut Ledger, free: bool) -> Result<Balance, String> {
    let mut queue = Queue::open(spool, settings).map_err(|e| e.to_string())?;
    let read = timeout(STUCK, queue.read_to_end(ledger)).await;
    read.map_err(|_| format!("stuck: {:#?}", queue.spool().stats()))??;
    if free {
        queue.free().await.map_err(|e| e.to_string())?;
    }
    let closed = timeout(STUCK, queue.close()).await;
    closed.map_err(|_| "stuck while it is closed".to_owned())?.map_err(|e| e.to_string())?;
    ledger.balance()
}

/// Whether `vitrine spool verify` finds a spool well that a process was torn from. What was just being written may be torn, of a lane's
/// file with its two places.
fn check_is_whole(spool: &Path) -> Result<(), String> {
    if !spool.join("lock").exists() {
        return Ok(());
    }
    let view = View::open(spool).map_err(|e| e.to_string())?;
    let mut verified = verify(&view);
    // As with `Queue::open`, the lock may still be another process's.
    while matches!(verified, Err(SpoolError::Locked(_))) {
        thread::sleep(Duration::from_millis(20));
        verified = verify(&view);
    }
    let found = verified.map_err(|e| e.to_string())?.findings;
    let is_torn = |damage| damage == Damage::LaneFileCopy;
    found
        .iter()
        .find(|found| !is_torn(found.damage))
        .map_or(Ok(()), |found| Err(format!("verify: {found:?}")))
}

//! What the tests that break the spool on purpose share: a spool to misuse, a process to kill, and the account of
//! what was promised, what came, and what was said to be lost.

pub mod disk;
pub mod effort;
pub mod ledger;
pub mod load;
pub mod queue;
pub mod recorder;
pub mod replay;
pub mod traced;
pub mod worker;

//! The example consumer, `tests/consumer`, at work on a broker.

use crate::{tools, wait::wait_for};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::Path,
    process::Child,
};
use tempfile::TempDir;

/// The consumer; killed when dropped.
pub struct Consumer {
    directory: TempDir,
    process: Child,
}

impl Consumer {
    /// Starts it on the broker at `port`; returns when it is subscribed.
    ///
    /// # Panics
    /// Where it does not subscribe.
    pub fn start(port: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| File::create(directory.path().join(name)).unwrap();
        let mut command = tools::python("python");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("consumer/consumer.py"));
        command.args(["--broker", &format!("127.0.0.1:{port}"), "--every", "0.02"]);
        command.args([Path::new("--events"), &directory.path().join("events")]);
        let process = command.stdout(file("summaries")).stderr(file("log")).spawn().unwrap();
        let consumer = Self { directory, process };
        wait_for("the consumer subscribes", 60, || {
            consumer.text("log").contains("subscribed\n").then_some(())
        });
        consumer
    }

    /// Its account of what it has received.
    pub fn summary(&self) -> Value {
        let summaries = self.text("summaries");
        // What follows the last line's end is not complete.
        let complete = summaries.rsplit_once('\n').map_or("", |(complete, _)| complete);
        complete.lines().last().map_or(Value::Null, |line| serde_json::from_str(line).unwrap())
    }

    /// Events that it has counted, of all streams.
    pub fn events(&self) -> u64 {
        let summary = self.summary();
        summary["events"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
    }

    /// Ends it; its last account, and the events that it took, in order.
    ///
    /// # Panics
    /// Where it fails.
    pub fn stop(mut self) -> (Value, Vec<Value>) {
        crate::terminate(&mut self.process);
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.text("log"));
        let events = self.text("events").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (self.summary(), events)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

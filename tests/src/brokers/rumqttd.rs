//! rumqttd, as a process of its own: `src/bin/rumqttd.rs`.

use super::{Broker, configure};
use crate::{agent::binary, client::Version, mosquitto::free_port};
use std::process::Command;

impl Broker {
    /// rumqttd 0.20.
    ///
    /// # Panics
    /// Where its program was not built.
    pub fn rumqttd() -> Self {
        let mut broker = Self::new("rumqttd", Version::V5);
        let ports = [free_port(), free_port()];
        let [v4, v5] = ports.map(|port| format!("127.0.0.1:{port}"));
        let edits = [("127.0.0.1:1883", &*v4), ("127.0.0.1:1884", &*v5)];
        let config = configure("rumqttd/rumqttd.toml", broker.directory.path(), &edits);
        let program = binary().with_file_name("rumqttd");
        broker.node(ports, move || {
            let mut command = Command::new(&program);
            command.arg(&config);
            command
        });
        broker.started()
    }
}

//! Mosquitto.

use super::{Broker, GATEWAY, PASSWORD, PLATFORM, configure, spawn};
use crate::{client::Version, mosquitto::free_port};
use std::{fs, process::Command};

impl Broker {
    /// Mosquitto 2.
    ///
    /// # Panics
    /// Where it is missing.
    pub fn mosquitto() -> Self {
        let (mut broker, port) = (Self::new("Mosquitto", Version::V5), free_port());
        let directory = broker.directory.path();
        let path = directory.display();
        let edits = [
            ("listener 1883 ", format!("listener {port} ")),
            ("/etc/mosquitto/vitrine", path.to_string()),
            // Started by root, it would go on as another user, who may not write there.
            ("persistence_location /var/lib/mosquitto", format!("user root\npersistence_location {path}")),
        ];
        let config =
            configure("mosquitto/mosquitto.conf", directory, &edits.each_ref().map(|(a, b)| (*a, &**b)));
        configure("mosquitto/acl", directory, &[]);
        let passwords = directory.join("passwords");
        fs::write(&passwords, "").unwrap();
        for user in [GATEWAY, PLATFORM] {
            let mut command = Command::new("mosquitto_passwd");
            let made = spawn(command.arg("-b").arg(&passwords).args([user, PASSWORD])).wait().unwrap();
            assert!(made.success());
        }
        broker.node([port; 2], move || {
            let mut command = Command::new("mosquitto");
            command.arg("-c").arg(&config);
            command
        });
        broker.started()
    }
}

//! RabbitMQ with its MQTT plugin, as a node that no other knows: an epmd, a cookie and directories of its own.

use super::{Broker, configure, spawn};
use crate::{client::Version, mosquitto::free_port};
use std::{fs, process::Command};

/// Debian's other one, in /usr/sbin, goes on as the user `rabbitmq`, who may not write into a test's directory.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

impl Broker {
    /// RabbitMQ 3.10.
    ///
    /// # Panics
    /// Where it is missing.
    pub fn rabbitmq() -> Self {
        let mut broker = Self::new("RabbitMQ", Version::V311);
        let directory = broker.directory.path().to_owned();
        let [mqtt, amqp, distribution, epmd] = [(); 4].map(|()| free_port());
        let [mqtt_at, amqp_at] = [mqtt, amqp].map(|port| format!("127.0.0.1:{port}"));
        let definitions = directory.join("definitions.json").display().to_string();
        let edits = [
            ("127.0.0.1:5672", &*amqp_at),
            ("127.0.0.1:1883", &mqtt_at),
            ("/etc/rabbitmq/definitions.json", &definitions),
        ];
        configure("rabbitmq/rabbitmq.conf", &directory, &edits);
        configure("rabbitmq/definitions.json", &directory, &[]);
        configure("rabbitmq/enabled_plugins", &directory, &[]);
        fs::create_dir(directory.join("home")).unwrap();

        let (epmd, distribution) = (epmd.to_string(), distribution.to_string());
        let mut names = Command::new("epmd");
        broker.helpers.push(spawn(names.args(["-port", &epmd, "-address", "127.0.0.1"])));
        broker.node([mqtt; 2], move || {
            let mut command = Command::new(SERVER);
            command.current_dir(&directory).env("HOME", directory.join("home")).envs([
                ("ERL_EPMD_PORT", &*epmd),
                ("RABBITMQ_DIST_PORT", &distribution),
                ("RABBITMQ_NODENAME", "vitrine@localhost"),
                ("RABBITMQ_CONF_ENV_FILE", "/dev/null"),
                // The script becomes the server, instead of staying before it.
                ("RUNNING_UNDER_SYSTEMD", "true"),
                ("RABBITMQ_SCHEDULER_BIND_TYPE", "u"),
            ]);
            for (variable, name) in [
                ("RABBITMQ_CONFIG_FILE", "rabbitmq"),
                ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
                ("RABBITMQ_MNESIA_BASE", "mnesia"),
                ("RABBITMQ_LOG_BASE", "logs"),
                ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
                ("RABBITMQ_PID_FILE", "pid"),
            ] {
                command.env(variable, directory.join(name));
            }
            command
        });
        broker.started()
    }
}

//! The files of `deploy/mosquitto`, as they are: what is allowed works, and what is not does not.

use crate::{plan, wait_for_store_broker};
use std::{fs, process::Command};
use vitrine_tests::{
    agent::{Agent, edit},
    mosquitto::{Mosquitto, free_port},
    wait::wait_for,
};

const CONFIG: &str = include_str!("../../../deploy/mosquitto/vitrine.conf");
const ACL: &str = include_str!("../../../deploy/mosquitto/acl");

const USERS: [&str; 7] = ["hub", "gw-2", "minew", "ruuvi", "openmqttgateway", "espresense", "cisco"];

fn broker(directory: &std::path::Path) -> Mosquitto {
    let passwords = directory.join("passwords");
    for (index, user) in USERS.iter().enumerate() {
        let mut command = Command::new("mosquitto_passwd");
        command.args(if index == 0 { &["-c", "-b"][..] } else { &["-b"] });
        assert!(command.arg(&passwords).args([user, "secret"]).status().unwrap().success());
    }
    fs::write(directory.join("acl"), ACL).unwrap();
    let port = free_port();
    let config = edit(
        CONFIG,
        &[
            ("listener 1884\n", &format!("listener {port} 127.0.0.1\nuser root\n")),
            ("/etc/mosquitto/vitrine-passwords", &passwords.display().to_string()),
            ("/etc/mosquitto/vitrine-acl", &directory.join("acl").display().to_string()),
        ],
    );
    Mosquitto::start_as(&config, port)
}

/// Whether the broker takes a message on `topic` from `user`.
fn may_publish(broker: &Mosquitto, user: Option<(&str, &str)>, topic: &str) -> bool {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-p", &broker.port.to_string(), "-V", "mqttv5", "-q", "1", "-d", "-t", topic, "-m", "x"]);
    if let Some((user, password)) = user {
        command.args(["-u", user, "-P", password]);
    }
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // 0x87: not authorised.
    output.status.success()
        && said.contains("PUBACK")
        && !said.contains("RC:135")
        && !said.contains("Not authorized")
}

/// Whether `user` gets what the hub has published, retained, as the plan.
fn may_read_the_plan(broker: &Mosquitto, user: &str) -> bool {
    let mut command = Command::new("mosquitto_sub");
    command.args(["-p", &broker.port.to_string(), "-u", user, "-P", "secret", "-W", "2", "-C", "1"]);
    let output = command.args(["-t", "vitrine-local/v1/plan"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains("\"toml\"")
}

#[test]
fn everyone_may_do_what_the_access_list_says_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let broker = broker(directory.path());
    let password = directory.path().join("password");
    fs::write(&password, "secret\n").unwrap();
    let tables = format!(
        "[store_broker]\nurl = \"mqtt://127.0.0.1:{}\"\nuser = \"hub\"\npassword_file = \"{}\"\n[[satellites]]\nid = \"gw-2\"\n",
        broker.port,
        password.display()
    );
    let mut hub = Agent::new(free_port(), &plan("")).with_tables(&tables);
    hub.start();
    wait_for_store_broker(&hub, 1);
    wait_for("the plan", 20, || may_read_the_plan(&broker, "gw-2").then_some(()));
    assert!(!may_read_the_plan(&broker, "ruuvi"), "a relay reads the beacons' addresses");

    for (user, topic, allowed) in [
        ("gw-2", "vitrine-local/v1/sighting/gw-2", true),
        ("gw-2", "vitrine-local/v1/sighting/gw-3", false),
        ("gw-2", "vitrine-local/v1/plan", false),
        ("gw-2", "ruuvi/a/b", false),
        ("ruuvi", "ruuvi/a/b", true),
        ("ruuvi", "vitrine-local/v1/sighting/ruuvi", false),
        ("ruuvi", "vitrine-local/v1/plan", false),
        ("ruuvi", "/gw/a/status", false),
        ("minew", "/gw/a/status", true),
        ("openmqttgateway", "home/hall/BTtoMQTT/x", true),
        ("espresense", "espresense/devices/x/hall", true),
        ("cisco", "cisco/iotorchestrator/v1/x", true),
        ("cisco", "other", false),
        ("hub", "ruuvi/a/b", false),
    ] {
        assert_eq!(may_publish(&broker, Some((user, "secret")), topic), allowed, "{user} on {topic}");
    }
    assert!(!may_publish(&broker, Some(("ruuvi", "wrong")), "ruuvi/a/b"));
    assert!(!may_publish(&broker, None, "ruuvi/a/b"));
    assert!(hub.terminate().success());
}

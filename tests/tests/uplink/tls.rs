//! TLS, and every way in which it fails.

use std::time::Duration;
use vitrine_agent::{
    clock::Clock,
    uplink::{Server, Settings, TlsFiles},
};
use vitrine_protocol::topic::Stream;
use vitrine_tests::{
    certificates::{Authority, Identity, Validity},
    gate::Gate,
    mosquitto::Mosquitto,
    store::{Store, numbered},
    uplink::{GRACE, Uplink, settings},
};

/// A broker with this certificate, that wants one of `clients` if they are named.
fn broker(server: &Identity, clients: Option<&Authority>) -> Mosquitto {
    let Identity { cert, key } = server;
    let clients = clients.map_or(String::new(), |authority| {
        format!("cafile {}\nrequire_certificate true\n", authority.ca().display())
    });
    Mosquitto::start(&format!("certfile {}\nkeyfile {}\n{clients}user root\n", cert.display(), key.display()))
}

fn towards(port: u16, authority: &Authority, client: Option<&Identity>) -> Settings {
    Settings {
        servers: vec![format!("mqtts://localhost:{port}").parse::<Server>().unwrap()],
        tls: TlsFiles {
            ca: Some(authority.ca()),
            client: client.map(|client| (client.cert.clone(), client.key.clone())),
        },
        ..settings(port)
    }
}

async fn publishes(settings: Settings) {
    let store = Store::with(numbered(Stream::Stock, 300)).await;
    let uplink = Uplink::start_with(settings, store, Clock::system());
    uplink.until_events(300).await;
    uplink.stop(GRACE).await;
}

/// Checks that the connection fails, with these words.
async fn fails(settings: Settings, words: &str) {
    let uplink = Uplink::start_with(settings, Store::empty(), Clock::system());
    // A broker that closes at once may leave no time to read why; there is another attempt.
    uplink.until(|now| now.last_error.as_ref().is_some_and(|error| error.contains(words))).await;
    let stats = uplink.stats.snapshot();
    let error = stats.last_error.unwrap();
    assert!(!error.contains('\n'), "{error}");
    assert_eq!(stats.connections, 0);
    uplink.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_both_sides_with_ec_and_rsa_keys() {
    let (ours, theirs) = (Authority::new("platform"), Authority::new("stores"));
    let broker = broker(&ours.server("localhost", Validity::Now), Some(&theirs));
    for client in [theirs.client("gw-1", Validity::Now), theirs.client_with_rsa("gw-1")] {
        publishes(towards(broker.port, &ours, Some(&client))).await;
    }
    fails(towards(broker.port, &ours, None), "wants a certificate of this gateway").await;
    let expired = theirs.client("gw-1", Validity::Past);
    fails(towards(broker.port, &ours, Some(&expired)), "refused this gateway's certificate").await;
    let stranger = Authority::new("elsewhere").client("gw-1", Validity::Now);
    fails(towards(broker.port, &ours, Some(&stranger)), "gateway").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_failure_is_said_in_words_that_say_what_to_do() {
    let ours = Authority::new("platform");
    for (name, validity, words) in [
        ("localhost", Validity::Past, "the broker's certificate has expired: renew it (it ended 2021-01-01"),
        (
            "localhost",
            Validity::Future,
            "is not valid yet (it begins 2119-01-01T00:00:00Z): is this machine's clock right?",
        ),
        ("broker.example", Validity::Now, "is for another name"),
    ] {
        let broker = broker(&ours.server(name, validity), None);
        fails(towards(broker.port, &ours, None), words).await;
    }
    let right = broker(&ours.server("localhost", Validity::Now), None);
    publishes(towards(right.port, &ours, None)).await;
    fails(towards(right.port, &Authority::new("another"), None), "no CA that this gateway trusts").await;
    let mut missing = towards(right.port, &ours, None);
    missing.tls.ca = Some("/nonexistent/ca.pem".into());
    fails(missing, "/nonexistent/ca.pem: No such file or directory (os error 2); `ca_file` under [uplink]")
        .await;
    let plain = Mosquitto::start("");
    fails(towards(plain.port, &ours, None), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_are_renewed_on_the_disk_count_at_the_next_connection() {
    let (ours, theirs) = (Authority::new("platform"), Authority::new("stores"));
    let broker = broker(&ours.server("localhost", Validity::Now), Some(&theirs));
    let gate = Gate::before(broker.port).await;
    let used = theirs.client("gw-1", Validity::Now);
    let uplink = Uplink::start_with(towards(gate.port, &ours, Some(&used)), Store::empty(), Clock::system());
    uplink.until(|now| now.connected).await;
    theirs.client("gw-1", Validity::Past).replace(&used);
    gate.shut();
    uplink.until(|now| !now.connected).await;
    gate.open();
    uplink.until(|now| now.last_error.as_ref().is_some_and(|e| e.contains("refused this gateway's"))).await;
    theirs.client_with_rsa("gw-1").replace(&used);
    uplink.append(numbered(Stream::Stock, 10)).await;
    uplink.until_events(10).await;
    let (_, took) = uplink.stop(GRACE).await;
    assert!(took < GRACE + Duration::from_secs(1));
}

//! Ways to a broker: WebSockets, a proxy, several brokers, versions of MQTT.

use vitrine_agent::{
    clock::Clock,
    uplink::{Protocol, Server, Settings},
};
use vitrine_protocol::{envelope::MqttVersion, topic::Stream};
use vitrine_tests::{
    certificates::{Authority, Validity},
    mosquitto::{Mosquitto, free_port},
    mqtt::{Packet, kind, subscribe},
    proxy::Proxy,
    store::{Store, numbered},
    uplink::{Broker, GRACE, Uplink, acknowledge, settings, status},
    websocket,
};

fn server(url: &str) -> Vec<Server> {
    vec![url.parse().unwrap()]
}

async fn publishes(settings: Settings) {
    let store = Store::with(numbered(Stream::Stock, 3000)).await;
    let uplink = Uplink::start_with(settings, store, Clock::system());
    uplink.until_events(3000).await;
    assert_eq!(uplink.stats.snapshot().connections, 1);
    uplink.stop(GRACE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_plain_and_encrypted_in_both_versions() {
    let authority = Authority::new("platform");
    let identity = authority.server("localhost", Validity::Now);
    let broker = Mosquitto::start("");
    let plain = websocket::in_front_of(broker.port, None).await;
    let encrypted = websocket::in_front_of(broker.port, Some(&identity)).await;
    for version in [MqttVersion::V5, MqttVersion::V311] {
        let protocol = Protocol::Only(version);
        let servers = server(&format!("ws://127.0.0.1:{plain}/mqtt"));
        publishes(Settings { servers, protocol, ..settings(0) }).await;
        let servers = server(&format!("wss://localhost:{encrypted}/mqtt"));
        let mut settings = Settings { servers, protocol, ..settings(0) };
        settings.tls.ca = Some(authority.ca());
        publishes(settings).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_proxy_plain_and_encrypted() {
    let authority = Authority::new("platform");
    let identity = authority.server("localhost", Validity::Now);
    let (cert, key) = (identity.cert.display(), identity.key.display());
    let plain = Mosquitto::start("");
    let encrypted = Mosquitto::start(&format!("certfile {cert}\nkeyfile {key}\nuser root\n"));
    let proxy = Proxy::start().await;
    let address = Some(format!("http://127.0.0.1:{}", proxy.port).parse().unwrap());
    publishes(Settings { proxy: address.clone(), ..settings(plain.port) }).await;
    let servers = server(&format!("mqtts://localhost:{}", encrypted.port));
    let mut encrypted = Settings { servers, proxy: address.clone(), ..settings(0) };
    encrypted.tls.ca = Some(authority.ca());
    publishes(encrypted).await;
    assert_eq!(proxy.tunnels(), 2);

    let away = Settings { proxy: address, ..settings(free_port()) };
    let uplink = Uplink::start_with(away, Store::empty(), Clock::system());
    uplink.until(|now| now.last_error.as_ref().is_some_and(|error| error.contains("502"))).await;
    uplink.kill();
}

#[tokio::test]
async fn a_broker_that_refuses_mqtt_5_is_spoken_to_in_3_1_1_and_that_is_remembered() {
    for refuses_with_words in [true, false] {
        let (broker, port) = Broker::start().await;
        let settings = Settings { protocol: Protocol::Auto, ..settings(port) };
        let store = Store::with(numbered(Stream::Stock, 256)).await;
        let uplink = Uplink::start_with(settings, store, Clock::system());
        // As NATS and RabbitMQ do: return code 1 in the old form, and the end; or the end alone.
        let mut link = broker.connection().await;
        assert_eq!(link.next().await.unwrap().protocol_level(), 5);
        if refuses_with_words {
            link.send(&Packet::new(kind::CONNACK, [0, 1])).await;
        }
        link.close().await;
        for connection in 0..2 {
            let (mut link, connect) = broker.accept_with(&Packet::new(kind::CONNACK, [0, 0])).await;
            assert_eq!(connect.protocol_level(), 4, "connection {connection}");
            let online = link.next().await.unwrap().message_v311().unwrap();
            assert_eq!(status(&online).unwrap().mqtt, Some(MqttVersion::V311));
        }
        uplink.kill();
    }
}

#[tokio::test]
async fn a_session_that_should_not_be_there_ends_an_old_connection_too() {
    let (broker, port) = Broker::start().await;
    let settings = Settings { protocol: Protocol::Only(MqttVersion::V311), ..settings(port) };
    let uplink = Uplink::start_with(settings, Store::empty(), Clock::system());
    broker.accept_with(&Packet::new(kind::CONNACK, [1, 0])).await;
    uplink
        .until(|now| now.last_error.as_ref().is_some_and(|error| error.contains("resumes a session")))
        .await;
    let (mut link, _) = broker.accept_with(&Packet::new(kind::CONNACK, [0, 5])).await;
    assert_eq!(link.next().await, None);
    uplink
        .until(|now| now.last_error.as_ref().is_some_and(|error| error.contains("NotAuthorized: check")))
        .await;
    uplink.kill();
}

#[tokio::test]
async fn old_and_new_mosquitto_by_itself() {
    let broker = Mosquitto::start("");
    for (protocol, version) in
        [(Protocol::Auto, MqttVersion::V5), (Protocol::Only(MqttVersion::V311), MqttVersion::V311)]
    {
        publishes(Settings { protocol, ..settings(broker.port) }).await;
        let mut late = subscribe(broker.port, "late", "vitrine/v1/acme/s1/gw-1/status").await.unwrap();
        assert_eq!(status(&late.next_message().await.unwrap()).unwrap().mqtt, Some(version));
    }
}

#[tokio::test]
async fn several_brokers_are_tried_in_order_and_the_first_is_preferred() {
    let (broker, port) = Broker::start().await;
    let first = free_port();
    let mut several = settings(first);
    several.servers.push(Server::tcp("127.0.0.1", port));
    let store = Store::with(numbered(Stream::Stock, 10)).await;
    let uplink = Uplink::start_with(several, store, Clock::system());
    let mut link = broker.accept(&[]).await;
    assert_eq!(uplink.stats.snapshot().reconnects, 1, "the first is away");
    acknowledge(&mut link, 10).await;
    uplink.until_events(10).await;
    let mut preferred = Mosquitto::start("");
    // Where the first one should be.
    preferred.kill();
    drop((preferred, link));
    uplink.until(|now| now.reconnects >= 3).await;
    broker.accept(&[]).await;
    uplink.kill();
}

/// What shrinks at a reconnect is kept: three in flight, then one.
#[tokio::test]
async fn a_receive_maximum_that_shrinks_at_a_reconnect_is_kept() {
    let (broker, port) = Broker::start().await;
    let store = Store::with(numbered(Stream::Stock, 128 * 10)).await;
    let uplink = Uplink::start(port, store, Clock::system());
    for maximum in [3, 1] {
        let mut link = broker.accept(&[33, 0, maximum]).await;
        let mut held = 0;
        while let Ok(message) =
            tokio::time::timeout(std::time::Duration::from_millis(200), link.next_message()).await
        {
            assert!(message.is_some());
            held += 1;
        }
        assert_eq!(held, maximum);
    }
    let mut link = broker.accept(&[]).await;
    acknowledge(&mut link, 1280).await;
    uplink.until_events(1280).await;
    uplink.kill();
}

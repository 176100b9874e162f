//! What may befall the agent, each alone: a stop in the middle of traffic, a broker that is not there, a damaged disk.

use crate::{INTERACTIONS, READINGS, plan, view};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};
use vitrine_agent::spool::Scan;
use vitrine_tests::{
    agent::{Agent, files},
    http,
    mosquitto::Mosquitto,
    spool::disk,
    subscriber::{Feed, Subscriber},
    wait::wait_for,
};

#[test]
fn sigterm_in_the_middle_of_traffic_loses_nothing_that_was_answered() {
    let broker = Mosquitto::start("");
    let platform = Subscriber::start(&broker);
    let mut agent = Agent::new(broker.port, &plan(1));
    agent.start();

    let (port, answered) = (agent.port, AtomicUsize::new(0));
    let answered_views = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut views = BTreeSet::new();
            for n in 1.. {
                match http::request(port, "POST", INTERACTIONS, view(n).to_string().as_bytes()) {
                    Ok(answer) if answer.status == 202 => views.insert(sku(n)),
                    // It is going down.
                    Ok(_) | Err(_) => return views,
                };
                answered.store(n, Ordering::Relaxed);
            }
            views
        });
        wait_for("traffic", 60, || (answered.load(Ordering::Relaxed) >= 40).then_some(()));
        assert!(agent.terminate().success());
        client.join().unwrap()
    });
    assert!(agent.log().contains("\"down\""), "it did not go down in good order");
    agent.start();
    let feed = wait_for("all that was answered", 30, || {
        let feed = platform.feed();
        views(&feed).is_superset(&answered_views).then_some(feed)
    });
    // The view that nobody was answered for may have been taken.
    assert!(feed.of_type("interaction").len() <= answered_views.len() + 1);
    assert_eq!(feed.check_numbers(), 0);
}

#[test]
fn events_wait_for_a_broker_that_is_not_there_yet() {
    let mut broker = Mosquitto::start_persistent();
    let platform = Subscriber::start(&broker);
    broker.terminate();
    let mut agent = Agent::new(broker.port, &plan(1));
    agent.start();
    (1..=20).for_each(|n| assert_eq!(agent.post(INTERACTIONS, &view(n)).unwrap(), 202));
    broker.restart();
    let feed = wait_for("all views", 60, || {
        let feed = platform.feed();
        (views(&feed).len() == 20).then_some(feed)
    });
    assert_eq!(feed.of_type("interaction").len(), 20);
    assert_eq!(feed.check_numbers(), 0);
}

#[test]
fn flipped_bytes_on_disk_cost_their_events_alone_and_are_told() {
    damage(|segment| {
        let dir = segment.parent().unwrap();
        let blocks = Scan::of(dir).unwrap().blocks().to_vec();
        blocks[blocks.len() / 2..][..3].iter().for_each(|block| disk::rot(dir, block));
    });
}

#[test]
fn a_file_cut_short_costs_its_events_alone_and_is_told() {
    damage(|segment| {
        let bytes = fs::read(segment).unwrap();
        let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        fs::write(segment, &bytes[..end / 2]).unwrap();
    });
}

/// Damages the file of the segment that holds a backlog of views.
fn damage(spoil: impl Fn(&Path)) {
    let mut broker = Mosquitto::start_persistent();
    let platform = Subscriber::start(&broker);
    broker.terminate();
    let mut agent = Agent::new(broker.port, &plan(1));
    agent.start();
    (1..=100).for_each(|n| assert_eq!(agent.post(INTERACTIONS, &view(n)).unwrap(), 202));
    for counter in 1..=3 {
        let empty =
            json!([{ "shelf": "shelf-2", "facing": "only", "boot": 1, "counter": counter, "grams": 0 }]);
        assert_eq!(agent.post(READINGS, &empty).unwrap(), 202);
    }
    agent.kill();

    let segments = segments(&agent.state_dir());
    assert_eq!(segments.len(), 1, "{segments:?}");
    spoil(&segments[0]);
    broker.restart();
    agent.start();
    (101..=110).for_each(|n| assert_eq!(agent.post(INTERACTIONS, &view(n)).unwrap(), 202));

    let new: BTreeSet<String> = (101..=110).map(sku).collect();
    let feed = wait_for("what came after the damage, and what was lost by it", 60, || {
        let feed = platform.feed();
        let told = !feed.of_type("gap").is_empty() && !feed.of_type("out_of_stock").is_empty();
        (told && views(&feed).is_superset(&new)).then_some(feed)
    });
    let lost = feed.check_numbers();
    let missing = 110 - views(&feed).len();
    assert!(missing > 0, "the damage was none");
    let spared: BTreeSet<String> = (1..=10).map(sku).collect();
    assert!(views(&feed).is_superset(&spared), "what lies before the damage is lost as well");
    assert!(lost >= missing as u64, "{missing} views are missing, and {lost} events are stated as lost");
    assert_eq!(feed.of_type("interaction").len(), views(&feed).len(), "a view came twice");
    assert!(agent.terminate().success());
}

/// The files of the segments that hold interactions.
fn segments(state_dir: &Path) -> Vec<PathBuf> {
    let files = files(&state_dir.join("spool/slots")).into_iter().map(|(path, _)| path);
    files.filter(|path| path.file_name().is_some_and(|name| name == "db")).collect()
}

fn sku(n: usize) -> String {
    format!("p-{n:04}")
}

/// The products whose pages were opened.
fn views(feed: &Feed) -> BTreeSet<String> {
    feed.of_type("interaction").into_iter().map(|event| text(event, "sku")).collect()
}

fn text(event: &Value, field: &str) -> String {
    event[field].as_str().unwrap_or_else(|| panic!("{field}: {event}")).to_owned()
}

//! How the table looks: lines of text, as wide and as many as there is room for. Pure.

use super::table::{Row, Table};
use crate::{cli::installer::Leave, clock::Now};
use std::collections::BTreeSet;
use vitrine_protocol::Id;

/// From this width on there is room for whole identities and long names.
const WIDE: usize = 100;
/// In a narrower window lines are cut off.
const NARROWEST: usize = 72;
/// A sender that was not heard for so long is shown as gone.
const STALE_MS: u64 = 10_000;
/// Names of missing beacons that are shown.
const MISSING_SHOWN: usize = 12;

/// How a line is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// What is listened to.
    Title,
    /// The columns' names.
    Head,
    /// A sender that is heard.
    Live,
    /// One that is heard no more, and what matters less.
    Faint,
    /// What somebody should do something about.
    Warning,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) style: Style,
    pub(super) text: String,
}

struct Column {
    title: &'static str,
    width: usize,
    right: bool,
}

/// The table at `now`, at most `width` wide and `height` high.
pub(super) fn render(
    table: &mut Table,
    title: &str,
    now: Now,
    width: usize,
    height: usize,
    leave: &Leave,
) -> Vec<Line> {
    let (window, width) = (width, width.max(NARROWEST));
    let foot = foot(table, width);
    let (heard, rate) = (table.counts.heard, table.pulse.rate_per_s(now.mono_ms));
    let passed_s = now.mono_ms.saturating_sub(table.started_ms) / 1000;
    let left = format!("vitrine scan · {title}");
    let right = format!("{rate:.0}/s · {heard} in {}:{:02}", passed_s / 60, passed_s % 60);
    let rows = table.rows(now);
    let gap = if width >= WIDE { 2 } else { 1 };
    let columns = columns(&rows, width, gap);
    let cells = |texts: &mut dyn Iterator<Item = String>| cells(&columns, gap, texts);
    let mut lines = vec![
        Line { style: Style::Title, text: edges(&left, &right, width) },
        Line { style: Style::Live, text: String::new() },
        Line { style: Style::Head, text: cells(&mut columns.iter().map(|column| column.title.to_owned())) },
    ];
    let room = height.saturating_sub(lines.len() + foot.len() + 1).max(1);
    let shown = if rows.len() > room { room - 1 } else { rows.len() };
    for row in rows.iter().take(shown) {
        let stale = now.mono_ms.saturating_sub(row.heard_ms) > STALE_MS;
        let style = if stale { Style::Faint } else { Style::Live };
        let mut texts = columns.iter().map(|column| cell(column.title, row, now, leave));
        lines.push(Line { style, text: cells(&mut texts) });
    }
    if rows.is_empty() {
        lines.push(Line { style: Style::Faint, text: "nothing yet".to_owned() });
    } else if shown < rows.len() {
        let text = format!("… and {} more: a higher window shows them", rows.len() - shown);
        lines.push(Line { style: Style::Faint, text });
    }
    lines.push(Line { style: Style::Live, text: String::new() });
    lines.extend(foot);
    lines.truncate(height);
    lines.iter_mut().for_each(|line| line.text = cut(&line.text, window));
    lines
}

fn columns(rows: &[&Row], width: usize, gap: usize) -> Vec<Column> {
    let receivers: BTreeSet<Id> = rows.iter().map(|row| row.receiver).collect();
    let longest =
        |names: &mut dyn Iterator<Item = Id>| names.map(|name| name.to_string().len()).max().unwrap_or(0);
    let most = if width >= WIDE { 24 } else { 14 };
    let beacon = longest(&mut rows.iter().filter_map(|row| row.tag).map(|tag| tag.beacon));
    let column = |title, width, right| Column { title, width, right };
    let mut columns = vec![
        column("BEACON", beacon.clamp(6, most), false),
        column("CARRIER", 7, false),
        column("WHAT", 0, false),
        column("RSSI", 4, true),
        column("LAST 8 s", super::pulse::SECONDS, false),
        column("PER s", 5, true),
        column("BATTERY", 7, true),
        column("HEARD", 6, true),
    ];
    // With one receiver there is nothing to tell apart.
    if receivers.len() > 1 {
        let receiver = longest(&mut receivers.into_iter());
        columns.push(column("RECEIVER", receiver.clamp(8, most), false));
    }
    let taken: usize = columns.iter().map(|column| column.width).sum::<usize>() + gap * (columns.len() - 1);
    columns[2].width = width.saturating_sub(taken).clamp(8, 64);
    columns
}

fn cell(title: &str, row: &Row, now: Now, leave: &Leave) -> String {
    match title {
        "BEACON" => match (row.tag, row.address) {
            (Some(tag), _) => tag.beacon.to_string(),
            (None, Some(address)) => shortened(&address.told(leave)),
            (None, None) => "-".to_owned(),
        },
        "CARRIER" => row.tag.map_or("-", |tag| tag.carrier).to_owned(),
        "WHAT" => match &row.identity {
            Some(identity) => format!("{} {identity}", row.format),
            None => row.format.clone(),
        },
        "RSSI" => row.pulse.rssi_dbm(now.mono_ms).map_or("-".to_owned(), |rssi| rssi.to_string()),
        "LAST 8 s" => row.pulse.bars(now.mono_ms),
        "PER s" => format!("{:.1}", row.pulse.rate_per_s(now.mono_ms)),
        "BATTERY" => row.battery.map_or("-".to_owned(), |battery| battery.to_string()),
        "HEARD" => ago(now.mono_ms.saturating_sub(row.heard_ms)),
        _ => row.receiver.to_string(),
    }
}

/// Its last two octets: enough to tell two devices on the table apart.
pub(super) fn shortened(address: &str) -> String {
    let (_, end) = address.split_at(address.len().saturating_sub(4));
    let (first, last) = end.split_at(end.len() / 2);
    format!("…{first}:{last}")
}

fn ago(ms: u64) -> String {
    match ms / 1000 {
        0 | 1 => "now".to_owned(),
        seconds @ 2..100 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

fn foot(table: &Table, width: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |style, text: String| lines.push(Line { style, text: cut(&text, width) });
    table.health.lines().for_each(|line| add(Style::Warning, line));
    let (known, missing) = (table.who.names().len(), table.missing());
    if known == 0 {
        add(Style::Faint, "no plan: name it with --plan store.toml to see its beacons by their names".into());
    } else {
        let mut text = format!("plan: {} of {known} beacons heard", known - missing.len());
        for (place, name) in missing.iter().take(MISSING_SHOWN).enumerate() {
            text += &format!("{}{name}", if place == 0 { "; missing " } else { ", " });
        }
        if missing.len() > MISSING_SHOWN {
            text += &format!(", and {} more", missing.len() - MISSING_SHOWN);
        }
        add(Style::Live, text);
    }
    let counts = table.counts;
    let mut text = format!("strangers: {} advertisements", counts.strangers);
    text += if table.all { "" } else { ", only counted (--all shows them)" };
    if counts.malformed > 0 {
        text += &format!(" · malformed: {}", counts.malformed);
    }
    if counts.lost > 0 {
        text += &format!(" · lost: {}", counts.lost);
    }
    add(Style::Faint, text);
    if table.all {
        add(Style::Warning, "These may be people's phones: look, but store nothing of it.".into());
    }
    lines
}

/// Cells side by side, without spaces at the end.
fn cells(columns: &[Column], gap: usize, texts: &mut dyn Iterator<Item = String>) -> String {
    let (mut line, gap) = (String::new(), " ".repeat(gap));
    for (&Column { width, right, .. }, text) in columns.iter().zip(texts) {
        let text = cut(&text, width);
        line += &if right { format!("{text:>width$}{gap}") } else { format!("{text:<width$}{gap}") };
    }
    line.trim_end().to_owned()
}

/// `left` and `right` at the edges of a line.
fn edges(left: &str, right: &str, width: usize) -> String {
    let room = width.saturating_sub(right.chars().count() + 2);
    format!("{:<room$}  {right}", cut(left, room))
}

/// At most `width` characters, with a mark where something was cut off.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        capture::source::{Advertisement, Content, Notice},
        cli::installer::who::Who,
        plan,
        private::Address,
    };
    use expect_test::{Expect, expect};
    use vitrine_protocol::{
        event::{Clock, RadioState},
        time::Timestamp,
    };

    const PLAN: &str = include_str!("../../../../../deploy/config/store.toml");
    const IBEACON: &str = "1aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010001c5";
    const UID: &str = "1716aafe00eeedd1ebeac04e5defa0170000000000020000";
    const TLM: &str = "1116aafe20000bb71a0000000001000003e8";
    const PHONE: &str = "0bff4c001006671e5cfadbd3";

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, utc: Timestamp::from_ms(1_772_622_000_000), source: Clock::Synced }
    }

    fn table(all: bool) -> Table {
        Table::new(Who::new(plan::parse(PLAN).ok()), all, at(0))
    }

    fn hear(table: &mut Table, mono_ms: u64, receiver: &str, address: &str, rssi_dbm: i8, adv_hex: &str) {
        let (receiver, address) = (Id::new(receiver).unwrap(), Address::parse(address));
        let octets = hex::decode(adv_hex).unwrap();
        let content = Content::Raw(&octets);
        let heard = Advertisement { at: at(mono_ms), receiver, address, rssi_dbm: Some(rssi_dbm), content };
        table.handle(&heard);
    }

    fn store(table: &mut Table) {
        for step in 0..80u8 {
            let ms = u64::from(step) * 100;
            hear(table, ms, "front", "c0ffee000101", -90 + step as i8 / 2, IBEACON);
            if step % 10 == 0 {
                hear(table, ms, "front", "c0ffee000102", -72, UID);
                hear(table, ms, "front", "4a0000000001", -55, PHONE);
            }
        }
        hear(table, 7_950, "front", "c0ffee000102", -72, TLM);
    }

    fn check(table: &mut Table, (width, height): (usize, usize), expected: Expect) {
        let lines = render(table, "front (hci0) · plan 1", at(7_999), width, height, &Leave(()));
        assert!(lines.len() <= height, "{} lines", lines.len());
        assert!(lines.iter().all(|line| line.text.chars().count() <= width), "{lines:?}");
        let text: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
        expected.assert_eq(&text);
    }

    #[test]
    fn telemetry_belongs_to_the_beacon_that_it_comes_with_and_strangers_are_counted() {
        let mut table = table(false);
        store(&mut table);
        check(
            &mut table,
            (80, 24),
            expect![[r#"
            vitrine scan · front (hci0) · plan 1                           12/s · 97 in 0:07

            BEACON CARRIER WHAT                           RSSI LAST 8 s PER s BATTERY  HEARD
            cart-1 cart    ibeacon 1/1 e2c56db5-dffb-48d…  -58 ▂▃▃▄▅▅▆▆  10.0       -    now
            cart-2 cart    eddystone-uid 000000000002 ed…  -72 ▄▄▄▄▄▄▄▄   1.0  2.99 V    now

            plan: 2 of 4 beacons heard; missing badge-1, basket-1
            strangers: 8 advertisements, only counted (--all shows them)
        "#]],
        );
    }

    #[test]
    fn strangers_have_rows_where_they_are_asked_for_and_show_the_ends_of_their_addresses() {
        let mut table = table(true);
        store(&mut table);
        hear(&mut table, 7_000, "back", "c0ffee000101", -88, IBEACON);
        table.health.notice(&Notice::Radio { receiver: Id::new("back").unwrap(), state: RadioState::Off });
        check(
            &mut table,
            (120, 40),
            expect![[r#"
                vitrine scan · front (hci0) · plan 1                                                                   12/s · 98 in 0:07

                BEACON  CARRIER  WHAT                                                   RSSI  LAST 8 s  PER s  BATTERY   HEARD  RECEIVER
                cart-1  cart     ibeacon 1/1 e2c56db5-dffb-48d2-b060-d0f5a71096e0        -88         ▂    1.0        -     now  back
                cart-1  cart     ibeacon 1/1 e2c56db5-dffb-48d2-b060-d0f5a71096e0        -58  ▂▃▃▄▅▅▆▆   10.0        -     now  front
                cart-2  cart     eddystone-uid 000000000002 edd1ebeac04e5defa017         -72  ▄▄▄▄▄▄▄▄    1.0   2.99 V     now  front
                …00:01  -        manufacturer 0x004c                                     -55  ▆▆▆▆▆▆▆▆    1.0        -     now  front

                back: the adapter is switched off: `bluetoothctl power on`
                plan: 2 of 4 beacons heard; missing badge-1, basket-1
                strangers: 8 advertisements
                These may be people's phones: look, but store nothing of it.
            "#]],
        );
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let mut table = table(true);
        (0..=255).for_each(|n: u8| {
            hear(&mut table, 7_000, "front", &format!("4a00000000{n:02x}"), -(n as i8 & 0x3f), PHONE);
        });
        check(
            &mut table,
            (80, 12),
            expect![[r#"
            vitrine scan · front (hci0) · plan 1                           0/s · 256 in 0:07

            BEACON CARRIER WHAT                           RSSI LAST 8 s PER s BATTERY  HEARD
            …00:00 -       manufacturer 0x004c               0        █   1.0       -    now
            …00:40 -       manufacturer 0x004c               0        █   1.0       -    now
            …00:80 -       manufacturer 0x004c               0        █   1.0       -    now
            …00:c0 -       manufacturer 0x004c               0        █   1.0       -    now
            … and 252 more: a higher window shows them

            plan: 0 of 4 beacons heard; missing badge-1, basket-1, cart-1, cart-2
            strangers: 256 advertisements
            These may be people's phones: look, but store nothing of it.
        "#]],
        );
        assert_eq!(render(&mut table, "", at(700_000), 80, 24, &Leave(()))[3].text, "nothing yet");
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_wider_than_the_window(senders in proptest::collection::vec((0u8..4, 0u8.., proptest::collection::vec(0u8.., 0..40)), 0..60), width in 1usize..160, height in 1usize..50) {
            let mut table = table(true);
            for (receiver, sender, payload) in senders {
                let adv_hex = hex::encode(&payload);
                hear(&mut table, 7_000, &format!("receiver-{receiver}"), &format!("4a00000000{sender:02x}"), -60, &adv_hex);
            }
            let lines = render(&mut table, "a title that is not short at all", at(7_999), width, height, &Leave(()));
            proptest::prop_assert!(lines.len() <= height);
            proptest::prop_assert!(lines.iter().all(|line| line.text.chars().count() <= width));
            proptest::prop_assert!(lines.iter().all(|line| !line.text.contains(char::is_control)));
        }
    }
}

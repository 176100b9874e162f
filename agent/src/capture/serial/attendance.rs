//! Which shelves are there: each source of readings has to be heard now and then.

use crate::{capture::source::Notice, clock::Now};
use vitrine_protocol::{Id, event::DeviceKind, time::Timestamp};

/// A controller that says nothing for so long, although it is asked, is silent.
pub const SILENT_AFTER_MS: u64 = 60_000;

/// Whoever should be heard. Pure.
#[derive(Debug)]
pub struct Attendance {
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    shelf: Id,
    /// 0 for one that may be silent.
    silent_after_ms: u64,
    heard_ms: u64,
    heard: Timestamp,
    is_silent: bool,
}

impl Attendance {
    /// Of sources: the shelf of each, and after how long it is silent (0 for never).
    pub fn new(sources: impl IntoIterator<Item = (Id, u64)>, now: Now) -> Self {
        let source = |(shelf, silent_after_ms)| Source {
            shelf,
            silent_after_ms,
            heard_ms: now.mono_ms,
            heard: now.utc,
            is_silent: false,
        };
        Self { sources: sources.into_iter().map(source).collect() }
    }

    /// A source was heard. What is to be told where its shelf is back, with all its sources.
    pub fn heard(&mut self, source: usize, now: Now) -> Option<Notice> {
        let source = self.sources.get_mut(source)?;
        (source.heard_ms, source.heard) = (now.mono_ms, now.utc);
        let (was_silent, device) = (std::mem::take(&mut source.is_silent), source.shelf);
        (was_silent && !self.is_silent(device)).then_some(Notice::Back { kind: DeviceKind::Shelf, device })
    }

    /// The shelves of which a source has fallen silent by now, each told once.
    pub fn silent(&mut self, now: Now) -> Vec<Notice> {
        let mut notices = Vec::new();
        for index in 0..self.sources.len() {
            let was_silent = self.is_silent(self.sources[index].shelf);
            let source = &mut self.sources[index];
            let silent_ms = now.mono_ms.saturating_sub(source.heard_ms);
            if source.silent_after_ms > 0 && silent_ms >= source.silent_after_ms && !source.is_silent {
                source.is_silent = true;
                let (device, since) = (source.shelf, source.heard);
                if !was_silent {
                    notices.push(Notice::Silent { kind: DeviceKind::Shelf, device, since });
                }
            }
        }
        notices
    }

    fn is_silent(&self, shelf: Id) -> bool {
        self.sources.iter().any(|source| source.shelf == shelf && source.is_silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vitrine_protocol::event::Clock;

    fn now(second: u64) -> Now {
        let utc = Timestamp::from_ms(second as i64 * 1000);
        Now { mono_ms: second * 1000, utc, source: Clock::Synced }
    }

    #[test]
    fn a_shelf_is_silent_with_its_first_source_and_back_with_its_last() {
        let [a, b] = ["a", "b"].map(|name| Id::new(name).unwrap());
        let mut attendance = Attendance::new([(a, 60_000), (a, 60_000), (b, 0)], now(0));
        let silent =
            |since: u64| Notice::Silent { kind: DeviceKind::Shelf, device: a, since: now(since).utc };
        assert_eq!(attendance.heard(0, now(10)), None);
        assert_eq!(attendance.silent(now(59)), []);
        assert_eq!(attendance.silent(now(60)), [silent(0)]);
        assert_eq!(attendance.silent(now(90)), [], "it is told once");
        assert_eq!(attendance.heard(0, now(91)), None, "the other source is still silent");
        let back = Notice::Back { kind: DeviceKind::Shelf, device: a };
        assert_eq!(attendance.heard(1, now(92)), Some(back));
        assert_eq!(attendance.silent(now(151)), [silent(91)]);
        assert_eq!(attendance.heard(7, now(152)), None);
    }
}

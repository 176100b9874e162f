//! How a controller is to measure, and whether it does.

use vitrine_protocol::{
    Id,
    shelf::{ChannelConfig, Configuration, Hello, Text},
};

/// So many answers that name another revision are a refusal: one may have been on its way before the question.
const REFUSALS: u32 = 2;
/// How long an answer is waited for before the settings are sent again.
const ANSWER_MS: u64 = 2_000;
const OFF: ChannelConfig = ChannelConfig { sample_ms: 0, report_s: 0, settle_ms: 0, tolerance: 0, step: 0 };

/// A shelf controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Its serial number, as it tells it itself.
    pub serial_number: Text,
    /// The shelf that it measures.
    pub shelf: Id,
    /// The facing of each channel, from channel 0; `None` for one that is not used.
    pub facings: Vec<Option<Id>>,
    /// How every channel that is used measures; `None` for the controller's own way.
    pub settings: Option<ChannelConfig>,
}

impl Controller {
    /// The shelf and facings that it measures.
    pub fn places(&self) -> impl Iterator<Item = (Id, Id)> {
        self.facings.iter().flatten().map(|&facing| (self.shelf, facing))
    }

    /// What it is to be told, as one that has said `hello`. Its revision is a checksum: other settings have another.
    pub(super) fn configuration(&self, hello: &Hello) -> Option<Configuration> {
        let settings = self.settings?;
        let facings = self.facings.iter().copied().chain(std::iter::repeat(None));
        let channels = facings.take(hello.channels.len());
        let channels = channels.map(|facing| if facing.is_some() { settings } else { OFF }).collect();
        let mut configuration = Configuration { revision: 0, channels };
        let octets = configuration.channels.iter().flat_map(|channel| {
            let ChannelConfig { sample_ms, report_s, settle_ms, tolerance, step } = *channel;
            [sample_ms, report_s, settle_ms, tolerance, step].into_iter().flat_map(u16::to_be_bytes)
        });
        configuration.revision = crc32c::crc32c(&octets.collect::<Vec<_>>());
        Some(configuration)
    }

    pub(super) fn warn_of_channels(&self, port: &str, hello: &Hello) {
        let (has, named) = (hello.channels.len(), self.facings.len());
        if has < named {
            tracing::error!(port, shelf = %self.shelf, "shelf controller {} has {has} channels, and gateway.toml names {named} facings: shorten `facings`", hello.serial);
        }
    }
}

/// Whether a controller has its settings.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Configuring {
    /// They are to be sent; otherwise they are in force, or refused, or there are none.
    is_wanted: bool,
    refusals: u32,
    /// When they were sent last, unless that is answered.
    sent_ms: Option<u64>,
}

impl Configuring {
    /// The controller has named the revision that is in force; `true` where that makes it plain that it refuses.
    #[must_use]
    pub(super) fn handle_hello(&mut self, controller: &Controller, hello: &Hello, now_ms: u64) -> bool {
        let wanted = controller.configuration(hello).map(|configuration| configuration.revision);
        if wanted.is_none() || wanted == hello.configuration {
            *self = Self::default();
            return false;
        }
        let is_answer = self.sent_ms.take().is_some_and(|sent_ms| now_ms.saturating_sub(sent_ms) < ANSWER_MS);
        self.refusals += u32::from(is_answer);
        self.is_wanted = self.refusals < REFUSALS;
        is_answer && self.refusals == REFUSALS
    }

    /// The settings, when they are to be sent.
    pub(super) fn poll(
        &mut self,
        controller: &Controller,
        hello: &Hello,
        now_ms: u64,
    ) -> Option<Configuration> {
        let is_due = self.sent_ms.is_none_or(|sent_ms| now_ms.saturating_sub(sent_ms) >= ANSWER_MS);
        if !self.is_wanted || !is_due {
            return None;
        }
        self.sent_ms = Some(now_ms);
        controller.configuration(hello)
    }
}

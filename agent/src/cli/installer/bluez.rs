//! BlueZ' adapters as a source.

use crate::{
    capture::{
        Heard, Radio, ble,
        source::{AdvertSource, Advertisement, Content, Listener, SourceError, Stop, stopped},
    },
    clock::Clock,
    plan::Layouts,
};
use futures_util::future::BoxFuture;
use std::{pin::pin, sync::Arc};
use vitrine_protocol::Id;

const QUEUE: usize = 4096;

/// Adapters by name, and the receivers that they are.
pub(super) struct Bluez(pub(super) Vec<(String, Id)>);

impl AdvertSource for Bluez {
    fn run(
        self: Box<Self>,
        listener: Arc<dyn Listener>,
        clock: Clock,
        stop: Stop,
    ) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let adapters: Vec<_> =
                self.0.into_iter().map(|(name, receiver)| ble::Adapter { name, receiver }).collect();
            let (radio, mut heard) = Radio::channel(QUEUE);
            let layouts = Layouts::default();
            let mut hearing = pin!(ble::run(&adapters, &layouts, radio, clock, stopped(stop)));
            loop {
                tokio::select! {
                    ended = &mut hearing => {
                        return ended.map_err(|e| SourceError { name: "bluez", why: e.to_string() });
                    }
                    Some(Heard { at, receiver, address, rssi_dbm, frame, .. }) = heard.recv() => {
                        let content = frame.map_or(Content::Nothing, Content::Frame);
                        listener.hear(&Advertisement { at, receiver, address, rssi_dbm: Some(rssi_dbm), content });
                    }
                }
            }
        })
    }
}

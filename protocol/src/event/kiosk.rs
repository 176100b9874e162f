//! What was done at a kiosk: stream `kiosk`.

use super::EventId;
use crate::Id;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// One touch on a kiosk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Interaction {
    /// The kiosk.
    pub kiosk: Id,
    /// The session it belongs to: random, ends with the session, meets no visit.
    pub session: EventId,
    /// What was done.
    #[serde(flatten)]
    pub action: Action,
}

/// What was done at a kiosk; `kind` on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::grows))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// A product's page was opened.
    ProductView {
        /// The product: 1 to 40 letters, digits, dots, hyphens or underscores.
        #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Sku"))]
        sku: String,
    },
    /// A search; its words never leave the kiosk.
    Search {
        /// The category searched in, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        category: Option<Id>,
        /// How many results.
        results: u32,
    },
    /// Availability of a product was asked for.
    AvailabilityCheck {
        /// The product: 1 to 40 letters, digits, dots, hyphens or underscores.
        #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Sku"))]
        sku: String,
        /// What the answer was.
        in_stock: bool,
    },
    /// An order was placed.
    Order {
        /// How it reaches the customer.
        fulfilment: Fulfilment,
    },
    /// An order was collected.
    ClickAndCollectPickup,
    /// Somebody checked in; who is not told.
    CheckIn,
    /// Staff was called.
    AssistanceRequest,
    /// An offer was shown.
    OfferShown {
        /// The offer.
        offer: Id,
    },
    /// A score was given.
    Feedback {
        /// 1 (worst) to 5.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 5)))]
        score: u8,
    },
    /// The visit was handed over to the web site; the token is not told.
    StoreToWebHandoff,
    /// The session was ended at the kiosk.
    SessionEnd,
    /// A kind that this reader does not know; never written.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl Action {
    /// The kinds that can be written, as they are written.
    pub const KINDS: [&str; 11] = [
        "product_view",
        "search",
        "availability_check",
        "order",
        "click_and_collect_pickup",
        "check_in",
        "assistance_request",
        "offer_shown",
        "feedback",
        "store_to_web_handoff",
        "session_end",
    ];
}

/// How an order reaches the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fulfilment {
    /// Taken along here.
    Here,
    /// Collected in another store.
    OtherStore,
    /// Delivered.
    Home,
}

/// A kiosk session that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Session {
    /// The kiosk.
    pub kiosk: Id,
    /// The session.
    pub session: EventId,
    /// Its interactions, the end not counted.
    pub interactions: u32,
    /// From the first to the last of them, in seconds; `null` where the agent was restarted in between.
    pub duration_s: Option<u64>,
    /// How it ended.
    pub end: SessionEnd,
}

/// How a kiosk session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// Ended at the kiosk.
    Ended,
    /// Nobody touched the kiosk for its idle time.
    Idle,
    /// The agent stopped.
    Interrupted,
}

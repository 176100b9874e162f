//! The octets of every version that was ever written. These files are added to, never edited: what a test here
//! holds is in the field, and has to be read for as long as the version is.

#[cfg(feature = "alloc")]
mod envelope_v1;
#[cfg(feature = "alloc")]
mod event_v0;
#[cfg(feature = "alloc")]
mod metrics_v1;
mod shelf_v1;
#[cfg(feature = "alloc")]
mod sighting_v1;

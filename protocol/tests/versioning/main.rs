//! The octets of every version that was ever written. These files are added to, never edited: what a test here
//! holds is in the field, and has to be read for as long as the version is.

mod shelf_v1;

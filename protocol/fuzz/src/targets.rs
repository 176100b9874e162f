//! What must hold of each parser, whatever it is given.

pub(crate) mod bthome;
pub(crate) mod layout;
pub(crate) mod line;
pub(crate) mod radio;
pub(crate) mod text;

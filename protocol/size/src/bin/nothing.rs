//! What every program takes.
#![no_std]
#![no_main]

vitrine_size::measure!(());

#![no_main]
vitrine_fuzz::libfuzzer!();

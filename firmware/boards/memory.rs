//! For the boards' build scripts: the linker's memory map of the chip that the features name.

use std::{env, fs, path::Path};

/// A chip: the cargo feature that names it, KiB of flash, KiB of RAM.
pub(crate) type Chip = (&'static str, u32, u32);

/// Writes the map for the one of `chips` whose feature is on. The last `store_kib` of flash are the store's.
pub(crate) fn write(chips: &[Chip], store_kib: u32) {
    let on = |feature: &str| {
        let name = feature.to_uppercase().replace('-', "_");
        env::var_os(format!("CARGO_FEATURE_{name}")).is_some()
    };
    let chosen: Vec<_> = chips.iter().filter(|chip| on(chip.0)).collect();
    let [&(_, flash_kib, ram_kib)] = chosen[..] else {
        let names: Vec<_> = chips.iter().map(|chip| chip.0).collect();
        panic!("choose one chip: --features {}", names.join(", or "));
    };
    let code_kib = flash_kib - store_kib;
    let map = format!(
        "MEMORY {{ FLASH : ORIGIN = 0, LENGTH = {code_kib}K  RAM : ORIGIN = 0x20000000, LENGTH = {ram_kib}K }}\n"
    );
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("memory.x"), map).expect("OUT_DIR can be written to");
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../memory.rs");
}

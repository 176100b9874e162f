//! Writes every target's seeds to `corpus/`, where libFuzzer looks for them and adds its own.

use std::{fs, io, path::Path};
use vitrine_fuzz::TARGETS;

fn main() -> io::Result<()> {
    for target in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        fs::create_dir_all(&directory)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}

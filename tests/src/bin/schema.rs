//! Writes the documents of `protocol/schema` anew: `cargo run -p vitrine-tests --bin schema`.

use std::{fs, io};
use vitrine_tests::schema::{directory, documents};

fn main() -> io::Result<()> {
    let directory = directory();
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    for (name, content) in documents() {
        let path = directory.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, content)?;
    }
    Ok(())
}

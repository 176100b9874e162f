//! Programs that others wrote, of pinned versions, which judge what we write: see `tests/tools/install`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const TESTS: &str = env!("CARGO_MANIFEST_DIR");

/// A Python program of the tools' environment.
///
/// # Panics
/// Where the tools are not there and cannot be had.
pub fn python(program: &str) -> Command {
    Command::new(installed().join("python/bin").join(program))
}

/// A script of `tests/tools` for Node.
///
/// # Panics
/// See [`python`].
pub fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", installed().join("node/node_modules"));
    command.arg(Path::new(TESTS).join("tools").join(script));
    command
}

fn installed() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let script = Path::new(TESTS).join("tools/install");
        let status = Command::new(&script).status().unwrap();
        assert!(status.success(), "{} failed: apt-get install python3-venv nodejs npm", script.display());
        Path::new(TESTS).join("../target/tools")
    })
}

/// Whether a command finds nothing wrong, and what it says.
pub fn judge(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

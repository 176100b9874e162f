//! Directories and file systems that a spool is put on.

use std::{fs, io, path::Path};

/// Copies a directory. Files that vanish meanwhile are left out.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), target) {
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        }
    }
}

//! A file system in memory that loses power: takes what a process asked of its files, and puts them where they may be after a cut.
//!
//! What it models, which is less than file systems promise in one way and more in another:
//!
//! - What was written to a file before its last `fsync` or `fdatasync` is there. Each write since then, independently, is there, or
//!   is not, or is torn by sectors. `sync_file_range` makes nothing durable.
//! - Names (new, changed, removed) become durable in the order in which they were changed. Only syncing a directory forces them, up to
//!   the last change in that directory; a cut keeps any number of the rest, from the first on. Syncing a file does not make its
//!   name durable.
//!
//! What it does not model: the journal of a real file system (see [`super::recorder`] for that), and writes to a file by several
//! processes at once.

use super::traced::Call;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const SECTOR: usize = 512;

/// The state of all files below one directory.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    nodes: Vec<Node>,
    /// As the process sees it.
    names: BTreeMap<PathBuf, Entry>,
    durable_names: BTreeMap<PathBuf, Entry>,
    /// From the durable ones to those that the process sees.
    changes: Vec<Change>,
}

/// The content of a file.
#[derive(Debug, Default)]
struct Node {
    durable: Vec<u8>,
    pending: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Dir,
    File(usize),
}

#[derive(Clone, Debug)]
enum Change {
    Add(PathBuf, Entry),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl Change {
    fn is_in(&self, dir: &Path) -> bool {
        match self {
            Self::Add(path, _) | Self::Remove(path) => path.parent() == Some(dir),
            Self::Rename(from, to) => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }

    fn apply(self, names: &mut BTreeMap<PathBuf, Entry>) {
        match self {
            Self::Add(path, entry) => {
                names.insert(path, entry);
            }
            Self::Rename(from, to) => {
                let moved: Vec<_> = names.keys().filter(|path| path.starts_with(&from)).cloned().collect();
                for path in moved {
                    let (Some(entry), Ok(rest)) = (names.remove(&path), path.strip_prefix(&from)) else {
                        continue;
                    };
                    let place = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                    names.insert(place, entry);
                }
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
        }
    }
}

impl Files {
    /// Nothing is there yet below `root`, which is there.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            nodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    /// Does what the process has done. What is not below the root does not matter.
    pub fn take(&mut self, call: &Call) {
        match call {
            Call::Create(path) if self.is_below(path) && !self.names.contains_key(path) => {
                self.nodes.push(Node::default());
                self.change(Change::Add(path.clone(), Entry::File(self.nodes.len() - 1)));
            }
            Call::MakeDir(path) if self.is_below(path) => self.change(Change::Add(path.clone(), Entry::Dir)),
            Call::Rename(from, to) if self.is_below(from) => {
                self.change(Change::Rename(from.clone(), to.clone()));
            }
            Call::Remove(path) if self.is_below(path) => self.change(Change::Remove(path.clone())),
            Call::Write(path, offset, data) => {
                let piece = Piece::Write(usize::try_from(*offset).unwrap(), data.clone());
                self.node(path).into_iter().for_each(|node| node.pending.push(piece.clone()));
            }
            Call::SetLength(path, length) => {
                let piece = Piece::Length(usize::try_from(*length).unwrap());
                self.node(path).into_iter().for_each(|node| node.pending.push(piece.clone()));
            }
            Call::Sync(path) => self.sync(path),
            Call::Create(_) | Call::MakeDir(_) | Call::Rename(..) | Call::Remove(_) | Call::Say(_) => {}
        }
    }

    /// Puts the files into `place` as a power cut would leave them now. Tells how many changes were lost or torn.
    pub fn cut(&self, random: &mut fastrand::Rng, place: &Path) -> u64 {
        let kept = random.usize(..=self.changes.len());
        let mut lost = (self.changes.len() - kept) as u64;
        let mut names = self.durable_names.clone();
        self.changes[..kept].iter().for_each(|change| change.clone().apply(&mut names));
        // Of one cut, so that disks which keep nearly everything, or nearly nothing, are met too.
        let (keep, tear) = (random.f64(), random.f64() / 2.0);
        fs::create_dir_all(place).unwrap();
        // A name comes after that of its directory.
        for (path, entry) in names {
            let path = place.join(path.strip_prefix(&self.root).unwrap());
            // Where the directory has gone with a cut, so have its files.
            match entry {
                Entry::Dir => fs::create_dir(path).unwrap_or_default(),
                Entry::File(node) => {
                    let (content, missing) = self.nodes[node].cut(random, keep, tear);
                    lost += missing;
                    fs::write(path, content).unwrap_or_default();
                }
            }
        }
        lost
    }

    fn is_below(&self, path: &Path) -> bool {
        path.starts_with(&self.root) && path != self.root
    }

    fn node(&mut self, path: &Path) -> Option<&mut Node> {
        match self.names.get(path) {
            Some(&Entry::File(node)) => self.nodes.get_mut(node),
            _ => None,
        }
    }

    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.names);
        self.changes.push(change);
    }

    fn sync(&mut self, path: &Path) {
        if let Some(node) = self.node(path) {
            let pending = std::mem::take(&mut node.pending);
            pending.into_iter().for_each(|piece| piece.apply(&mut node.durable));
            return;
        }
        let forced = self.changes.iter().rposition(|change| change.is_in(path)).map_or(0, |index| index + 1);
        for change in self.changes.drain(..forced) {
            change.apply(&mut self.durable_names);
        }
    }
}

impl Piece {
    fn apply(self, content: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => {
                content.resize(content.len().max(offset + data.len()), 0);
                content[offset..offset + data.len()].copy_from_slice(&data);
            }
            Self::Length(length) => content.resize(length, 0),
        }
    }
}

impl Clone for Piece {
    fn clone(&self) -> Self {
        match self {
            Self::Write(offset, data) => Self::Write(*offset, data.clone()),
            Self::Length(length) => Self::Length(*length),
        }
    }
}

impl Node {
    fn cut(&self, random: &mut fastrand::Rng, keep: f64, tear: f64) -> (Vec<u8>, u64) {
        let (mut content, mut lost) = (self.durable.clone(), 0);
        for piece in &self.pending {
            let (is_torn, is_kept) = (random.f64() < tear, random.f64() < keep);
            lost += u64::from(is_torn || !is_kept);
            match piece {
                Piece::Write(offset, data) if is_torn => {
                    for (index, sector) in data.chunks(SECTOR).enumerate().filter(|_| random.bool()) {
                        Piece::Write(offset + index * SECTOR, sector.to_vec()).apply(&mut content);
                    }
                }
                piece if is_kept => piece.clone().apply(&mut content),
                _ => {}
            }
        }
        (content, lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        Path::new("/r").join(name)
    }

    /// All that can be left by a cut after these calls, as name and content.
    fn outcomes(calls: &[Call]) -> std::collections::BTreeSet<Vec<(String, Vec<u8>)>> {
        let mut files = Files::new(Path::new("/r"));
        calls.iter().for_each(|call| files.take(call));
        let mut random = fastrand::Rng::with_seed(7);
        let mut outcomes = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let dir = tempfile::tempdir().unwrap();
            files.cut(&mut random, dir.path());
            let mut found: Vec<_> = fs::read_dir(dir.path())
                .unwrap()
                .flatten()
                .map(|entry| {
                    (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap_or_default())
                })
                .collect();
            found.sort();
            outcomes.insert(found);
        }
        outcomes
    }

    #[test]
    fn content_needs_a_sync_of_the_file_and_a_name_one_of_the_directory() {
        let mut calls = vec![Call::Create(path("a")), Call::Write(path("a"), 0, vec![1])];
        let a = |content: &[u8]| vec![("a".to_owned(), content.to_vec())];
        assert_eq!(outcomes(&calls), [vec![], a(&[]), a(&[1])].into());
        calls.push(Call::Sync(path("a")));
        assert_eq!(outcomes(&calls), [vec![], a(&[1])].into());
        calls.push(Call::Sync(PathBuf::from("/r")));
        assert_eq!(outcomes(&calls), [a(&[1])].into());
    }

    #[test]
    fn a_file_that_was_replaced_is_one_or_the_other() {
        let calls = [
            Call::Create(path("a")),
            Call::Write(path("a"), 0, vec![1]),
            Call::Sync(path("a")),
            Call::Sync(PathBuf::from("/r")),
            Call::Create(path("a.new")),
            Call::Write(path("a.new"), 0, vec![2]),
            Call::Sync(path("a.new")),
            Call::Rename(path("a.new"), path("a")),
        ];
        let names = outcomes(&calls);
        assert!(names.contains(&vec![("a".into(), vec![1])]) && names.contains(&vec![("a".into(), vec![2])]));
        assert!(names.iter().all(|found| found[0].0 == "a" && [1, 2].contains(&found[0].1[0])), "{names:?}");
    }
}

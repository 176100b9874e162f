//! The same queue on two embedded databases, as their documentation suggests: one key an event, removed when it is
//! drained, with their own settings. What is removed together with a durable commit is the cursor.

use crate::contender::Queue;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use redb::{ReadableDatabase, TableDefinition};
use std::{path::Path, time::Duration};

/// Events between two removals.
const CHUNK: usize = 4096;

pub(crate) struct Fjall {
    db: Database,
    queue: Keyspace,
    next: u64,
}

impl Fjall {
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        let db = Database::builder(dir).open()?;
        let queue = db.keyspace("queue", KeyspaceCreateOptions::default)?;
        Ok(Self { db, queue, next: 0 })
    }
}

impl Queue for Fjall {
    fn append(&mut self, events: &[Box<str>]) -> anyhow::Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for event in events {
            batch.insert(&self.queue, self.next.to_be_bytes(), event.as_bytes());
            self.next += 1;
        }
        Ok(batch.commit()?)
    }

    fn drain(&mut self) -> anyhow::Result<(usize, usize)> {
        let (mut count, mut bytes, mut from) = (0, 0, 0_u64);
        while from < self.next {
            let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
            let upto = (from + CHUNK as u64).min(self.next);
            for item in self.queue.range(from.to_be_bytes()..upto.to_be_bytes()) {
                let (key, value) = item.into_inner()?;
                (count, bytes) = (count + 1, bytes + std::str::from_utf8(&value)?.len());
                batch.remove(&self.queue, key);
            }
            batch.commit()?;
            from = upto;
        }
        Ok((count, bytes))
    }

    /// Compaction runs on threads of its own.
    fn settle(&mut self) -> anyhow::Result<()> {
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }
}

const TABLE: TableDefinition<'_, u64, &str> = TableDefinition::new("queue");

pub(crate) struct Redb {
    db: redb::Database,
    next: u64,
}

impl Redb {
    pub(crate) fn open(dir: &Path) -> anyhow::Result<Self> {
        Ok(Self { db: redb::Database::create(dir.join("queue.redb"))?, next: 0 })
    }
}

impl Queue for Redb {
    fn append(&mut self, events: &[Box<str>]) -> anyhow::Result<()> {
        let write = self.db.begin_write()?;
        {
            let mut table = write.open_table(TABLE)?;
            for event in events {
                table.insert(self.next, event.as_ref())?;
                self.next += 1;
            }
        }
        Ok(write.commit()?)
    }

    fn drain(&mut self) -> anyhow::Result<(usize, usize)> {
        let (mut count, mut bytes, mut from) = (0, 0, 0_u64);
        while from < self.next {
            let upto = (from + CHUNK as u64).min(self.next);
            let read = self.db.begin_read()?;
            for item in read.open_table(TABLE)?.range(from..upto)? {
                let (_, value) = item?;
                (count, bytes) = (count + 1, bytes + value.value().len());
            }
            drop(read);
            let write = self.db.begin_write()?;
            write.open_table(TABLE)?.retain_in(from..upto, |_, _| false)?;
            write.commit()?;
            from = upto;
        }
        Ok((count, bytes))
    }

    /// Its file shrinks only when told to.
    fn settle(&mut self) -> anyhow::Result<()> {
        self.db.compact()?;
        Ok(())
    }
}

//! An instance without an engine, for the unit tests.

use std::time::Duration;

use crate::{Abi, Call, Session, Stream, World};

/// An instance: its memory, its session, and its log.
pub(crate) struct Guest {
    pub(crate) memory: Vec<u8>,
    pub(crate) session: Session,
    pub(crate) abi: Abi,
    pub(crate) lines: Vec<(Stream, String)>,
}

impl Guest {
    /// Creates an instance of a preview-1 guest with one page of memory.
    pub(crate) fn new(world: &World) -> Guest {
        Guest { memory: vec![0; 65_536], session: world.session(), abi: Abi::Preview1, lines: Vec::new() }
    }

    /// Creates an instance in a world where real time stands at 1000 s.
    pub(crate) fn deterministic() -> Guest {
        Guest::new(&World::default().deterministic(7, Duration::from_secs(1000)))
    }

    pub(crate) fn call<R>(&mut self, run: impl FnOnce(&mut Call<'_>) -> R) -> R {
        let Guest { memory, session, abi, lines } = self;
        let mut log = |stream: Stream, line: &str| lines.push((stream, line.to_owned()));
        run(&mut Call { session, memory, abi: *abi, log: &mut log })
    }

    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.memory[at..at + 4].try_into().expect("four bytes"))
    }

    pub(crate) fn u64_at(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.memory[at..at + 8].try_into().expect("eight bytes"))
    }

    /// Writes a list of buffers at 0.
    pub(crate) fn vectors(&mut self, buffers: &[(u32, u32)]) {
        for (index, (pointer, length)) in buffers.iter().enumerate() {
            self.put(index * 8, &pointer.to_le_bytes());
            self.put(index * 8 + 4, &length.to_le_bytes());
        }
    }
}

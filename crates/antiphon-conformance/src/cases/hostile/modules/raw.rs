//! Modules built byte by byte, as no assembler would write them.

use crate::suite::Guest;

/// The numbers of sections.
pub(super) const CUSTOM: u8 = 0;
pub(super) const TYPES: u8 = 1;
pub(super) const IMPORTS: u8 = 2;
pub(super) const FUNCTIONS: u8 = 3;
pub(super) const TABLES: u8 = 4;
pub(super) const MEMORIES: u8 = 5;
pub(super) const GLOBALS: u8 = 6;
pub(super) const EXPORTS: u8 = 7;
pub(super) const START: u8 = 8;
pub(super) const ELEMENTS: u8 = 9;
pub(super) const CODE: u8 = 10;
pub(super) const DATA: u8 = 11;
pub(super) const DATA_COUNT: u8 = 12;

/// The order in which sections must come.
const ORDER: [u8; 12] =
    [TYPES, IMPORTS, FUNCTIONS, TABLES, MEMORIES, GLOBALS, EXPORTS, START, ELEMENTS, DATA_COUNT, CODE, DATA];

/// The header of a module.
pub(super) const HEADER: &[u8; 8] = b"\0asm\x01\0\0\0";

/// A module in the binary format whose sections can be made to lie. It starts as a complete guest
/// that echoes its payload: [`Raw::echo`].
#[derive(Clone)]
pub(super) struct Raw {
    pub(super) sections: Vec<Section>,
}

/// A section. Its header need not tell the truth.
#[derive(Clone)]
pub(super) struct Section {
    pub(super) id: u8,
    /// The size in its header, encoded; `None` for the true size.
    pub(super) size: Option<Vec<u8>>,
    /// The count in its header, encoded; `None` for the true count.
    pub(super) count: Option<Vec<u8>>,
    /// The true number of entries; `None` for sections that are not lists.
    entries: Option<u32>,
    pub(super) body: Vec<u8>,
}

impl Section {
    fn new(id: u8) -> Self {
        let listed = !matches!(id, CUSTOM | START | DATA_COUNT);
        Self { id, size: None, count: None, entries: listed.then_some(0), body: Vec::new() }
    }

    /// Returns the section's content: its count, if it has one, and its entries.
    pub(super) fn content(&self) -> Vec<u8> {
        let count = self.entries.map(|entries| self.count.clone().unwrap_or_else(|| leb(entries.into())));
        [count.unwrap_or_default(), self.body.clone()].concat()
    }

    fn encode(&self, into: &mut Vec<u8>) {
        let content = self.content();
        into.push(self.id);
        into.extend(self.size.clone().unwrap_or_else(|| leb(content.len() as u64)));
        into.extend(content);
    }
}

impl Raw {
    /// Returns a module without sections.
    pub(super) fn empty() -> Self {
        Self { sections: Vec::new() }
    }

    /// Returns a complete guest. Types: 0 takes two `i32`, 1 takes two and returns one, 2 is
    /// nullary. Functions: 0 is `__guest_request`, 1 `__guest_response`, 2 `__guest_call`. It has
    /// one page of memory.
    pub(super) fn echo() -> Self {
        let call: &[u8] = &[
            &[0x41, 0x80, 0x08, 0x41, 0x80, 0x20, 0x10, 0][..], // request: operation to 1024, payload to 4096
            &[0x41, 0x80, 0x20, 0x20, 1, 0x10, 1],              // response: from 4096, as long as the payload
            &[0x41, 1, 0x0b],                                   // 1, end
        ]
        .concat();
        Self::empty()
            .add(
                TYPES,
                3,
                &[&[0x60, 2, 0x7f, 0x7f, 0][..], &[0x60, 2, 0x7f, 0x7f, 1, 0x7f, 0x60, 0, 0]].concat(),
            )
            .add(IMPORTS, 1, &[&name("wapc")[..], &name("__guest_request"), &[0, 0]].concat())
            .add(IMPORTS, 1, &[&name("wapc")[..], &name("__guest_response"), &[0, 0]].concat())
            .add(FUNCTIONS, 1, &[1])
            .add(MEMORIES, 1, &[0, 1])
            .add(EXPORTS, 1, &[&name("memory")[..], &[2, 0]].concat())
            .add(EXPORTS, 1, &[&name("__guest_call")[..], &[0, 2]].concat())
            .add(CODE, 1, &body(call))
    }

    /// Appends entries to a section, which it inserts in order if the module has none.
    pub(super) fn add(mut self, id: u8, entries: u32, bytes: &[u8]) -> Self {
        let section = self.section(id);
        section.entries = section.entries.map(|before| before + entries);
        section.body.extend_from_slice(bytes);
        self
    }

    /// Appends an entry many times.
    pub(super) fn many(self, id: u8, entries: u32, entry: &[u8]) -> Self {
        self.add(id, entries, &entry.repeat(entries as usize))
    }

    /// Appends entries that `entry` makes.
    pub(super) fn each(self, id: u8, entries: u32, entry: impl FnMut(u32) -> Vec<u8>) -> Self {
        self.add(id, entries, &(0..entries).flat_map(entry).collect::<Vec<_>>())
    }

    /// Appends a custom section.
    pub(super) fn custom(mut self, title: &[u8], bytes: &[u8]) -> Self {
        let mut section = Section::new(CUSTOM);
        section.body = [&leb(title.len() as u64), title, bytes].concat();
        self.sections.push(section);
        self
    }

    /// Appends functions of the nullary type, all with this body.
    pub(super) fn functions(self, count: u32, code: &[u8]) -> Self {
        self.many(FUNCTIONS, count, &[2]).many(CODE, count, &body(code))
    }

    /// Returns a section, which it inserts in order if the module has none.
    pub(super) fn section(&mut self, id: u8) -> &mut Section {
        let rank = |id: u8| ORDER.iter().position(|known| *known == id).unwrap_or(ORDER.len());
        let at = match self.sections.iter().position(|section| section.id == id) {
            Some(at) => at,
            None => {
                let at = self.sections.iter().position(|section| rank(section.id) > rank(id));
                let at = at.unwrap_or(self.sections.len());
                self.sections.insert(at, Section::new(id));
                at
            }
        };
        &mut self.sections[at]
    }

    /// Changes a section.
    pub(super) fn with(mut self, id: u8, change: impl FnOnce(&mut Section)) -> Self {
        change(self.section(id));
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        for section in &self.sections {
            section.encode(&mut bytes);
        }
        bytes
    }

    pub(super) fn guest(&self) -> Guest {
        Guest::binary(self.bytes())
    }
}

/// Encodes a number in unsigned LEB128, in the shortest form.
pub(super) fn leb(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Encodes a number in LEB128 of `bytes` bytes, padded with zeros.
pub(super) fn padded_leb(value: u64, bytes: usize) -> Vec<u8> {
    let mut padded = leb(value);
    while padded.len() < bytes {
        *padded.last_mut().expect("a number has a byte") |= 0x80;
        padded.push(0);
    }
    padded
}

/// Encodes a name with its length.
pub(super) fn name(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&leb(text.len() as u64), text].concat()
}

/// Encodes a function's body without locals, given its code including `end`.
pub(super) fn body(code: &[u8]) -> Vec<u8> {
    body_with_locals(&[0], code)
}

/// Encodes a function's body with its declaration of locals.
pub(super) fn body_with_locals(locals: &[u8], code: &[u8]) -> Vec<u8> {
    [&leb((locals.len() + code.len()) as u64), locals, code].concat()
}

/// Encodes a number in signed LEB128, in the shortest form.
pub(super) fn signed_leb(mut value: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if (value == 0 && low & 0x40 == 0) || (value == -1 && low & 0x40 != 0) {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

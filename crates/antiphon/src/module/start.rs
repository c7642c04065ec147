//! Turns the start section into an exported function.
//!
//! Some engines run a start section as a part of the instantiation, which they cannot interrupt and
//! resume. They can interrupt an export that is called right after the instantiation. So the start
//! ends by its deadline there as well, and needs no cap of fuel of its own.

use std::borrow::Cow;

use super::info::ModuleInfo;

const EXPORTS: u8 = 7;
const START: u8 = 8;
/// The kind of an exported function.
const FUNCTION: u8 = 0;

impl ModuleInfo {
    /// Removes the module's start section, and exports its function under a free name, which is
    /// returned. `module` is the module that this was parsed from. A module without a start
    /// section, or with a malformed one, stays as it is, and no name is returned.
    #[must_use]
    pub fn export_start<'a>(&self, module: Cow<'a, [u8]>) -> (Cow<'a, [u8]>, Option<String>) {
        match self.has_start.then(|| self.with_start_exported(&module)).flatten() {
            Some((rewritten, name)) => (rewritten.into(), Some(name)),
            None => (module, None),
        }
    }

    fn with_start_exported(&self, module: &[u8]) -> Option<(Vec<u8>, String)> {
        let mut name = "start section".to_owned();
        while self.export(&name).is_some() {
            name.push('\'');
        }
        let (header, mut rest) = module.split_at_checked(8)?;
        let mut sections = Vec::new();
        let mut start = None;
        while let Some((&id, after)) = rest.split_first() {
            let (size, content) = number(after)?;
            let (content, next) = content.split_at_checked(usize::try_from(size).ok()?)?;
            match id {
                // Anything but one number is malformed, which the engine reports itself.
                START => start = Some(number(content).filter(|(_, after)| after.is_empty())?.0),
                _ => sections.push((id, content)),
            }
            rest = next;
        }
        let mut rewritten = header.to_vec();
        for (id, content) in sections {
            let content =
                if id == EXPORTS { with_export(content, &name, start?)? } else { Cow::Borrowed(content) };
            rewritten.push(id);
            push_number(&mut rewritten, u32::try_from(content.len()).ok()?);
            rewritten.extend_from_slice(&content);
        }
        Some((rewritten, name))
    }
}

fn with_export(section: &[u8], name: &str, function: u32) -> Option<Cow<'static, [u8]>> {
    let (count, exports) = number(section)?;
    let mut section = Vec::with_capacity(exports.len() + name.len() + 16);
    push_number(&mut section, count.checked_add(1)?);
    section.extend_from_slice(exports);
    push_number(&mut section, u32::try_from(name.len()).ok()?);
    section.extend_from_slice(name.as_bytes());
    section.push(FUNCTION);
    push_number(&mut section, function);
    Some(Cow::Owned(section))
}

/// Reads a number in LEB128, and returns what follows it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, bytes.get(index + 1..)?));
        }
    }
    None
}

fn push_number(bytes: &mut Vec<u8>, mut value: u32) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(text: &str) -> Option<(Vec<u8>, String)> {
        let module = wat::parse_str(text).expect("a module");
        let (changed, name) = ModuleInfo::parse(&module).expect("its info").export_start((&module).into());
        assert_eq!(name.is_none(), changed == module, "it changes with its name alone");
        Some((changed.into_owned(), name?))
    }

    #[test]
    fn the_start_function_becomes_an_export_and_all_else_stays() {
        let text = r#"(module (import "env" "abort" (func (param i32 i32 i32 i32)))
            (memory (export "memory") 1) (func $run) (func (export "go")) (start $run) (data (i32.const 0) "x"))"#;
        let (module, name) = exported(text).expect("a start section");
        let (before, after) = (
            ModuleInfo::parse(&wat::parse_str(text).expect("a module")).expect("its info"),
            ModuleInfo::parse(&module).expect("its info"),
        );
        assert_eq!(name, "start section");
        assert!(before.has_start && !after.has_start);
        assert_eq!(after.imports, before.imports);
        assert_eq!(after.exports[..2], before.exports[..]);
        assert_eq!(after.exports[2].name, name);
    }

    #[test]
    fn a_name_that_is_taken_is_left_alone() {
        let (_, name) = exported(
            r#"(module (func $run) (start $run) (export "start section" (func $run)) (export "start section'" (func $run)))"#,
        )
        .expect("a start section");
        assert_eq!(name, "start section''");
    }

    #[test]
    fn a_module_without_one_is_left_alone() {
        assert_eq!(exported(r#"(module (func (export "go")))"#), None);
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX] {
            let mut bytes = Vec::new();
            push_number(&mut bytes, value);
            bytes.push(7);
            assert_eq!(number(&bytes), Some((value, &[7][..])));
        }
        assert_eq!(number(&[0x80; 5]), None);
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0x7f]), None);
    }
}

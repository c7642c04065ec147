//! Turns a start section into an export. wasmi runs a start section without interruption, but an
//! export in slices.

const EXPORTS: u8 = 7;
const START: u8 = 8;

/// Returns the module without its start section, and with the section's function exported under
/// `name`. `None` if there is no start section, or if the bytes are not a module.
pub(crate) fn exported(module: &[u8], name: &str) -> Option<Vec<u8>> {
    let (header, sections) = module.split_at_checked(8)?;
    let (_, mut start) = read(sections)?.into_iter().find(|(id, _)| *id == START)?;
    let function = number(&mut start)?;

    let mut changed = header.to_vec();
    for (id, mut section) in read(sections)? {
        if id == START {
            continue;
        }
        let mut content = Vec::new();
        if id == EXPORTS {
            write(&mut content, number(&mut section)?.checked_add(1)?);
        }
        content.extend(section);
        if id == EXPORTS {
            write(&mut content, u32::try_from(name.len()).ok()?);
            content.extend(name.bytes());
            // The kind of the export: a function.
            content.push(0);
            write(&mut content, function);
        }
        changed.push(id);
        write(&mut changed, u32::try_from(content.len()).ok()?);
        changed.append(&mut content);
    }
    Some(changed)
}

/// Returns the sections, each with its id.
fn read(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut sections = Vec::new();
    while let Some(id) = bytes.split_off_first() {
        let size = usize::try_from(number(&mut bytes)?).ok()?;
        sections.push((*id, bytes.split_off(..size)?));
    }
    Some(sections)
}

/// Reads a number in LEB128: seven bits per byte, the lowest first.
fn number(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn write(bytes: &mut Vec<u8>, mut number: u32) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return bytes.push(low & 0x7f);
        }
        bytes.push(low | 0x80);
    }
}

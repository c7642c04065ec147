//! Standard output and error, cut into lines for the log.

use std::fmt::Write as _;

use crate::call::LogFn;

/// The longest text of a line that is logged, in bytes. The mark that says how much is missing
/// comes on top.
pub const MAX_LINE: usize = 4096;

/// How many bytes of one `fd_write` are looked at. The guest is told that all of them were written.
pub const MAX_LOGGED: usize = 64 * 1024;

/// A stream that the guest writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output, descriptor 1.
    Stdout,
    /// Standard error, descriptor 2.
    Stderr,
}

impl Stream {
    /// Returns `stdout` or `stderr`.
    pub const fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// The lines that are not complete yet.
#[derive(Debug, Default)]
pub(crate) struct Output {
    stdout: Line,
    stderr: Line,
    dropped: u64,
}

/// The beginning of a line.
#[derive(Debug, Default)]
struct Line {
    /// At most `MAX_LINE` bytes. Allocated on first use.
    kept: Vec<u8>,
    /// How many further bytes of the line were dropped.
    dropped: u64,
}

impl Output {
    /// Takes bytes that the guest wrote, and logs the lines that they complete.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8], log: &mut LogFn<'_>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = self.line(stream);
            match piece.strip_suffix(b"\n") {
                None => line.push(piece),
                Some(rest) if line.is_empty() => self.dropped += emit(stream, rest, 0, log),
                Some(rest) => {
                    line.push(rest);
                    self.end_line(stream, log);
                }
            }
        }
    }

    /// Counts bytes that the guest wrote and that are not looked at.
    pub(crate) fn skip(&mut self, stream: Stream, count: u64) {
        let line = self.line(stream);
        line.dropped = line.dropped.saturating_add(count);
    }

    /// Logs the incomplete lines.
    pub(crate) fn flush(&mut self, log: &mut LogFn<'_>) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.line(stream).is_empty() {
                self.end_line(stream, log);
            }
        }
    }

    /// Returns how many bytes were not logged in all.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.saturating_add(self.stdout.dropped).saturating_add(self.stderr.dropped)
    }

    fn line(&mut self, stream: Stream) -> &mut Line {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn end_line(&mut self, stream: Stream, log: &mut LogFn<'_>) {
        let line = self.line(stream);
        let dropped = emit(stream, &line.kept, line.dropped, log);
        line.kept.clear();
        line.dropped = 0;
        self.dropped = self.dropped.saturating_add(dropped);
    }
}

impl Line {
    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.dropped == 0
    }

    fn push(&mut self, bytes: &[u8]) {
        // After something was dropped, further bytes would read as if they followed directly what
        // was kept.
        let room = if self.dropped == 0 { MAX_LINE.saturating_sub(self.kept.len()) } else { 0 };
        let (kept, rest) = bytes.split_at(room.min(bytes.len()));
        if !kept.is_empty() && self.kept.capacity() == 0 {
            // Reserved exactly, because doubling could take more than a line.
            self.kept.reserve_exact(MAX_LINE);
        }
        self.kept.extend_from_slice(kept);
        self.dropped = self.dropped.saturating_add(u64::try_from(rest.len()).unwrap_or(u64::MAX));
    }
}

/// Logs one line, and returns how many of its bytes were dropped.
fn emit(stream: Stream, line: &[u8], dropped: u64, log: &mut LogFn<'_>) -> u64 {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if dropped == 0
        && line.len() <= MAX_LINE
        && let Ok(text) = std::str::from_utf8(line)
        && !text.chars().any(is_escaped)
    {
        log(stream, text);
        return 0;
    }
    let mut text = String::with_capacity(line.len().min(MAX_LINE));
    let shown = render(line, &mut text);
    let missing = line.len().saturating_sub(shown);
    let dropped = dropped.saturating_add(u64::try_from(missing).unwrap_or(u64::MAX));
    if dropped > 0 {
        // Writing to a string does not fail.
        let _ = write!(text, " [{dropped} bytes dropped]");
    }
    log(stream, &text);
    dropped
}

/// Appends as much of a line as a logged line may hold, and returns how many of its bytes that
/// were.
fn render(line: &[u8], text: &mut String) -> usize {
    let mut shown = 0_usize;
    for chunk in line.utf8_chunks() {
        for character in chunk.valid().chars() {
            let fits = if is_escaped(character) {
                append(text, character.escape_unicode())
            } else {
                append(text, [character])
            };
            if !fits {
                return shown;
            }
            shown = shown.saturating_add(character.len_utf8());
        }
        if !chunk.invalid().is_empty() {
            if !append(text, [char::REPLACEMENT_CHARACTER]) {
                return shown;
            }
            shown = shown.saturating_add(chunk.invalid().len());
        }
    }
    shown
}

/// Appends characters if they still fit, and returns whether they did.
fn append<I>(text: &mut String, characters: I) -> bool
where
    I: IntoIterator<Item = char, IntoIter: Clone>,
{
    let characters = characters.into_iter();
    let length: usize = characters.clone().map(char::len_utf8).sum();
    let fits = text.len().saturating_add(length) <= MAX_LINE;
    if fits {
        text.extend(characters);
    }
    fits
}

/// Returns whether a character could move a terminal's cursor or do worse.
fn is_escaped(character: char) -> bool {
    character.is_control() && character != '\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes each piece, flushes, and returns what was logged and how many bytes were dropped.
    fn logged(pieces: &[(Stream, &[u8])]) -> (Vec<(Stream, String)>, u64) {
        let mut output = Output::default();
        let mut lines = Vec::new();
        let mut log = |stream: Stream, line: &str| lines.push((stream, line.to_owned()));
        for (stream, bytes) in pieces {
            output.write(*stream, bytes, &mut log);
        }
        output.flush(&mut log);
        output.flush(&mut log);
        assert!(output.stdout.kept.capacity() <= MAX_LINE);
        (lines, output.dropped())
    }

    fn stdout(bytes: &[u8]) -> Vec<String> {
        logged(&[(Stream::Stdout, bytes)]).0.into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn lines_end_at_newlines_and_at_the_flush() {
        assert_eq!(stdout(b"one\n\ntwo\r\nthree"), ["one", "", "two", "three"]);
        assert_eq!(stdout(b""), [""; 0]);
        assert_eq!(stdout(b"\n"), [""]);
    }

    #[test]
    fn whole_lines_need_no_buffer_and_others_one_of_a_lines_length() {
        let mut output = Output::default();
        let mut lines = 0;
        let mut log = |_: Stream, _: &str| lines += 1;
        output.write(Stream::Stdout, b"one\ntwo\n", &mut log);
        assert_eq!(output.stdout.kept.capacity(), 0);
        output.write(Stream::Stdout, b"th", &mut log);
        assert_eq!(output.stdout.kept.capacity(), MAX_LINE);
        output.write(Stream::Stdout, b"ree\n", &mut log);
        assert_eq!((output.stdout.kept.capacity(), output.stderr.kept.capacity()), (MAX_LINE, 0));
        assert_eq!(lines, 3);
    }

    #[test]
    fn a_stream_has_the_name_that_programs_know() {
        assert_eq!((Stream::Stdout.name(), Stream::Stderr.name()), ("stdout", "stderr"));
    }

    #[test]
    fn streams_do_not_mix() {
        let (lines, dropped) = logged(&[
            (Stream::Stdout, b"out"),
            (Stream::Stderr, b"err"),
            (Stream::Stdout, b"put\n"),
            (Stream::Stderr, b"or"),
        ]);
        assert_eq!(lines, [(Stream::Stdout, "output".into()), (Stream::Stderr, "error".into())]);
        assert_eq!(dropped, 0);
    }

    #[test]
    fn a_character_in_two_writes_is_whole() {
        let (lines, _) = logged(&[(Stream::Stdout, b"\xc3"), (Stream::Stdout, b"\xa4\n")]);
        assert_eq!(lines, [(Stream::Stdout, "ä".into())]);
    }

    #[test]
    fn what_could_harm_a_terminal_is_escaped() {
        assert_eq!(stdout(b"\x1b[31mred\ttab\x07\xc2\x9b\x7f"), ["\\u{1b}[31mred\ttab\\u{7}\\u{9b}\\u{7f}"]);
        assert_eq!(stdout(b"a\xffb\xe2\x82"), ["a\u{fffd}b\u{fffd}"]);
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let whole = [b'x'; MAX_LINE];
        assert_eq!(stdout(&whole), ["x".repeat(MAX_LINE)]);
        let long = [b'x'; MAX_LINE + 10];
        let expected = format!("{} [10 bytes dropped]", "x".repeat(MAX_LINE));
        // In one piece, in two, and without a newline.
        let ended = [&long[..], b"\nnext\n"].concat();
        assert_eq!(stdout(&ended), [expected.as_str(), "next"]);
        let (lines, dropped) = logged(&[(Stream::Stdout, &long[..9]), (Stream::Stdout, &ended[9..])]);
        assert_eq!(lines[0].1, expected);
        assert_eq!(lines[1].1, "next");
        assert_eq!(dropped, 10);
        assert_eq!(stdout(&long), [expected]);
    }

    #[test]
    fn escapes_count_towards_the_limit() {
        let lines = stdout(&[0x1b; MAX_LINE]);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].ends_with(&format!(" [{} bytes dropped]", MAX_LINE - MAX_LINE / 6)), "{}", lines[0]);
        assert!(lines[0].len() < MAX_LINE + 40);
    }

    #[test]
    fn skipped_bytes_are_marked_on_the_line_they_belong_to() {
        let mut output = Output::default();
        let mut lines = Vec::new();
        let mut log = |_: Stream, line: &str| lines.push(line.to_owned());
        output.write(Stream::Stdout, b"begin", &mut log);
        output.skip(Stream::Stdout, 70_000);
        output.write(Stream::Stdout, b"end\nnext\n", &mut log);
        assert_eq!(lines, ["begin [70003 bytes dropped]", "next"]);
        assert_eq!(output.dropped(), 70_003);
    }
}

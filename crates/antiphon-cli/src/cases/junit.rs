//! The report that build servers read.

use std::fmt::Write;

use super::file::Case;
use super::run::Ran;

/// Returns the outcomes of all cases in JUnit's XML format.
pub(crate) fn junit_report(suite: &str, ran: &[(usize, &Case, Ran)]) -> String {
    let failures = ran.iter().filter(|(_, _, ran)| ran.difference.is_some()).count();
    let time: f64 = ran.iter().map(|(_, _, ran)| ran.time.as_secs_f64()).sum();
    let suite = escape(suite);
    let counts = format!("tests=\"{}\" failures=\"{failures}\" time=\"{time:.6}\"", ran.len());
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite name=\"{suite}\" {counts}>\n"
    );
    for (_, case, ran) in ran {
        let (name, time) = (escape(case.name()), ran.time.as_secs_f64());
        // Writing to a `String` cannot fail.
        let _ = write!(out, "    <testcase classname=\"{suite}\" name=\"{name}\" time=\"{time:.6}\"");
        if ran.difference.is_none() && ran.notes.is_empty() {
            out.push_str("/>\n");
            continue;
        }
        out.push_str(">\n");
        if let Some(difference) = &ran.difference {
            let difference = escape(difference);
            let _ = writeln!(out, "      <failure message=\"not as expected\">{difference}</failure>");
        }
        if !ran.notes.is_empty() {
            let _ = writeln!(out, "      <system-out>{}</system-out>", escape(&ran.notes.join("\n")));
        }
        out.push_str("    </testcase>\n");
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// Escapes text for XML. A character that XML forbids even when escaped becomes a replacement
/// character.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => {
                // As a reference, because a parser turns a plain line break or tab in an attribute
                // into a space.
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_guest_leaves_its_place_in_the_document() {
        assert_eq!(escape("a<b>&\"\n\u{1b}[0m"), "a&lt;b&gt;&amp;&quot;&#10;\u{fffd}[0m");
    }
}

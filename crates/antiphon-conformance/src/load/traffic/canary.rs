//! Bytes that identify the call that they belong to.

/// Which of a call's texts it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// What the caller sends.
    Request = b'q' as isize,
    /// What the host's handler answers.
    Answer = b'a' as isize,
}

/// The mark of one call: `@` and sixteen hexadecimal digits. A call's operation is the letter of
/// its kind and the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Canary(pub(crate) u64);

impl Canary {
    pub(crate) const MARK: usize = 17;

    fn digits(self) -> String {
        format!("{:016x}", self.0)
    }

    fn mark(self) -> String {
        format!("@{}", self.digits())
    }

    pub(crate) fn operation(self, letter: char) -> String {
        format!("{letter}{}", self.mark())
    }

    /// Returns the canary of the call with this operation.
    pub(crate) fn of_operation(operation: &str) -> Option<Self> {
        let mark = operation.get(1..).filter(|mark| mark.len() == Self::MARK)?;
        u64::from_str_radix(mark.strip_prefix('@')?, 16).ok().map(Self)
    }

    /// Returns one of the call's texts: the mark repeated, so that every piece of 35 bytes contains
    /// it.
    pub(crate) fn text(self, which: Text) -> Vec<u8> {
        let length = 20 + (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % 1_400;
        let mut text = format!("{}{}", self.mark(), which as u8 as char).into_bytes();
        while text.len() < length {
            text.extend_from_within(..text.len().min(length - text.len()));
        }
        text
    }

    /// Returns whether a text has no mark of another call.
    pub(crate) fn is_alone_in(self, text: &str) -> bool {
        let own = self.digits();
        text.split('@').skip(1).all(|rest| {
            // The text may have been cut within a mark.
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len();
            digits < own.len() || rest.starts_with(&own)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_mark_is_found_anywhere() {
        let (own, other) = (Canary(0xab), Canary(0xac));
        let text = |canary: Canary| String::from_utf8(canary.text(Text::Request)).unwrap();
        assert!(own.is_alone_in(&text(own)) && !other.is_alone_in(&text(own)));
        assert!(!own.is_alone_in(&format!("{} and {}", text(own), text(other).split_at(18).0)));
        assert!(own.is_alone_in("nothing @ all, mail me@abc.de"));
        assert_eq!(Canary::of_operation(&own.operation('e')), Some(own));
        assert_eq!(Canary::of_operation("e@ab"), None);
        assert_ne!(own.text(Text::Request), own.text(Text::Answer));
    }
}

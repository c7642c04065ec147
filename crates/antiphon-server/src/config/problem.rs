//! What is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// All that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problems {
    /// The problems, at least one, in the order of their sources.
    pub problems: Vec<Problem>,
}

/// Something that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// What is wrong, and what was expected.
    pub message: String,
    /// The file, the environment variable or the option that it stands in.
    pub source: String,
    /// Where in the file.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// The nearest key or word that would be right.
    pub nearest: Option<String>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The text of the line.
    #[serde(skip)]
    pub text: String,
    /// How many characters are meant.
    #[serde(skip)]
    pub width: usize,
}

impl Place {
    /// Returns the place of a span of bytes in a text.
    pub(crate) fn of(text: &str, span: &Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
        let rest = text.get(start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let column = before.get(start..).unwrap_or_default().chars().count();
        // A span of several lines is shown by its first one.
        let meant = text.get(span.clone()).unwrap_or_default();
        let meant = meant.lines().next().unwrap_or_default().chars().count().max(1);
        Self {
            line: before.matches('\n').count().saturating_add(1),
            column: column.saturating_add(1),
            text: line.to_owned(),
            width: meant,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean `{nearest}`?")?;
        }
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            let margin = " ".repeat(number.len());
            // Tabs stay tabs, so that the caret stands below what is meant.
            let blank: String = place
                .text
                .chars()
                .take(place.column.saturating_sub(1))
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect();
            let carets = "^".repeat(place.width);
            write!(f, "\n{margin} |\n{number} | {}\n{margin} | {blank}{carets}", place.text)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Returns the word that is nearest to what was written, if one is near.
pub(crate) fn nearest<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |word: &&str| strsim::damerau_levenshtein(written, word);
    let word = words.into_iter().min_by_key(distance)?;
    // A third of the letters may differ.
    let most = written.chars().count().max(3) / 3;
    (distance(&word) <= most).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_characters_from_one() {
        let text = "a = 1\n\tö = 'x'\n";
        let span = text.find('\'').unwrap()..text.len() - 1;
        let place = Place::of(text, &span);
        assert_eq!((place.line, place.column, place.width), (2, 6, 3));
        assert_eq!(place.text, "\tö = 'x'");
        assert_eq!(Place::of("", &(0..0)), Place { line: 1, column: 1, text: String::new(), width: 1 });
        assert_eq!(Place::of("a\n", &(2..2)).line, 2);
    }

    #[test]
    fn a_problem_shows_its_line_with_a_caret() {
        let problem = Problem {
            message: "unknown key `listn`".into(),
            source: "antiphon.toml".into(),
            place: Some(Place::of("[http]\nlistn = 1\n", &(7..12))),
            nearest: Some("listen".into()),
        };
        assert_eq!(
            problem.to_string(),
            "antiphon.toml:2:1: unknown key `listn`; did you mean `listen`?\n  |\n2 | listn = 1\n  | ^^^^^"
        );
    }

    #[test]
    fn a_word_is_near_if_most_of_its_letters_are_right() {
        assert_eq!(nearest("listn", ["admin", "listen"]), Some("listen"));
        assert_eq!(nearest("idel_timeout", ["idle_timeout", "header_timeout"]), Some("idle_timeout"));
        assert_eq!(nearest("x", ["listen"]), None);
        assert_eq!(nearest("colour", ["listen", "body"]), None);
    }
}

//! Revisions as entity tags: a write names the revision that its operator has seen.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::outcome::Refusal;

/// Returns the entity tag of a revision.
pub(super) fn of(revision: u64) -> HeaderValue {
    // Digits in quotes are a value.
    HeaderValue::try_from(format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static(""))
}

/// Returns the revision that a write expects: that of `If-Match`; `None` for `If-Match: *`, which
/// takes any; 0 for `If-None-Match: *`, which creates.
///
/// # Errors
/// Neither header is there, or it is no single entity tag.
pub(super) fn expected(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    match (one(headers, header::IF_MATCH)?, one(headers, header::IF_NONE_MATCH)?) {
        (None, None) => Err(Refusal::RevisionMissing),
        (Some("*"), None) => Ok(None),
        (Some(tag), None) => {
            // A tag of another form, a weak one too, is no revision of ours, so it matches none.
            let revision = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            match revision.map(str::parse::<u64>) {
                Some(Ok(revision)) if revision > 0 => Ok(Some(revision)),
                Some(_) => Ok(Some(u64::MAX)),
                None if tag.starts_with("W/\"") => Ok(Some(u64::MAX)),
                None => Err(Refusal::BadHeader("If-Match", "is no entity tag, as in `\"7\"`".into())),
            }
        }
        (None, Some("*")) => Ok(Some(0)),
        (None, Some(_)) => Err(Refusal::BadHeader("If-None-Match", "has to be `*`, to create".into())),
        (Some(_), Some(_)) => Err(Refusal::BadHeader("If-None-Match", "cannot stand beside If-Match".into())),
    }
}

fn one(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Refusal> {
    let shown = if name == header::IF_MATCH { "If-Match" } else { "If-None-Match" };
    let wrong = |text: &'static str| Refusal::BadHeader(shown, text.into());
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let value = value.to_str().map_err(|_| wrong("has bytes that are not visible ASCII"))?.trim();
            if value.contains(',') { Err(wrong("names more than one revision")) } else { Ok(Some(value)) }
        }
        (Some(_), Some(_)) => Err(wrong("stands there twice")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(list: &[(HeaderName, &str)]) -> Result<Option<u64>, Refusal> {
        expected(&list.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect())
    }

    #[test]
    fn a_write_names_the_revision_that_it_expects() {
        assert_eq!(expect(&[(header::IF_MATCH, "\"7\"")]), Ok(Some(7)));
        assert_eq!(expect(&[(header::IF_MATCH, "*")]), Ok(None));
        assert_eq!(expect(&[(header::IF_NONE_MATCH, "*")]), Ok(Some(0)));
        assert_eq!(expect(&[]), Err(Refusal::RevisionMissing));
        // Tags that this server never gave match no revision.
        for tag in ["\"x\"", "W/\"7\"", "\"0\"", "\"-1\"", "\"99999999999999999999999\""] {
            assert_eq!(expect(&[(header::IF_MATCH, tag)]), Ok(Some(u64::MAX)), "{tag}");
        }
        for wrong in [
            &[(header::IF_MATCH, "7")][..],
            &[(header::IF_MATCH, "")],
            &[(header::IF_MATCH, "\"7\", \"8\"")],
            &[(header::IF_MATCH, "\"7\""), (header::IF_MATCH, "\"7\"")],
            &[(header::IF_NONE_MATCH, "\"7\"")],
            &[(header::IF_MATCH, "\"7\""), (header::IF_NONE_MATCH, "*")],
        ] {
            assert!(matches!(expect(wrong), Err(Refusal::BadHeader(..))), "{wrong:?}");
        }
        assert_eq!(of(7), "\"7\"");
    }
}

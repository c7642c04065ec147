//! Parses the attribute's argument.

use proc_macro::{Literal, Span, TokenStream, TokenTree};

use crate::Refusal;

/// The valid forms of the argument.
const EXPECTED: &str = "expected nothing, or `name = \"...\"`";

/// Parses nothing, or `name = "..."`.
pub(crate) fn parse(arguments: TokenStream) -> Result<Option<Literal>, Refusal> {
    let mut tokens = arguments.into_iter();
    let Some(first) = tokens.next() else { return Ok(None) };
    let refuse = |span: Span| Err(Refusal::new(span, EXPECTED));
    match &first {
        TokenTree::Ident(ident) if ident.to_string() == "name" => {}
        other => return refuse(other.span()),
    }
    match tokens.next() {
        Some(TokenTree::Punct(punct)) if punct.as_char() == '=' => {}
        other => return refuse(other.map_or(first.span(), |token| token.span())),
    }
    let name = match tokens.next() {
        Some(TokenTree::Literal(literal)) if is_string(&literal) => literal,
        other => return refuse(other.map_or(first.span(), |token| token.span())),
    };
    match tokens.next() {
        None => Ok(Some(name)),
        Some(extra) => refuse(extra.span()),
    }
}

/// Returns whether a literal is a string, plain or raw.
fn is_string(literal: &Literal) -> bool {
    let text = literal.to_string();
    text.starts_with('"') || text.starts_with("r\"") || text.starts_with("r#")
}

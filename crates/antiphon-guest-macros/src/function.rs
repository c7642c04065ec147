//! Parses the function under the attribute: as much of Rust's grammar as the attribute needs.

use std::iter::Peekable;

use proc_macro::token_stream::IntoIter;
use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::Refusal;

/// A function that can become an operation.
pub(crate) struct Function {
    /// Its `#[cfg(...)]` attributes, which the generated items get too.
    pub(crate) conditions: TokenStream,
    /// `pub`, `pub(crate)`, or nothing.
    pub(crate) visibility: TokenStream,
    pub(crate) name: Ident,
    /// Whether it takes the payload; otherwise it has no parameter.
    pub(crate) has_parameter: bool,
}

impl Function {
    /// Parses an item, and refuses one that cannot become an operation.
    pub(crate) fn parse(item: TokenStream) -> Result<Self, Refusal> {
        let mut tokens = item.into_iter().peekable();
        let conditions = conditions(&mut tokens);
        let visibility = visibility(&mut tokens);
        let name = name(&mut tokens)?;
        lifetimes_only(&mut tokens)?;
        let parameters = match tokens.next() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => group,
            _ => return Err(Refusal::new(name.span(), "expected a function")),
        };
        Ok(Self { conditions, visibility, has_parameter: has_parameter(&parameters)?, name })
    }
}

type Tokens = Peekable<IntoIter>;

fn is_punct(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// Skips attributes, including doc comments, and keeps each `#[cfg(...)]`.
fn conditions(tokens: &mut Tokens) -> TokenStream {
    let mut out = TokenStream::new();
    while is_punct(tokens.peek(), '#') {
        let attribute = [tokens.next(), tokens.next()].into_iter().flatten();
        let attribute: Vec<TokenTree> = attribute.collect();
        if let Some(TokenTree::Group(group)) = attribute.last()
            && matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(ident)) if ident.to_string() == "cfg")
        {
            out.extend(attribute);
        }
    }
    out
}

fn visibility(tokens: &mut Tokens) -> TokenStream {
    let mut out = TokenStream::new();
    if matches!(tokens.peek(), Some(TokenTree::Ident(ident)) if ident.to_string() == "pub") {
        out.extend(tokens.next());
        if matches!(tokens.peek(), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis)
        {
            out.extend(tokens.next());
        }
    }
    out
}

/// Reads up to the name, through `fn` and the keywords before it.
fn name(tokens: &mut Tokens) -> Result<Ident, Refusal> {
    const EXPECTED: &str = "an operation is a function: `fn name(payload: &[u8]) -> Vec<u8>`";
    loop {
        let Some(token) = tokens.next() else { return Err(Refusal::new(Span::call_site(), EXPECTED)) };
        let TokenTree::Ident(keyword) = &token else { return Err(Refusal::new(token.span(), EXPECTED)) };
        let refuse = |why: &str| Err(Refusal::new(keyword.span(), why));
        match keyword.to_string().as_str() {
            "const" => {}
            "async" => return refuse("an operation cannot be async: a guest answers before it returns"),
            "unsafe" => return refuse("an operation cannot be unsafe: its payload is whatever a host sends"),
            "extern" => {
                return refuse("an operation needs no `extern`: antiphon-guest exports what the host calls");
            }
            "fn" => break,
            _ => return refuse(EXPECTED),
        }
    }
    match tokens.next() {
        Some(TokenTree::Ident(name)) => Ok(name),
        _ => Err(Refusal::new(Span::call_site(), EXPECTED)),
    }
}

/// Skips `<'a, 'b>`. Type parameters are refused, because a host cannot choose a type.
fn lifetimes_only(tokens: &mut Tokens) -> Result<(), Refusal> {
    if !is_punct(tokens.peek(), '<') {
        return Ok(());
    }
    tokens.next();
    let mut after_quote = false;
    for token in tokens.by_ref() {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == '>' => return Ok(()),
            TokenTree::Punct(punct) => after_quote = punct.as_char() == '\'',
            other if !after_quote => {
                return Err(Refusal::new(
                    other.span(),
                    "an operation has no type parameters: it has one type of payload",
                ));
            }
            _ => after_quote = false,
        }
    }
    Ok(())
}

/// Returns whether there is one parameter or none; anything else is refused.
fn has_parameter(parameters: &Group) -> Result<bool, Refusal> {
    let mut tokens = parameters.stream().into_iter().peekable();
    // A parameter may have attributes, which are left to the compiler.
    let _ = conditions(&mut tokens);
    let mut angles = 0_usize;
    let mut any = false;
    while let Some(token) = tokens.next() {
        any = true;
        match &token {
            TokenTree::Ident(ident) if ident.to_string() == "self" => {
                return Err(Refusal::new(ident.span(), "an operation is a free function, not a method"));
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                // The arrow of a function type is no closing bracket.
                '-' if is_punct(tokens.peek(), '>') => drop(tokens.next()),
                '<' => angles += 1,
                '>' => angles = angles.saturating_sub(1),
                ',' if angles == 0 => {
                    if let Some(second) = tokens.next() {
                        return Err(Refusal::new(
                            second.span(),
                            "an operation takes one parameter, the payload: several values go into one type, as in \
                             `Json((a, b)): Json<(u32, u32)>`",
                        ));
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }
    Ok(any)
}

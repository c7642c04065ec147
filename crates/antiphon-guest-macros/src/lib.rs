#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod function;
mod name;

use proc_macro::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

use function::Function;

/// Turns a function into an operation with the function's name, or with another one.
///
/// ```ignore
/// #[operation]
/// fn greet(name: &str) -> String {
///     format!("hello, {name}")
/// }
///
/// #[operation(name = "math/add")]
/// fn add(Json((a, b)): Json<(u32, u32)>) -> Result<Json<u32>, &'static str> {
///     a.checked_add(b).map(Json).ok_or("too large")
/// }
/// ```
///
/// The function itself stays as it is and can be called. It takes no parameter, or one whose type
/// implements `FromRequest`, and returns a type that implements `IntoResponse`. The attribute adds
/// a type with the function's name and visibility that implements `Operation`; `operations!` takes
/// it by the function's path.
#[proc_macro_attribute]
pub fn operation(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let adapter = name::parse(arguments).and_then(|name| {
        let function = Function::parse(item.clone())?;
        Ok(adapter(&function, name))
    });
    // The function is always kept, so that a mistake causes one error and not several.
    let mut out = item;
    out.extend(adapter.unwrap_or_else(Refusal::into_compile_error));
    out
}

/// Generates the type for the operation, with its implementation.
fn adapter(function: &Function, name: Option<Literal>) -> TokenStream {
    let ident = function.name.to_string();
    let name = name.unwrap_or_else(|| Literal::string(ident.trim_start_matches("r#")));
    let run = if function.has_parameter {
        "match ::antiphon_guest::FromRequest::from_request(payload) {
            ::core::result::Result::Ok(request) => ::antiphon_guest::IntoResponse::respond(FUNCTION(request)),
            ::core::result::Result::Err(error) => ::antiphon_guest::Answered::failure(&error),
        }"
    } else {
        "{ let _ = payload; ::antiphon_guest::IntoResponse::respond(FUNCTION()) }"
    };
    let template = format!(
        "CONDITIONS
        #[doc = \"The operation of the function of the same name.\"]
        #[allow(non_camel_case_types, missing_docs, dead_code)]
        VISIBILITY enum FUNCTION {{}}
        CONDITIONS
        impl ::antiphon_guest::Operation for FUNCTION {{
            const NAME: &'static str = NAME_TEXT;
            #[inline]
            fn run(payload: &[u8]) -> ::antiphon_guest::Answered {{ {run} }}
        }}"
    );
    let Ok(template) = template.parse::<TokenStream>() else {
        return Refusal::new(function.name.span(), "this is a bug of antiphon-guest: the adapter is no Rust")
            .into_compile_error();
    };
    fill(template, function, &name)
}

/// Replaces the placeholders of the template by tokens of the source, so that the compiler's
/// messages point to the source.
fn fill(template: TokenStream, function: &Function, name: &Literal) -> TokenStream {
    let mut out = TokenStream::new();
    for token in template {
        match token {
            TokenTree::Ident(ident) => match ident.to_string().as_str() {
                "CONDITIONS" => out.extend(function.conditions.clone()),
                "VISIBILITY" => out.extend(function.visibility.clone()),
                "FUNCTION" => out.extend([TokenTree::Ident(function.name.clone())]),
                "NAME_TEXT" => out.extend([TokenTree::Literal(name.clone())]),
                _ => out.extend([TokenTree::Ident(ident)]),
            },
            TokenTree::Group(group) => {
                let mut filled = Group::new(group.delimiter(), fill(group.stream(), function, name));
                filled.set_span(group.span());
                out.extend([TokenTree::Group(filled)]);
            }
            other => out.extend([other]),
        }
    }
    out
}

/// Why a function cannot become an operation, and where.
struct Refusal {
    span: Span,
    message: String,
}

impl Refusal {
    fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }

    /// Expands to `compile_error!("...");` at the place of the mistake.
    fn into_compile_error(self) -> TokenStream {
        let mut text = Literal::string(&self.message);
        text.set_span(self.span);
        let mut arguments = Group::new(Delimiter::Parenthesis, TokenTree::Literal(text).into());
        arguments.set_span(self.span);
        let punct = |mark| {
            let mut punct = Punct::new(mark, Spacing::Alone);
            punct.set_span(self.span);
            TokenTree::Punct(punct)
        };
        [
            TokenTree::Ident(Ident::new("compile_error", self.span)),
            punct('!'),
            TokenTree::Group(arguments),
            punct(';'),
        ]
        .into_iter()
        .collect()
    }
}

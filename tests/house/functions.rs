//! No function is longer than a screen.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::source::{files_below, is_ident, read, root};

/// The most lines of a function, from `fn` to its closing brace.
const MOST_LINES: usize = 80;

#[test]
fn no_function_is_longer_than_a_screen() {
    let mut found = Vec::new();
    for path in ["src", "crates/embedded/src", "crates/client/src", "crates/image/src"]
        .iter()
        .flat_map(|of| files_below(&root().join(of)))
    {
        for (name, line, length) in long(&read(&path)) {
            let path = path.strip_prefix(root()).expect("it is below the root").display();
            found.push(format!("{path}:{line}: fn {name} has {length} lines"));
        }
    }
    assert!(found.is_empty(), "at most {MOST_LINES} lines; take out what has a name of its own:\n{}", found.join("\n"));
}

#[test]
fn a_planted_long_function_is_found() {
    let long_one = format!("impl X {{\n fn short() {{}}\n fn long() {{\n{}}}\n}}", "  f();\n".repeat(MOST_LINES));
    assert_eq!(long(&long_one), [("long".to_owned(), 3, MOST_LINES + 2)]);
}

/// Name, line and length of each function that is too long.
fn long(text: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    walk(text.parse().expect("it is Rust"), &mut found);
    found
}

fn walk(tokens: TokenStream, found: &mut Vec<(String, usize, usize)>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        if let TokenTree::Group(group) = token {
            walk(group.stream(), found);
        }
        let [fn_, TokenTree::Ident(name), rest @ ..] = &tokens[at..] else { continue };
        let body = rest.iter().find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
            _ => None,
        });
        if let Some(body) = body.filter(|_| is_ident(fn_, "fn")) {
            let line = fn_.span().start().line;
            let length = body.span_close().end().line - line + 1;
            if length > MOST_LINES {
                found.push((name.to_string(), line, length));
            }
        }
    }
}

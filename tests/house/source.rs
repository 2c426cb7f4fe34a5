//! Sources as tokens: which paths they use, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

#[derive(Debug)]
pub struct Violation {
    pub path: PathBuf,
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}

pub fn lines(found: &[Violation]) -> String {
    found.iter().map(|v| format!("  {v}\n")).collect()
}

pub struct Source {
    pub path: PathBuf,
    pub text: String,
}
/// Returns every path in the source with two parts or more, and single names in `use` and `extern crate`. Groups are
/// taken apart, `self` and `super` are resolved, and comments and strings are skipped.
pub fn paths(source: &Source) -> Vec<Violation> {
    let tokens: TokenStream =
        source.text.parse().unwrap_or_else(|e| panic!("{}: not Rust: {e}", source.path.display()));
    let mut module: Vec<String> =
        source.path.with_extension("").iter().skip(1).map(|p| p.to_string_lossy().into()).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    let mut found = Vec::new();
    walk(tokens, &module, &mut found);
    found.into_iter().map(|(line, what)| Violation { path: source.path.clone(), line, what }).collect()
}

fn walk(tokens: TokenStream, module: &[String], found: &mut Vec<(usize, String)>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut i = 0;
    while i < tokens.len() {
        let keyword = match &tokens[i] {
            TokenTree::Ident(ident) => ident.to_string(),
            TokenTree::Group(group) => {
                walk(group.stream(), module, found);
                i += 1;
                continue;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {
                i += 1;
                continue;
            }
        };
        let after_dot = i > 0 && is_punct(&tokens[i - 1], '.') && !(i > 1 && is_punct(&tokens[i - 2], '.'));
        match (keyword.as_str(), &tokens[i + 1..]) {
            ("use", rest) => {
                let end = rest.iter().position(|t| is_punct(t, ';')).unwrap_or(rest.len());
                use_tree(&rest[..end], &[], module, found);
                i += 1 + end;
            }
            ("crate", [TokenTree::Ident(name), ..]) if i > 0 && is_ident(&tokens[i - 1], "extern") => {
                found.push((name.span().start().line, name.to_string()));
                i += 2;
            }
            ("mod", [TokenTree::Ident(name), TokenTree::Group(body), ..]) => {
                let inner: Vec<_> = module.iter().cloned().chain([name.to_string()]).collect();
                walk(body.stream(), &inner, found);
                i += 3;
            }
            _ if after_dot => i += 1,
            _ => {
                let mut parts = vec![(tokens[i].span().start().line, keyword)];
                i += 1;
                while let Some([a, b, TokenTree::Ident(next)]) = tokens.get(i..i + 3)
                    && is_punct(a, ':')
                    && is_punct(b, ':')
                {
                    parts.push((next.span().start().line, next.to_string()));
                    i += 3;
                }
                if parts.len() > 1 {
                    keep(&parts, module, found);
                }
            }
        }
    }
}

fn use_tree(tokens: &[TokenTree], before: &[(usize, String)], module: &[String], found: &mut Vec<(usize, String)>) {
    for tree in tokens.split(|t| is_punct(t, ',')).filter(|tree| !tree.is_empty()) {
        let mut parts = before.to_vec();
        for token in tree {
            match token {
                TokenTree::Ident(ident) if ident == "as" => break,
                TokenTree::Ident(ident) => parts.push((ident.span().start().line, ident.to_string())),
                TokenTree::Punct(star) if star.as_char() == '*' => parts.push((star.span().start().line, "*".into())),
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inside: Vec<_> = group.stream().into_iter().collect();
                    use_tree(&inside, &parts, module, found);
                    parts.clear();
                }
                TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
        if parts.len() > 1 && parts.last().is_some_and(|(_, name)| name == "self") {
            parts.pop();
        }
        if !parts.is_empty() {
            keep(&parts, module, found);
        }
    }
}

/// Records the line of the last part: if a group spans several lines, that is the one to change.
fn keep(parts: &[(usize, String)], module: &[String], found: &mut Vec<(usize, String)>) {
    let line = parts[parts.len() - 1].0;
    let names: Vec<_> = parts.iter().map(|(_, name)| name.trim_start_matches("r#").to_owned()).collect();
    let up = names.iter().skip(usize::from(names[0] == "self")).take_while(|name| *name == "super").count();
    let relative = usize::from(names[0] == "self") + up;
    let whole = if relative == 0 {
        names
    } else {
        let kept = &module[..module.len().saturating_sub(up)];
        ["crate".to_owned()].into_iter().chain(kept.iter().cloned()).chain(names[relative..].iter().cloned()).collect()
    };
    found.push((line, whole.join("::")));
}

pub fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == c)
}

pub fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// `src/domain/license/mode.rs` is in `domain`, and so is `src/domain.rs`.
pub fn folder(path: &Path) -> String {
    path.with_extension("").iter().nth(1).unwrap_or_default().to_string_lossy().into_owned()
}

/// The sources of one folder of `src`.
pub fn sources(of: &str) -> Vec<Source> {
    let relative = |path: PathBuf| path.strip_prefix(root()).expect("it is below the root").to_owned();
    let found = files_below(&root().join("src")).into_iter().map(relative).filter(|path| folder(path) == of);
    found.map(|path| Source { text: read(&root().join(&path)), path }).collect()
}

/// Every Rust file below a folder, by path.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("sources can be read").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

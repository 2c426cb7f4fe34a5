//! How CEL spells the names of fields that are not identifiers in CEL (`k8s.io/apiserver/pkg/cel/escaping.go`).

use std::borrow::Cow;

/// Words that CEL reserves: the field `true` is spelled `__true__`.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

const SIGNS: [(&str, &str); 4] = [("__", "underscores"), (".", "dot"), ("-", "dash"), ("/", "slash")];

/// Returns the name of a field as CEL spells it. A name that CEL cannot spell is returned unchanged; no expression can
/// refer to it.
pub fn escaped(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        match SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
            Some((sign, word)) => {
                out.push_str(&format!("__{word}__"));
                rest = &rest[sign.len()..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// Returns the name of the field that an identifier of CEL stands for.
pub fn unescaped(name: &str) -> Cow<'_, str> {
    if !name.contains("__") {
        return Cow::Borrowed(name);
    }
    if let Some(word) = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"))
        && RESERVED.contains(&word)
    {
        return Cow::Borrowed(word);
    }
    let mut out = name.to_owned();
    for (sign, word) in SIGNS.iter().rev() {
        out = out.replace(&format!("__{word}__"), sign);
    }
    Cow::Owned(out)
}

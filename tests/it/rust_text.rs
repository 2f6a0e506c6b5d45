//! Reads out of Rust source text which paths it names, as far as the layering test needs to know.
//!
//! In: a file's text. Out: every path in it, with `use` trees multiplied out. Comments, strings and
//! characters are not code; macros are taken for what their tokens look like.

/// A path as the code writes it: `a::b::{c, d::*}` is `a::b::c` and `a::b::d`.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct UsedPath {
    /// Its names, keywords among them.
    pub(crate) parts: Vec<String>,
    /// How many inline modules it stands in.
    pub(crate) nested: usize,
}

/// Every path in a file, single names among them.
pub(crate) fn paths(text: &str) -> Vec<UsedPath> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    // For each open brace, whether it opens a module.
    let mut braces = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if is_name(token) {
            let mut trees = Vec::new();
            at = read_tree(&tokens, at, &[], &mut trees);
            let nested = braces.iter().filter(|is_module| **is_module).count();
            found.extend(trees.into_iter().map(|parts| UsedPath { parts, nested }));
            continue;
        }
        match token.as_str() {
            "{" => braces.push(at >= 2 && tokens[at - 2] == "mod"),
            "}" => drop(braces.pop()),
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads one path, or one tree of a `use`, below `prefix`; gives the place after it.
fn read_tree(
    tokens: &[String],
    mut at: usize,
    prefix: &[String],
    out: &mut Vec<Vec<String>>,
) -> usize {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut parts = prefix.to_vec();
    loop {
        if token(at) == "{" {
            at += 1;
            while at < tokens.len() && token(at) != "}" {
                // Past commas, and the new names after `as`.
                let starts = is_name(token(at)) && token(at - 1) != "as" && token(at) != "as";
                at = if starts { read_tree(tokens, at, &parts, out) } else { at + 1 };
            }
            return at + 1;
        }
        if token(at) == "*" {
            out.push(parts);
            return at + 1;
        }
        parts.push(token(at).to_owned());
        at += 1;
        let goes_on = token(at) == "::" && (is_name(token(at + 1)) || "{*".contains(token(at + 1)));
        if !goes_on {
            out.push(parts);
            return at;
        }
        at += 1;
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Names, `::`, and every other sign by itself.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(length) = not_code(rest) {
            length
        } else if is_name(rest) {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        if not_code(rest).is_none() && !first.is_whitespace() {
            tokens.push(token.to_owned());
        }
        rest = after;
    }
    tokens
}

/// How long the comment, string, character or lifetime is that begins here.
fn not_code(text: &str) -> Option<usize> {
    let to = |end: &str| text.find(end).map_or(text.len(), |place| place + end.len());
    if text.starts_with("//") {
        return Some(to("\n"));
    }
    if text.starts_with("/*") {
        return Some(to("*/"));
    }
    let unprefixed = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - unprefixed.len();
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let hashes: String = raw.chars().take_while(|c| *c == '#').collect();
        if let Some(inside) = raw.strip_prefix(hashes.as_str())?.strip_prefix('"') {
            let end = inside.find(&format!("\"{hashes}")).unwrap_or(inside.len());
            return Some(prefix + 1 + hashes.len() + 1 + end + 1 + hashes.len());
        }
    }
    match unprefixed.chars().next() {
        Some('"') => Some(prefix + quoted(unprefixed, '"')),
        Some('\'') => {
            let mut inside = unprefixed.chars().skip(1);
            let is_char = inside.next() == Some('\\') || inside.next() == Some('\'');
            Some(prefix + if is_char { quoted(unprefixed, '\'') } else { 1 })
        }
        _ => None,
    }
}

/// How long a quoted text is that begins with its quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (place, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return place + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn trees_are_multiplied_out() {
    let parts = |text| paths(text).into_iter().map(|p| p.parts.join("::")).collect::<Vec<_>>();
    assert_eq!(
        parts("use a::{b::{c, d as e}, f::*, self};"),
        ["use", "a::b::c", "a::b::d", "a::f", "a::self"]
    );
    assert_eq!(
        parts("x.y::<T>() /* a */ // b\n 'c' \"d\\\"\" r#\"e\"# b\"f\" 'g, '\\''"),
        ["x", "y", "T", "g"]
    );
    assert_eq!(parts("fn lines(b: &str, c: r, \"\")"), ["fn", "lines", "b", "str", "c", "r"]);
}

//! How matchers are written: the tokens of Alertmanager's UTF-8 form, and its grammar.
//!
//! 1. Names and values are bare, or in double quotes with Go's escapes. A bare one ends at white
//!    space and at any of ``{}!=~,\"'` ``.
//! 2. Matchers are separated by commas; one comma may follow the last.
//! 3. Braces around them all may be left out, both or none.

use std::fmt::{self, Write as _};

use super::matcher::{Matcher, Op};

/// Whether a bare name or value ends here.
pub(super) fn reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

/// Writes text in double quotes, so that it reads back.
pub(super) fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// Reads matchers from left to right.
pub(super) struct Lexer<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, rest: text }
    }

    /// The whole text.
    pub(super) fn matchers(mut self) -> Result<Vec<Matcher>, String> {
        let braces = self.eat("{");
        let mut matchers = Vec::new();
        loop {
            self.skip_space();
            if self.rest.is_empty() || self.rest.starts_with('}') {
                break;
            }
            matchers.push(self.matcher()?);
            if !self.eat(",") {
                break;
            }
        }
        if braces && !self.eat("}") {
            return Err(self.wrong("expected `,` or the closing `}`"));
        }
        self.skip_space();
        match (self.rest.is_empty(), braces) {
            (true, _) => Ok(matchers),
            (false, true) => Err(self.wrong("expected nothing after the closing `}`")),
            (false, false) => Err(self.wrong("expected `,` or the end")),
        }
    }

    fn matcher(&mut self) -> Result<Matcher, String> {
        let name = self.word("a label name")?;
        if name.is_empty() {
            return Err(self.wrong("a label name may not be empty"));
        }
        let op = self.op()?;
        let value = self.word("a value (\"\" for the empty one)")?;
        Matcher::new(name, op, value).map_err(|why| format!("{:?}: {why}", self.text))
    }

    fn op(&mut self) -> Result<Op, String> {
        [Op::Like, Op::NotLike, Op::NotEqual, Op::Equal]
            .into_iter()
            .find(|op| self.eat(op.symbol()))
            .ok_or_else(|| self.wrong("expected one of `=`, `!=`, `=~`, `!~`"))
    }

    fn word(&mut self, what: &str) -> Result<String, String> {
        self.skip_space();
        if let Some(quoted) = self.rest.strip_prefix('"') {
            let (word, rest) = unquote(quoted).map_err(|why| self.wrong(why))?;
            self.rest = rest;
            return Ok(word);
        }
        let end = self.rest.find(reserved).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(self.wrong(&format!("expected {what}")));
        }
        self.rest = rest;
        Ok(word.to_owned())
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn wrong(&self, what: &str) -> String {
        let place = self.text.chars().count() - self.rest.chars().count() + 1;
        match self.rest.chars().next() {
            Some(found) => format!("{:?}: {what} at character {place}, found `{found}`", self.text),
            None => format!("{:?}: {what} after its last character", self.text),
        }
    }
}

/// The text up to the closing quote, escapes resolved as Go's `strconv.Unquote` does, and what
/// follows it.
fn unquote(quoted: &str) -> Result<(String, &str), &'static str> {
    // Bytes, because `\xc3\xa4` is one character written as two escapes.
    let mut bytes = Vec::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next().ok_or("the quote is not closed")? {
            '"' => break,
            '\n' => return Err("a line ends within quotes (write `\\n`)"),
            '\\' => escape(&mut chars, &mut bytes).ok_or("the quote holds an unknown escape")?,
            c => push_char(&mut bytes, c),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_not_utf8| "the quote does not hold UTF-8")?;
    Ok((text, chars.as_str()))
}

fn escape(chars: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    let first = chars.next()?;
    let byte = match first {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        'x' => u8::try_from(number(chars, 2, 16)?).ok()?,
        'u' | 'U' => {
            let digits = if first == 'u' { 4 } else { 8 };
            push_char(bytes, char::from_u32(number(chars, digits, 16)?)?);
            return Some(());
        }
        '0'..='7' => {
            let high = first.to_digit(8)?;
            u8::try_from(high * 64 + number(chars, 2, 8)?).ok()?
        }
        _ => return None,
    };
    bytes.push(byte);
    Some(())
}

fn number(chars: &mut std::str::Chars<'_>, digits: usize, radix: u32) -> Option<u32> {
    let mut value: u32 = 0;
    for _ in 0..digits {
        value = value.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?)?;
    }
    Some(value)
}

fn push_char(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

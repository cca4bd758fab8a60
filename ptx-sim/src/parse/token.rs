//! PTX text to tokens.

use super::ParseError;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    /// An identifier, directive, opcode or number, with its dots: `ld.global.f32`, `%tid.x`, `0f3F800000`.
    Word(&'a str),
    /// A string in quotes, of a directive.
    Text,
    Mark(char),
    End,
}

/// Tokens with their lines, ended by [`Token::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token<'_>, u32)>, ParseError> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (token, len) = match first {
            '\n' => {
                line += 1;
                (None, 1)
            }
            c if c.is_whitespace() => (None, c.len_utf8()),
            '/' if rest.starts_with("//") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (None, closed(rest, 2, "*/").ok_or_else(|| unclosed(line, "comment"))?),
            '"' => (Some(Token::Text), closed(rest, 1, "\"").ok_or_else(|| unclosed(line, "string"))?),
            c if in_word(c) => {
                let len = word_len(rest);
                (Some(Token::Word(&rest[..len])), len)
            }
            c if "{}[]()<>,;:@!|+-=*".contains(c) => (Some(Token::Mark(c)), 1),
            c => return Err(ParseError::new(line, format!("unexpected character `{c}`"))),
        };
        found.extend(token.map(|token| (token, line)));
        if first != '\n' {
            line += rest[..len].matches('\n').count() as u32;
        }
        rest = &rest[len..];
    }
    found.push((Token::End, line));
    Ok(found)
}

fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_$%.".contains(c)
}

/// Bytes of the word that `text` starts with; `::` belongs to it (`.L2::128B`), a single colon does not.
fn word_len(text: &str) -> usize {
    let mut len = 0;
    loop {
        len += text[len..].find(|c| !in_word(c)).unwrap_or(text.len() - len);
        if !text[len..].starts_with("::") {
            return len;
        }
        len += 2;
    }
}

fn closed(text: &str, open: usize, end: &str) -> Option<usize> {
    Some(open + text[open..].find(end)? + end.len())
}

fn unclosed(line: u32, what: &str) -> ParseError {
    ParseError::new(line, format!("a {what} is not closed"))
}

//! Tokens to statements: opcodes and operands as written, names not yet looked up.

use super::ParseError;
use super::token::Token;

/// An instruction as written.
#[derive(Debug)]
pub(crate) struct Statement<'a> {
    pub line: u32,
    pub guard: Option<Guard<'a>>,
    pub opcode: &'a str,
    pub operands: Vec<Operand<'a>>,
}

/// `@%p` or `@!%p`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard<'a> {
    pub name: &'a str,
    pub negate: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand<'a> {
    /// A register, special register, label or variable, and what is added to a variable.
    Name(&'a str, i64),
    /// `!%p`
    Not(&'a str),
    Integer(i64),
    F32(u32),
    F64(u64),
    /// `[base+offset]`; without a base, `[integer]`.
    Address(Option<&'a str>, i64),
    Vector(Vec<Operand<'a>>),
    /// `d|p`
    Pair(&'a str, &'a str),
}

/// A place in the tokens.
pub(crate) struct Cursor<'a> {
    tokens: Vec<(Token<'a>, u32)>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(tokens: Vec<(Token<'a>, u32)>) -> Self {
        Cursor { tokens, at: 0 }
    }

    pub fn line(&self) -> u32 {
        self.tokens[self.at].1
    }

    /// Of the token taken last.
    pub fn previous_line(&self) -> u32 {
        self.tokens[self.at.saturating_sub(1)].1
    }

    pub fn peek(&self) -> Token<'a> {
        self.tokens[self.at].0
    }

    /// The token after the next one.
    pub fn peek_second(&self) -> Token<'a> {
        self.tokens.get(self.at + 1).map_or(Token::End, |token| token.0)
    }

    pub fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    pub fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.line(), message)
    }

    pub fn skip(&mut self, token: Token<'_>) -> bool {
        let found = self.peek() == token;
        if found {
            self.next();
        }
        found
    }

    pub fn expect(&mut self, mark: char) -> Result<(), ParseError> {
        if self.skip(Token::Mark(mark)) {
            return Ok(());
        }
        Err(self.error(format!("expected `{mark}`, found {}", self.found())))
    }

    pub fn word(&mut self) -> Result<&'a str, ParseError> {
        match self.peek() {
            Token::Word(word) => {
                self.next();
                Ok(word)
            }
            _ => Err(self.error(format!("expected a name, found {}", self.found()))),
        }
    }

    /// An integer literal without sign, as of sizes and alignments.
    pub fn size(&mut self) -> Result<u32, ParseError> {
        let word = self.word()?;
        let value = integer(word).and_then(|value| u32::try_from(value).ok());
        value.ok_or_else(|| self.error(format!("expected a size, found `{word}`")))
    }

    pub fn found(&self) -> String {
        match self.peek() {
            Token::Word(word) => format!("`{word}`"),
            Token::Text => "a string".into(),
            Token::Mark(mark) => format!("`{mark}`"),
            Token::End => "the end of the text".into(),
        }
    }

    /// An instruction up to and with its semicolon.
    pub fn statement(&mut self) -> Result<Statement<'a>, ParseError> {
        let line = self.line();
        let guard = match self.skip(Token::Mark('@')) {
            true => {
                let negate = self.skip(Token::Mark('!'));
                Some(Guard { negate, name: self.word()? })
            }
            false => None,
        };
        let opcode = self.word()?;
        let mut operands = Vec::new();
        while !self.skip(Token::Mark(';')) {
            if !operands.is_empty() {
                self.expect(',')?;
            }
            operands.push(self.operand()?);
        }
        Ok(Statement { line, guard, opcode, operands })
    }

    fn operand(&mut self) -> Result<Operand<'a>, ParseError> {
        match self.peek() {
            Token::Mark('[') => self.address(),
            Token::Mark('{') => {
                self.next();
                let mut parts = vec![self.operand()?];
                while self.skip(Token::Mark(',')) {
                    parts.push(self.operand()?);
                }
                self.expect('}')?;
                Ok(Operand::Vector(parts))
            }
            Token::Mark('!') => {
                self.next();
                Ok(Operand::Not(self.word()?))
            }
            Token::Mark('-') => {
                self.next();
                let word = self.word()?;
                match literal(word) {
                    Some(Operand::Integer(value)) => Ok(Operand::Integer(value.wrapping_neg())),
                    Some(Operand::F64(bits)) => Ok(Operand::F64((-f64::from_bits(bits)).to_bits())),
                    _ => Err(self.error(format!("expected a number after `-`, found `{word}`"))),
                }
            }
            _ => {
                let word = self.word()?;
                if word.starts_with(|c: char| c.is_ascii_digit()) {
                    return literal(word).ok_or_else(|| self.error(format!("`{word}` is not a number")));
                }
                if self.skip(Token::Mark('|')) {
                    return Ok(Operand::Pair(word, self.word()?));
                }
                Ok(Operand::Name(word, self.offset()?))
            }
        }
    }

    fn address(&mut self) -> Result<Operand<'a>, ParseError> {
        self.expect('[')?;
        let base = match self.peek() {
            Token::Word(word) if !word.starts_with(|c: char| c.is_ascii_digit()) => {
                self.next();
                Some(word)
            }
            _ => None,
        };
        let offset = match base {
            Some(_) => self.offset()?,
            None => i64::from(self.size()?),
        };
        self.expect(']')?;
        Ok(Operand::Address(base, offset))
    }

    /// `+4`, `-4`, `+-4` or nothing.
    fn offset(&mut self) -> Result<i64, ParseError> {
        let plus = self.skip(Token::Mark('+'));
        let minus = self.skip(Token::Mark('-'));
        if !plus && !minus {
            return Ok(0);
        }
        let word = self.word()?;
        let value = integer(word).ok_or_else(|| self.error(format!("expected an offset, found `{word}`")))?;
        Ok(if minus { value.wrapping_neg() } else { value })
    }
}

/// An integer, `0f` or `0d` literal, or a decimal fraction.
fn literal(word: &str) -> Option<Operand<'static>> {
    if let Some(hex) = word.strip_prefix("0f").or(word.strip_prefix("0F")) {
        return (hex.len() == 8).then(|| u32::from_str_radix(hex, 16).ok()).flatten().map(Operand::F32);
    }
    if let Some(hex) = word.strip_prefix("0d").or(word.strip_prefix("0D")) {
        return (hex.len() == 16).then(|| u64::from_str_radix(hex, 16).ok()).flatten().map(Operand::F64);
    }
    if let Some(value) = integer(word) {
        return Some(Operand::Integer(value));
    }
    word.parse::<f64>().ok().map(|value| Operand::F64(value.to_bits()))
}

/// A decimal, hexadecimal, octal or binary integer of up to 64 bits.
pub(crate) fn integer(word: &str) -> Option<i64> {
    let digits = word.strip_suffix('U').unwrap_or(word);
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
        [b'0', b'b' | b'B', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    u64::from_str_radix(digits, radix).ok().map(|value| value as i64)
}

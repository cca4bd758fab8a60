//! PTX text to modules: directives, declarations and scopes. Instructions are decoded by [`crate::decode`].

pub(crate) mod syntax;
mod token;

use crate::decode::{Body, Class};
use crate::program::{Kernel, Module, Param};
use syntax::Cursor;
use token::Token;

/// PTX that cannot be run, or is not PTX.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// From 1.
    pub line: u32,
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(line: u32, message: impl Into<String>) -> Self {
        ParseError { line, message: message.into() }
    }
}

impl Module {
    /// Reads PTX text.
    ///
    /// # Errors
    /// Where the text is not PTX, or uses an instruction or modifier that the interpreter does not know.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser { cursor: Cursor::new(token::tokens(text)?), globals: Vec::new() };
        let mut module = Module::default();
        while parser.cursor.peek() != Token::End {
            parser.directive(&mut module)?;
        }
        if module.version == (0, 0) {
            return Err(ParseError::new(1, "there is no .version"));
        }
        Ok(module)
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    /// Shared variables of the module.
    globals: Vec<Variable<'a>>,
}

/// A declared array of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Variable<'a> {
    pub name: &'a str,
    pub bytes: u32,
    pub align: u32,
    /// Declared `.extern` without a size: the shared memory that the launch adds.
    pub dynamic: bool,
}

impl<'a> Parser<'a> {
    fn directive(&mut self, module: &mut Module) -> Result<(), ParseError> {
        let mut external = false;
        loop {
            let line = self.cursor.line();
            match self.cursor.word()? {
                ".version" => {
                    let word = self.cursor.word()?;
                    let numbers = word.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                    module.version = numbers.ok_or_else(|| ParseError::new(line, format!("version `{word}`")))?;
                }
                ".target" => {
                    module.target = self.cursor.word()?.to_owned();
                    while self.cursor.skip(Token::Mark(',')) {
                        self.cursor.word()?;
                    }
                }
                ".address_size" => {
                    if self.cursor.size()? != 64 {
                        return Err(ParseError::new(line, "addresses must have 64 bits"));
                    }
                }
                ".visible" | ".weak" => continue,
                ".extern" => {
                    external = true;
                    continue;
                }
                ".shared" => {
                    let variable = self.variable()?;
                    if variable.dynamic && !external {
                        return Err(ParseError::new(line, format!("`{}` has no size", variable.name)));
                    }
                    self.globals.push(variable);
                }
                ".entry" => {
                    let kernel = self.entry(module, line)?;
                    if module.kernel(&kernel.name).is_some() {
                        return Err(ParseError::new(line, format!("kernel `{}` is declared twice", kernel.name)));
                    }
                    module.kernels.push(kernel);
                }
                ".file" => {
                    while matches!(self.cursor.peek(), Token::Text | Token::Mark(',')) || self.is_number() {
                        self.cursor.next();
                    }
                }
                other => return Err(ParseError::new(line, format!("unknown directive `{other}`"))),
            }
            return Ok(());
        }
    }

    fn is_number(&self) -> bool {
        matches!(self.cursor.peek(), Token::Word(word) if syntax::integer(word).is_some())
    }

    /// `.align 16 .b8 name[bytes];`, after the state space.
    fn variable(&mut self) -> Result<Variable<'a>, ParseError> {
        let mut align = None;
        if self.cursor.skip(Token::Word(".align")) {
            align = Some(self.cursor.size()?);
        }
        let (_, size) = self.scalar()?;
        let name = self.cursor.word()?;
        let (mut count, mut dynamic) = (1u32, false);
        while self.cursor.skip(Token::Mark('[')) {
            if self.cursor.skip(Token::Mark(']')) {
                dynamic = true;
                continue;
            }
            let length = self.cursor.size()?;
            count = count.checked_mul(length).ok_or_else(|| self.cursor.error(format!("`{name}` is too large")))?;
            self.cursor.expect(']')?;
        }
        self.cursor.expect(';')?;
        let bytes = count.checked_mul(size).ok_or_else(|| self.cursor.error(format!("`{name}` is too large")))?;
        let align = align.unwrap_or(size);
        if !align.is_power_of_two() {
            return Err(self.cursor.error(format!("alignment {align} is not a power of two")));
        }
        Ok(Variable { name, bytes: if dynamic { 0 } else { bytes }, align, dynamic })
    }

    /// A type and its bytes.
    fn scalar(&mut self) -> Result<(&'a str, u32), ParseError> {
        let word = self.cursor.word()?;
        match word {
            ".b8" | ".u8" | ".s8" => Ok((word, 1)),
            ".b16" | ".u16" | ".s16" | ".f16" => Ok((word, 2)),
            ".b32" | ".u32" | ".s32" | ".f32" | ".f16x2" => Ok((word, 4)),
            ".b64" | ".u64" | ".s64" | ".f64" => Ok((word, 8)),
            _ => Err(self.cursor.error(format!("unknown type `{word}`"))),
        }
    }

    fn entry(&mut self, module: &Module, line: u32) -> Result<Kernel, ParseError> {
        let name = self.cursor.word()?.to_owned();
        let params = match self.cursor.skip(Token::Mark('(')) {
            true => self.params()?,
            false => Vec::new(),
        };
        let mut limits = None;
        loop {
            match self.cursor.peek() {
                Token::Word(".maxntid" | ".reqntid") => {
                    self.cursor.next();
                    let mut threads = self.cursor.size()?;
                    while self.cursor.skip(Token::Mark(',')) {
                        threads = threads.saturating_mul(self.cursor.size()?);
                    }
                    limits = Some(threads);
                }
                Token::Word(".minnctapersm" | ".maxnreg") => {
                    self.cursor.next();
                    self.cursor.size()?;
                }
                _ => break,
            }
        }
        let mut body = Body::new(self.globals.clone(), params, module.version, &module.target);
        self.cursor.expect('{')?;
        self.block(&mut body)?;
        body.finish(name, line, self.cursor.previous_line(), limits)
    }

    /// The parameters after `(`, laid out one after the other at their alignments.
    fn params(&mut self) -> Result<Vec<Param>, ParseError> {
        let mut params: Vec<Param> = Vec::new();
        if self.cursor.skip(Token::Mark(')')) {
            return Ok(params);
        }
        loop {
            if !self.cursor.skip(Token::Word(".param")) {
                return Err(self.cursor.error(format!("expected `.param`, found {}", self.cursor.found())));
            }
            let mut align = None;
            if self.cursor.skip(Token::Word(".align")) {
                align = Some(self.cursor.size()?);
            }
            let (kind, size) = self.scalar()?;
            let mut pointer = false;
            if self.cursor.skip(Token::Word(".ptr")) {
                pointer = true;
                while self.cursor.skip(Token::Word(".global")) || self.cursor.skip(Token::Word(".shared")) {}
                if self.cursor.skip(Token::Word(".align")) {
                    self.cursor.size()?;
                }
            }
            let line = self.cursor.line();
            let name = self.cursor.word()?.to_owned();
            let mut bytes = size as usize;
            let array = self.cursor.skip(Token::Mark('['));
            if array {
                bytes *= self.cursor.size()? as usize;
                self.cursor.expect(']')?;
            }
            let align = align.unwrap_or(size) as usize;
            if !align.is_power_of_two() || bytes > MAX_PARAM_BYTES {
                return Err(ParseError::new(line, format!("parameter `{name}`: {bytes} bytes aligned to {align}")));
            }
            let end = params.last().map_or(0, |last| last.offset + last.size);
            let address_sized = !array && matches!(kind, ".u64" | ".b64");
            params.push(Param {
                name,
                line,
                offset: end.next_multiple_of(align),
                size: bytes,
                align,
                pointer,
                address_sized,
            });
            if self.cursor.skip(Token::Mark(')')) {
                return Ok(params);
            }
            self.cursor.expect(',')?;
        }
    }

    /// The statements after `{`, with the closing `}`.
    fn block(&mut self, body: &mut Body<'a>) -> Result<(), ParseError> {
        let mut depth = 1;
        while depth > 0 {
            match (self.cursor.peek(), self.cursor.peek_second()) {
                (Token::Mark('{'), _) => {
                    self.cursor.next();
                    body.open();
                    depth += 1;
                }
                (Token::Mark('}'), _) => {
                    self.cursor.next();
                    body.close();
                    depth -= 1;
                }
                (Token::Mark(';'), _) => {
                    self.cursor.next();
                }
                (Token::Word(name), Token::Mark(':')) => {
                    let line = self.cursor.line();
                    self.cursor.next();
                    self.cursor.next();
                    match self.cursor.skip(Token::Word(".branchtargets")) {
                        true => {
                            let targets = self.names()?;
                            body.branch_targets(name, targets, line)?;
                        }
                        false => body.label(name, line)?,
                    }
                }
                (Token::Word(word), _) if word.starts_with('.') => self.declaration(body)?,
                _ => body.instruction(&self.cursor.statement()?)?,
            }
        }
        Ok(())
    }

    fn names(&mut self) -> Result<Vec<&'a str>, ParseError> {
        let mut names = vec![self.cursor.word()?];
        while self.cursor.skip(Token::Mark(',')) {
            names.push(self.cursor.word()?);
        }
        self.cursor.expect(';')?;
        Ok(names)
    }

    fn declaration(&mut self, body: &mut Body<'a>) -> Result<(), ParseError> {
        let line = self.cursor.line();
        match self.cursor.word()? {
            ".reg" => self.registers(body),
            ".shared" => body.shared(&self.variable()?, line),
            ".local" => body.local(&self.variable()?, line),
            ".loc" | ".pragma" => {
                while self.cursor.line() == line && !matches!(self.cursor.peek(), Token::Mark(';' | '}') | Token::End) {
                    self.cursor.next();
                }
                Ok(())
            }
            other => Err(ParseError::new(line, format!("unknown directive `{other}`"))),
        }
    }

    /// `.f32 %a, %b<4>;`, after `.reg`.
    fn registers(&mut self, body: &mut Body<'a>) -> Result<(), ParseError> {
        let class = match self.cursor.peek() {
            Token::Word(".pred") => {
                self.cursor.next();
                Class::Predicate
            }
            _ => match self.scalar()?.1 {
                1 | 2 => Class::Half,
                4 => Class::Word,
                _ => Class::Wide,
            },
        };
        loop {
            let line = self.cursor.line();
            let name = self.cursor.word()?;
            if self.cursor.skip(Token::Mark('<')) {
                let count = self.cursor.size()?;
                self.cursor.expect('>')?;
                body.numbered_registers(name, count, class, line)?;
            } else {
                body.register(name.to_owned(), class, line)?;
            }
            if self.cursor.skip(Token::Mark(';')) {
                return Ok(());
            }
            self.cursor.expect(',')?;
        }
    }
}

/// Bytes that a kernel's parameters may have.
const MAX_PARAM_BYTES: usize = 4096;

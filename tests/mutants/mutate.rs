//! Small wrong changes of a PTX text.

use std::fmt;

/// What is done to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A `bar.sync` is dropped.
    Barrier,
    /// `<` becomes `<=` in a comparison of integers, and so on.
    Bound,
    /// Two registers of a vector change places, or a factor is its neighbour's.
    Register,
    /// A step, a shift, an element size or an offset is another.
    Stride,
    /// A predicate is dropped, or is its opposite.
    Guard,
    /// An addition is a subtraction, a minimum a maximum.
    Operation,
    /// One more group of asynchronous copies, or of a warpgroup's products, may be under way.
    WaitGroup,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = match self {
            Self::Barrier => "barrier dropped",
            Self::Bound => "bound shifted",
            Self::Register => "register swapped",
            Self::Stride => "stride changed",
            Self::Guard => "guard changed",
            Self::Operation => "operation changed",
            Self::WaitGroup => "wait_group + 1",
        };
        f.pad(name)
    }
}

/// A line and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    /// Number of the line, from 0.
    pub line: usize,
    pub from: String,
    pub to: String,
}

impl Change {
    /// The line, whatever its comment.
    pub fn is_of(&self, line: &str) -> bool {
        Instruction::parse(line).is_some_and(|instruction| instruction.to_string() == self.from)
    }

    /// The text with this change.
    pub fn apply(&self, text: &str) -> String {
        let changed = |(i, line)| if i == self.line { self.to.as_str() } else { line };
        text.lines().enumerate().map(changed).collect::<Vec<_>>().join("\n") + "\n"
    }
}

/// Every change of every instruction of a text.
pub fn changes(text: &str) -> Vec<Change> {
    let body = text.lines().enumerate().skip_while(|(_, line)| line.trim() != "{");
    let of_line = |(line, code): (usize, &str)| {
        let Some(from) = Instruction::parse(code) else { return Vec::new() };
        let change = |(kind, to)| Change { kind, line, from: from.to_string(), to };
        from.changes(text).into_iter().map(change).collect()
    };
    body.flat_map(of_line).collect()
}

/// `[@guard] op operands;`
#[derive(Clone, Debug)]
struct Instruction {
    guard: Option<String>,
    op: String,
    operands: Vec<String>,
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some(guard) = &self.guard {
            write!(f, "@{guard} ")?;
        }
        write!(f, "{} {};", self.op, self.operands.join(", "))
    }
}

impl Instruction {
    fn parse(line: &str) -> Option<Self> {
        let code = line.split("//").next().unwrap_or_default().trim().strip_suffix(';')?;
        let (guard, rest) = match code.strip_prefix('@') {
            Some(guarded) => {
                let (guard, rest) = guarded.split_once(char::is_whitespace)?;
                (Some(guard.to_owned()), rest.trim())
            }
            None => (None, code),
        };
        let (op, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        if op.starts_with('.') {
            return None;
        }
        Some(Self { guard, op: op.to_owned(), operands: split(operands) })
    }

    fn changes(&self, text: &str) -> Vec<(Kind, String)> {
        let mut found = Vec::new();
        if self.op == "bar.sync" {
            found.push((Kind::Barrier, String::new()));
        }
        found.extend(self.bound().map(|changed| (Kind::Bound, changed.to_string())));
        found.extend(self.registers(text).into_iter().map(|changed| (Kind::Register, changed.to_string())));
        found.extend(self.strides().into_iter().map(|changed| (Kind::Stride, changed.to_string())));
        found.extend(self.guards().into_iter().map(|changed| (Kind::Guard, changed.to_string())));
        found.extend(self.operation().map(|changed| (Kind::Operation, changed.to_string())));
        if self.op.contains(".wait_group") {
            found.extend(self.with_number(0, |n| n + 1).map(|changed| (Kind::WaitGroup, changed.to_string())));
        }
        found
    }

    fn with_op(&self, op: String) -> Self {
        Self { op, ..self.clone() }
    }

    fn with_operand(&self, at: usize, operand: String) -> Self {
        let mut changed = self.clone();
        changed.operands[at] = operand;
        changed
    }

    /// With an immediate operand changed.
    fn with_number(&self, at: usize, change: impl Fn(u64) -> u64) -> Option<Self> {
        let number: u64 = self.operands.get(at)?.parse().ok()?;
        Some(self.with_operand(at, change(number).to_string()))
    }

    fn bound(&self) -> Option<Self> {
        let integer = ["u32", "s32", "u64", "s64"].iter().any(|of| self.op.ends_with(of));
        let pairs = [(".lt.", ".le."), (".le.", ".lt."), (".ge.", ".gt."), (".gt.", ".ge.")];
        let (from, to) = pairs.into_iter().find(|(from, _)| self.op.contains(from))?;
        (integer && self.op.starts_with("setp.")).then(|| self.with_op(self.op.replace(from, to)))
    }

    fn registers(&self, text: &str) -> Vec<Self> {
        let mut found = Vec::new();
        for (at, operand) in self.operands.iter().enumerate() {
            let Some(inside) = operand.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { continue };
            let lanes = split(inside);
            for first in [0, lanes.len().saturating_sub(2)].into_iter().filter(|_| lanes.len() > 1) {
                let mut swapped = lanes.clone();
                swapped.swap(first, first + 1);
                found.push(self.with_operand(at, format!("{{ {} }}", swapped.join(", "))));
            }
        }
        if self.op.starts_with("fma.") {
            let neighbour = |at: usize| {
                let operand = &self.operands[at];
                let digit = operand.chars().last()?.to_digit(10)?;
                let other = format!("{}{}", &operand[..operand.len() - 1], digit ^ 1);
                let is_there =
                    text.split(|c: char| !c.is_alphanumeric() && !"%_".contains(c)).any(|word| word == other);
                (is_there && operand.starts_with('%')).then(|| self.with_operand(at, other))
            };
            found.extend([1, 2].into_iter().filter_map(neighbour));
        }
        found
    }

    fn strides(&self) -> Vec<Self> {
        let mut found = Vec::new();
        let last = self.operands.len().saturating_sub(1);
        let kind = self.op.split('.').next().unwrap_or_default();
        if !self.op.ends_with("f32") {
            found.extend(match kind {
                "shl" | "shr" => self.with_number(last, |n| n + 1),
                "mul" => self.with_number(last, |n| 2 * n),
                "mad" => self.with_number(2, |n| 2 * n),
                "add" | "sub" => self.with_number(last, |n| if n >= 4 { n + 4 } else { n + 1 }),
                _ => None,
            });
        }
        for (at, operand) in self.operands.iter().enumerate() {
            let inside = operand.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let Some((base, offset)) = inside.and_then(|inside| inside.split_once('+')) else { continue };
            let Ok(offset) = offset.trim().parse::<u64>() else { continue };
            let moved = offset + if self.op.contains(".v4") { 16 } else { 4 };
            found.push(self.with_operand(at, format!("[{base}+{moved}]")));
        }
        found
    }

    fn guards(&self) -> Vec<Self> {
        let Some(guard) = &self.guard else { return Vec::new() };
        let opposite = guard.strip_prefix('!').map_or_else(|| format!("!{guard}"), str::to_owned);
        [None, Some(opposite)].map(|guard| Self { guard, ..self.clone() }).into()
    }

    fn operation(&self) -> Option<Self> {
        let pairs = [("add.", "sub."), ("sub.", "add."), ("min.", "max."), ("max.", "min.")];
        let (from, to) = pairs.into_iter().find(|(from, _)| self.op.starts_with(from))?;
        Some(self.with_op(self.op.replacen(from, to, 1)))
    }
}

/// Operands between commas that stand in no brackets.
fn split(operands: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in operands.chars() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Vec<(Kind, String)> {
        let text = format!("header;\n{{\n    {line}\n    mov.f32 %a1, %b1;\n}}\n");
        let of_line = changes(&text).into_iter().filter(|change| change.line == 2);
        of_line.map(|change| (change.kind, change.to)).collect()
    }

    #[test]
    fn every_kind_changes_what_it_says() {
        use Kind::{Barrier, Bound, Guard, Operation, Register, Stride, WaitGroup};
        let cases: [(&str, &[(Kind, &str)]); 10] = [
            ("bar.sync 0;", &[(Barrier, "")]),
            ("setp.lt.u32 %p, %i, %n;", &[(Bound, "setp.le.u32 %p, %i, %n;")]),
            ("setp.lt.f32 %p, %i, %n;", &[]),
            (
                "ld.global.v4.f32 { %v0, %v1, %v2, %v3 }, [%at+16];    // lanes",
                &[
                    (Register, "ld.global.v4.f32 { %v1, %v0, %v2, %v3 }, [%at+16];"),
                    (Register, "ld.global.v4.f32 { %v0, %v1, %v3, %v2 }, [%at+16];"),
                    (Stride, "ld.global.v4.f32 { %v0, %v1, %v2, %v3 }, [%at+32];"),
                ],
            ),
            ("fma.rn.f32 %v0, %a0, %c0, %v0;", &[(Register, "fma.rn.f32 %v0, %a1, %c0, %v0;")]),
            ("shl.b64 %at, %at, 2;", &[(Stride, "shl.b64 %at, %at, 3;")]),
            ("@%p bra done;", &[(Guard, "bra done;"), (Guard, "@!%p bra done;")]),
            ("add.rn.f32 %a, %b, %c;", &[(Operation, "sub.rn.f32 %a, %b, %c;")]),
            ("cp.async.wait_group 0;", &[(WaitGroup, "cp.async.wait_group 1;")]),
            ("wgmma.wait_group.sync.aligned 0;", &[(WaitGroup, "wgmma.wait_group.sync.aligned 1;")]),
        ];
        for (line, want) in cases {
            let want: Vec<_> = want.iter().map(|(kind, to)| (*kind, (*to).to_owned())).collect();
            assert_eq!(of(line), want, "{line}");
        }
    }

    #[test]
    fn declarations_and_labels_stay() {
        for line in [".reg .f32 %v<4>;", "loop:", ".shared .align 16 .b8 tile[16];", "ret;", ""] {
            assert_eq!(of(line), [], "{line}");
        }
    }

    #[test]
    fn one_line_of_the_text_changes() {
        let text = "a;\n{\n    shl.b32 %a, %a, 1;\n    bar.sync 0;\n}\n";
        let found = changes(text);
        assert_eq!(found[1].apply(text), "a;\n{\n    shl.b32 %a, %a, 1;\n\n}\n");
        assert_eq!(found[0].from, "shl.b32 %a, %a, 1;");
    }
}

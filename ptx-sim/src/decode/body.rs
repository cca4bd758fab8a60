//! A kernel's body while it is read: scopes of names, rows, code.

use std::collections::HashMap;

use super::Decoder;
use crate::lint::{Lint, LintKind};
use crate::parse::syntax::Statement;
use crate::parse::{ParseError, Variable};
use crate::program::{Initial, Instruction, Kernel, LoadSpace, Op, Param, Predicate, Row, Special, StoreSpace, Touch};

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Predicate,
    /// 16 bits, or 8.
    Half,
    /// 32 bits.
    Word,
    /// 64 bits.
    Wide,
}

#[derive(Clone, Debug)]
pub(super) enum Symbol<'a> {
    Register(usize),
    Shared(u32),
    DynamicShared,
    Local(u32),
    Label(u32),
    /// `.branchtargets`
    Targets(Vec<&'a str>),
}

/// The names that a pair of braces declares.
#[derive(Default)]
struct Scope<'a> {
    parent: Option<usize>,
    names: HashMap<String, Symbol<'a>>,
}

/// A branch whose label may not have been read.
pub(super) struct Jump<'a> {
    pub scope: usize,
    pub target: &'a str,
    pub indexed: bool,
}

pub(crate) struct Body<'a> {
    scopes: Vec<Scope<'a>>,
    pub(super) scope: usize,
    /// Rows are given out when a register is first used.
    registers: Vec<(Class, Option<Row>)>,
    rows: [Vec<Initial>; 2],
    constants: HashMap<(bool, Initial), Row>,
    predicates: usize,
    pub(super) params: Vec<Param>,
    globals: Vec<Variable<'a>>,
    /// What the text declares: the version of PTX, and the number of the architecture.
    pub(super) version: (u32, u32),
    pub(super) target: u32,
    /// Whether the architecture has an `a`: code for it runs on no other.
    pub(super) specific: bool,
    shared_bytes: u32,
    dynamic_align: u32,
    local_bytes: u32,
    pub(super) code: Vec<Instruction>,
    /// What the instructions of `code` touch, and what the one that is being read does.
    touches: Vec<Box<[Touch]>>,
    touched: Vec<Touch>,
    pub(super) jumps: Vec<(usize, Jump<'a>)>,
    lints: Vec<Lint>,
}

impl<'a> Body<'a> {
    pub fn new(globals: Vec<Variable<'a>>, params: Vec<Param>, version: (u32, u32), target: &str) -> Self {
        let number = target.trim_start_matches("sm_").trim_end_matches(|c: char| c.is_ascii_lowercase());
        Body {
            scopes: vec![Scope::default()],
            scope: 0,
            registers: Vec::new(),
            rows: [Vec::new(), Vec::new()],
            constants: HashMap::new(),
            predicates: 1,
            params,
            globals,
            version,
            target: number.parse().unwrap_or(0),
            specific: target.ends_with('a'),
            shared_bytes: 0,
            dynamic_align: 16,
            local_bytes: 0,
            code: Vec::new(),
            touches: Vec::new(),
            touched: Vec::new(),
            jumps: Vec::new(),
            lints: Vec::new(),
        }
    }

    pub fn open(&mut self) {
        self.scopes.push(Scope { parent: Some(self.scope), names: HashMap::new() });
        self.scope = self.scopes.len() - 1;
    }

    pub fn close(&mut self) {
        self.scope = self.scopes[self.scope].parent.unwrap_or(self.scope);
    }

    fn declare(&mut self, name: String, symbol: Symbol<'a>, line: u32) -> Result<(), ParseError> {
        let names = &mut self.scopes[self.scope].names;
        if names.contains_key(&name) {
            return Err(ParseError::new(line, format!("`{name}` is declared twice")));
        }
        names.insert(name, symbol);
        Ok(())
    }

    pub fn register(&mut self, name: String, class: Class, line: u32) -> Result<(), ParseError> {
        self.registers.push((class, None));
        self.declare(name, Symbol::Register(self.registers.len() - 1), line)
    }

    /// `%r<3>` declares `%r0`, `%r1` and `%r2`.
    pub fn numbered_registers(&mut self, name: &str, count: u32, class: Class, line: u32) -> Result<(), ParseError> {
        if count > u32::from(Row::MAX) {
            return Err(ParseError::new(line, format!("{count} registers `{name}` are too many")));
        }
        (0..count).try_for_each(|i| self.register(format!("{name}{i}"), class, line))
    }

    pub fn shared(&mut self, variable: &Variable<'a>, line: u32) -> Result<(), ParseError> {
        let symbol = self.place_shared(variable, line)?;
        self.declare(variable.name.to_owned(), symbol, line)
    }

    fn place_shared(&mut self, variable: &Variable<'a>, line: u32) -> Result<Symbol<'a>, ParseError> {
        if variable.dynamic {
            self.dynamic_align = self.dynamic_align.max(variable.align);
            return Ok(Symbol::DynamicShared);
        }
        place(&mut self.shared_bytes, variable, line).map(Symbol::Shared)
    }

    pub fn local(&mut self, variable: &Variable<'a>, line: u32) -> Result<(), ParseError> {
        self.lint(LintKind::Local, line);
        let offset = place(&mut self.local_bytes, variable, line)?;
        self.declare(variable.name.to_owned(), Symbol::Local(offset), line)
    }

    pub fn label(&mut self, name: &'a str, line: u32) -> Result<(), ParseError> {
        let at = self.code.len() as u32;
        self.declare(name.to_owned(), Symbol::Label(at), line)
    }

    pub fn branch_targets(&mut self, name: &'a str, targets: Vec<&'a str>, line: u32) -> Result<(), ParseError> {
        self.declare(name.to_owned(), Symbol::Targets(targets), line)
    }

    pub fn lint(&mut self, kind: LintKind, line: u32) {
        self.lints.push(Lint { line, kind });
    }

    fn lookup_from(&self, scope: usize, name: &str) -> Option<&Symbol<'a>> {
        let mut scope = Some(scope);
        while let Some(at) = scope {
            if let Some(symbol) = self.scopes[at].names.get(name) {
                return Some(symbol);
            }
            scope = self.scopes[at].parent;
        }
        None
    }

    /// What a name means here. A shared variable of the module becomes one of the kernel when it is first named.
    pub(super) fn lookup(&mut self, name: &str, line: u32) -> Result<Option<Symbol<'a>>, ParseError> {
        if let Some(symbol) = self.lookup_from(self.scope, name) {
            return Ok(Some(symbol.clone()));
        }
        let variable = self.globals.iter().find(|variable| variable.name == name).cloned();
        let Some(variable) = variable else { return Ok(None) };
        let symbol = self.place_shared(&variable, line)?;
        self.scopes[0].names.insert(name.to_owned(), symbol.clone());
        Ok(Some(symbol))
    }

    pub(super) fn class_of(&self, register: usize) -> Class {
        self.registers[register].0
    }

    pub(super) fn register_row(&mut self, register: usize, line: u32) -> Result<Row, ParseError> {
        if let (_, Some(row)) = self.registers[register] {
            return Ok(row);
        }
        let row = match self.registers[register].0 {
            Class::Predicate => {
                self.predicates += 1;
                row_number(self.predicates - 1, line)?
            }
            class => self.new_row(class == Class::Wide, Initial::Poison, line)?,
        };
        self.registers[register].1 = Some(row);
        Ok(row)
    }

    fn new_row(&mut self, wide: bool, initial: Initial, line: u32) -> Result<Row, ParseError> {
        let rows = &mut self.rows[usize::from(wide)];
        rows.push(initial);
        row_number(rows.len() - 1, line)
    }

    /// The row that holds a constant or special register.
    pub(super) fn fixed_row(&mut self, wide: bool, initial: Initial, line: u32) -> Result<Row, ParseError> {
        if let Some(row) = self.constants.get(&(wide, initial)) {
            return Ok(*row);
        }
        let row = self.new_row(wide, initial, line)?;
        self.constants.insert((wide, initial), row);
        Ok(row)
    }

    pub fn instruction(&mut self, statement: &Statement<'a>) -> Result<(), ParseError> {
        let mut decoder = Decoder::new(self, statement);
        let guard = match statement.guard {
            Some(guard) => Predicate { negate: guard.negate, row: decoder.predicate_named(guard.name)? },
            None => Predicate::ALWAYS,
        };
        let op = decoder.decode()?;
        let mut touched = std::mem::take(&mut self.touched);
        // These look after their registers themselves.
        if matches!(op, Op::Wgmma(_)) {
            touched.clear();
        }
        self.touches.push(touched.into());
        self.code.push(Instruction { line: statement.line, guard, op });
        Ok(())
    }

    /// Puts down that the instruction that is being read reads or writes a register.
    pub(super) fn touch(&mut self, row: Row, class: Class, write: bool) {
        if !matches!(class, Class::Half | Class::Word) {
            return;
        }
        match self.touched.iter_mut().find(|touch| touch.row == row) {
            Some(touch) => touch.write |= write,
            None => self.touched.push(Touch { row, write }),
        }
    }

    /// The kernel, with each branch at its label.
    pub fn finish(mut self, name: String, line: u32, end: u32, max_threads: Option<u32>) -> Result<Kernel, ParseError> {
        for (at, jump) in std::mem::take(&mut self.jumps) {
            self.resolve(at, &jump)?;
        }
        // The closing brace returns.
        self.code.push(Instruction { line: end, guard: Predicate::ALWAYS, op: Op::Exit });
        let unmarked = self.params.iter().filter(|param| param.address_sized && !param.pointer);
        self.lints.extend(unmarked.map(|param| Lint { line: param.line, kind: LintKind::PointerParam }));
        if max_threads.is_none() {
            self.lint(LintKind::MaxThreads, line);
        }
        self.lints.sort_by_key(|lint| lint.line);
        let too_large = || ParseError::new(line, "too much shared memory");
        let dynamic_shared = self.shared_bytes.checked_next_multiple_of(self.dynamic_align).ok_or_else(too_large)?;
        let [narrow_rows, wide_rows] = self.rows;
        let multiplies = self.code.iter().any(|instruction| matches!(instruction.op, Op::Wgmma(_)));
        let touches = if multiplies { self.touches } else { Vec::new() };
        Ok(Kernel {
            name,
            line,
            params: self.params,
            max_threads,
            static_shared: self.shared_bytes,
            dynamic_shared,
            local_bytes: self.local_bytes,
            shared_granule: shared_granule(&self.code),
            code: self.code,
            touches,
            narrow_rows,
            wide_rows,
            predicates: self.predicates,
            lints: self.lints,
        })
    }

    fn resolve(&mut self, at: usize, jump: &Jump<'a>) -> Result<(), ParseError> {
        let line = self.code[at].line;
        let missing = |name: &str| ParseError::new(line, format!("there is no label `{name}`"));
        let label = |name: &str| match self.lookup_from(jump.scope, name) {
            Some(Symbol::Label(pc)) => Ok(*pc),
            _ => Err(missing(name)),
        };
        let resolved = if jump.indexed {
            let Some(Symbol::Targets(names)) = self.lookup_from(jump.scope, jump.target) else {
                return Err(missing(jump.target));
            };
            Err(names.iter().map(|name| label(name)).collect::<Result<Box<[u32]>, _>>()?)
        } else {
            Ok(label(jump.target)?)
        };
        match (&mut self.code[at].op, resolved) {
            (Op::Branch(target), Ok(pc)) => *target = pc,
            (Op::BranchIndexed { targets, .. }, Err(pcs)) => *targets = pcs,
            _ => {}
        }
        Ok(())
    }
}

/// Gives a variable its offset.
fn place(end: &mut u32, variable: &Variable<'_>, line: u32) -> Result<u32, ParseError> {
    let place = end.checked_next_multiple_of(variable.align).and_then(|at| Some((at, at.checked_add(variable.bytes)?)));
    let (at, after) = place.ok_or_else(|| ParseError::new(line, format!("`{}` is too large", variable.name)))?;
    *end = after;
    Ok(at)
}

fn row_number(row: usize, line: u32) -> Result<Row, ParseError> {
    Row::try_from(row).map_err(|_| ParseError::new(line, "too many registers and constants"))
}

/// Log2 of the bytes of the smallest access to shared memory, at most a word's.
fn shared_granule(code: &[Instruction]) -> u32 {
    let bytes = |instruction: &Instruction| match &instruction.op {
        Op::Load { space: LoadSpace::Shared | LoadSpace::Generic, element, .. } => Some(element.bytes),
        Op::Store { space: StoreSpace::Shared | StoreSpace::Generic, element, .. } => Some(element.bytes),
        Op::Atomic(atomic) if atomic.space != StoreSpace::Global => Some(atomic.element.bytes),
        _ => None,
    };
    code.iter().filter_map(bytes).min().map_or(2, |bytes| bytes.trailing_zeros().min(2))
}

/// The special register of a name.
pub(super) fn special(name: &str) -> Option<Special> {
    let axis = |axis: &str| ["x", "y", "z"].iter().position(|name| *name == axis).map(|axis| axis as u8);
    if let Some((name, dimension)) = name.split_once('.') {
        let dimension = axis(dimension)?;
        return match name {
            "%tid" => Some(Special::Tid(dimension)),
            "%ntid" => Some(Special::Ntid(dimension)),
            "%ctaid" => Some(Special::Ctaid(dimension)),
            "%nctaid" => Some(Special::Nctaid(dimension)),
            _ => None,
        };
    }
    Some(match name {
        "%laneid" => Special::LaneId,
        "%warpid" => Special::WarpId,
        "%nwarpid" => Special::WarpCount,
        "%lanemask_lt" => Special::MaskLt,
        "%lanemask_le" => Special::MaskLe,
        "%lanemask_eq" => Special::MaskEq,
        "%lanemask_ge" => Special::MaskGe,
        "%lanemask_gt" => Special::MaskGt,
        "%dynamic_smem_size" => Special::DynamicSharedBytes,
        "%smid" | "%clock" | "%clock_hi" => Special::Zero,
        _ => return None,
    })
}

//! The machine that runs a pickle's opcodes.

use std::collections::HashMap;

use super::reader::{MAX_NAME, Reader, Stop};
use super::{Global, Id, Value};

/// The largest number of values: some 60 000 tensors, and less than 100 MB.
const MAX_VALUES: usize = 1 << 20;
/// The largest height of the stack; PyTorch sets 1000 items at a time.
const MAX_STACK: usize = 1 << 20;
const EMPTY: Stop = Stop::Bad("its stack is empty");

pub(super) struct Machine<'a> {
    pub(super) reader: Reader<'a>,
    pub(super) values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// The number of items copied from one value to another.
    copied: usize,
}

const NONE: Id = 0;
const FALSE: Id = 1;
const TRUE: Id = 2;

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            reader: Reader { bytes, at: 0 },
            // In the order of `NONE`, `FALSE` and `TRUE`.
            values: vec![Value::Other, Value::Bool(false), Value::Bool(true)],
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            copied: 0,
        }
    }

    pub(super) fn run(&mut self) -> Result<Id, Stop> {
        loop {
            match self.reader.byte()? {
                b'.' => return self.pop(), // STOP
                0x80 => {
                    self.reader.take(1)?; // PROTO: every opcode means the same in all that have it
                }
                0x95 => {
                    self.reader.take(8)?; // FRAME: the frames follow each other
                }
                b'(' => self.mark()?,
                b'0' => {
                    self.pop()?;
                }
                b'1' => {
                    self.pop_mark()?;
                }
                b'2' => {
                    let top = self.top()?; // DUP
                    self.push(top)?;
                }
                b'N' => self.push(NONE)?,
                0x88 => self.push(TRUE)?,
                0x89 => self.push(FALSE)?,
                b'J' => {
                    let number = i32::from_le_bytes(self.reader.array()?);
                    self.make(Value::Int(number.into()))?;
                }
                b'K' => {
                    let number = self.reader.byte()?;
                    self.make(Value::Int(number.into()))?;
                }
                b'M' => {
                    let number = u16::from_le_bytes(self.reader.array()?);
                    self.make(Value::Int(number.into()))?;
                }
                0x8a => self.long(1)?,          // LONG1
                0x8b => self.long(4)?,          // LONG4
                b'G' => self.other(8)?,         // BINFLOAT
                b'X' | b'T' => self.string(4)?, // BINUNICODE, BINSTRING of Python 2
                0x8c | b'U' => self.string(1)?, // SHORT_BINUNICODE, SHORT_BINSTRING
                0x8d => self.string(8)?,        // BINUNICODE8
                b'B' => self.bytes_value(4)?,
                b'C' => self.bytes_value(1)?,
                b')' => self.make(Value::Tuple(Vec::new()))?,
                0x85 => self.tuple(1)?,
                0x86 => self.tuple(2)?,
                0x87 => self.tuple(3)?,
                b't' => {
                    let items = self.pop_mark()?;
                    self.make(Value::Tuple(items))?;
                }
                b']' => self.make(Value::List(Vec::new()))?,
                b'}' => self.make(Value::Dict(Vec::new()))?,
                b'a' => {
                    let item = self.pop()?; // APPEND
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_mark()?; // APPENDS
                    self.append(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?); // SETITEM
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.pop_mark()?; // SETITEMS
                    self.set(&items)?;
                }
                b'q' => {
                    let index = self.reader.byte()?; // BINPUT
                    self.remember(index.into())?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.reader.array()?); // LONG_BINPUT
                    self.remember(index)?;
                }
                0x94 => {
                    let index = self.memo.len() as u32; // MEMOIZE
                    self.remember(index)?;
                }
                b'h' => {
                    let index = self.reader.byte()?; // BINGET
                    self.recall(index.into())?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.reader.array()?); // LONG_BINGET
                    self.recall(index)?;
                }
                b'c' => {
                    let (module, name) = (self.reader.line()?, self.reader.line()?); // GLOBAL
                    self.global(module, name)?;
                }
                0x93 => self.stack_global()?,
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                b'Q' => {
                    let description = self.pop()?; // BINPERSID
                    self.make(Value::Persistent(description))?;
                }
                _ => return Err(Stop::Bad("an opcode that PyTorch does not write")),
            }
        }
    }

    fn push(&mut self, id: Id) -> Result<(), Stop> {
        if self.stack.len() >= MAX_STACK {
            return Err(Stop::Bad("too many values on its stack"));
        }
        self.stack.push(id);
        Ok(())
    }

    fn make(&mut self, value: Value) -> Result<(), Stop> {
        if self.values.len() >= MAX_VALUES {
            return Err(Stop::Bad("too many values"));
        }
        let id = self.values.len() as Id;
        self.values.push(value);
        self.push(id)
    }

    fn top(&self) -> Result<Id, Stop> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.get(floor..).and_then(|items| items.last()).copied().ok_or(EMPTY)
    }

    fn pop(&mut self) -> Result<Id, Stop> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn mark(&mut self) -> Result<(), Stop> {
        if self.marks.len() >= MAX_STACK {
            return Err(Stop::Bad("too many marks on its stack"));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, Stop> {
        let mark = self.marks.pop().ok_or(Stop::Bad("no mark on its stack"))?;
        // Not `split_off`, which may hand out the whole capacity of the stack.
        Ok(self.stack.drain(mark.min(self.stack.len())..).collect())
    }

    fn tuple(&mut self, length: usize) -> Result<(), Stop> {
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(self.pop()?);
        }
        items.reverse();
        self.make(Value::Tuple(items))
    }

    fn long(&mut self, width: usize) -> Result<(), Stop> {
        let range = self.reader.span(width)?;
        let bytes = self.reader.bytes.get(range).unwrap_or_default();
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut number = [if negative { 0xff } else { 0 }; 16];
        number
            .get_mut(..bytes.len())
            .ok_or(Stop::Bad("an integer of more than 128 bits"))?
            .copy_from_slice(bytes);
        self.make(Value::Int(i128::from_le_bytes(number)))
    }

    fn other(&mut self, length: usize) -> Result<(), Stop> {
        self.reader.take(length)?;
        self.push(NONE)
    }

    fn string(&mut self, width: usize) -> Result<(), Stop> {
        let range = self.reader.span(width)?;
        self.make(Value::Str(range))
    }

    fn bytes_value(&mut self, width: usize) -> Result<(), Stop> {
        self.reader.span(width)?;
        self.push(NONE)
    }

    fn remember(&mut self, index: u32) -> Result<(), Stop> {
        if self.memo.len() >= MAX_VALUES {
            return Err(Stop::Bad("too many remembered values"));
        }
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), Stop> {
        let id = self.memo.get(&index).copied();
        self.push(id.ok_or(Stop::Bad("it recalls a value that it did not store"))?)
    }

    fn value(&mut self, id: Id) -> Result<&mut Value, Stop> {
        self.values.get_mut(id as usize).ok_or(EMPTY)
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), Stop> {
        let target = self.top()?;
        match self.value(target)? {
            Value::List(list) => list.extend(items),
            _ => return Err(Stop::Bad("it appends to something that is not a list")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), Stop> {
        let target = self.top()?;
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(Stop::Bad("a key without a value"));
        };
        match self.value(target)? {
            Value::Dict(dict) => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err(Stop::Bad("it sets an item of something that is not a dict")),
        }
        Ok(())
    }

    fn stack_global(&mut self) -> Result<(), Stop> {
        let (name, module) = (self.pop()?, self.pop()?);
        let text = |id: Id| {
            let Some(Value::Str(range)) = self.values.get(id as usize) else { return None };
            let bytes =
                self.reader.bytes.get(range.clone()).filter(|bytes| bytes.len() < MAX_NAME)?;
            std::str::from_utf8(bytes).ok()
        };
        let (Some(module), Some(name)) = (text(module), text(name)) else {
            return Err(Stop::Bad("a global whose name is not a short string"));
        };
        self.global(module, name)
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Stop> {
        let Some(global) = Global::named(module, name) else {
            return Err(Stop::Refused(format!("{module}.{name}").escape_debug().to_string()));
        };
        self.make(Value::Global(global))
    }

    /// Calls the second value with the first: the only calls there are.
    fn reduce(&mut self) -> Result<(), Stop> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let &mut Value::Global(function) = self.value(function)? else {
            return Err(Stop::Bad("it calls something that is not a function"));
        };
        let Value::Tuple(items) = self.value(arguments)? else {
            return Err(Stop::Bad("a call without arguments"));
        };
        let first = items.first().copied();
        match (function, first) {
            (Global::OrderedDict, None) => self.make(Value::Dict(Vec::new())),
            (Global::OrderedDict, Some(pairs)) => self.ordered_dict(pairs),
            (Global::RebuildTensor, Some(_)) => self.make(Value::Tensor(arguments)),
            (Global::RebuildParameter | Global::Size, Some(first)) => self.push(first),
            _ => Err(Stop::Bad("a call with the wrong arguments")),
        }
    }

    /// `OrderedDict([[key, value], ...])`, as Python 2 wrote it.
    fn ordered_dict(&mut self, pairs: Id) -> Result<(), Stop> {
        let Value::List(pairs) = self.value(pairs)? else {
            return Err(Stop::Bad("an ordered dict that is not made from a list"));
        };
        let pairs = pairs.clone();
        // One list may be used again and again, so the copies are counted.
        self.copied += pairs.len();
        if self.copied > MAX_VALUES {
            return Err(Stop::Bad("too many values"));
        }
        let mut dict = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match self.value(pair)? {
                Value::List(pair) | Value::Tuple(pair) if let [key, value] = pair[..] => {
                    dict.push((key, value));
                }
                _ => return Err(Stop::Bad("an ordered dict that is not made from pairs")),
            }
        }
        self.make(Value::Dict(dict))
    }

    /// Gives attributes to the second value. Nothing here has any: PyTorch notes the versions of
    /// modules in this way.
    fn build(&mut self) -> Result<(), Stop> {
        self.pop()?;
        let target = self.top()?;
        match self.value(target)? {
            Value::Dict(_) | Value::Tensor(_) => Ok(()),
            _ => Err(Stop::Bad("it gives attributes to something that has none")),
        }
    }
}

//! A pickle machine that can build state dicts and nothing else.
//!
//! A pickle is a program that may call any Python function. This one runs on a machine without
//! functions: the few names that PyTorch writes are recognised and stand for values of this
//! module; any other name is refused before anything is built from it. Values live in one arena
//! and refer to each other by number, so a value that is used twice (or within itself) costs
//! nothing more, and nothing recurses.
//!
//! # References
//! The opcodes: `Lib/pickletools.py` of CPython. The names: `torch/serialization.py` and
//! `torch/_utils.py` of PyTorch.

mod machine;
mod reader;

use std::ops::Range;

use self::machine::Machine;
use self::reader::Stop;

use super::tensor::RawType;

/// What a pickle may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`, also with state.
    RebuildParameter,
    /// `torch.FloatStorage` and its kind.
    Storage(RawType),
    /// `torch.Size`.
    Size,
}

impl Global {
    /// The object with a Python name, if loading weights needs it.
    fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::RebuildParameter
            }
            ("torch", "Size") => Self::Size,
            ("torch" | "torch.cuda", name) => Self::Storage(storage_type(name)?),
            _ => return None,
        })
    }
}

fn storage_type(name: &str) -> Option<RawType> {
    Some(match name {
        "DoubleStorage" => RawType::F64,
        "FloatStorage" => RawType::F32,
        "HalfStorage" => RawType::F16,
        "BFloat16Storage" => RawType::BF16,
        "Float8_e4m3fnStorage" => RawType::F8E4M3,
        "Float8_e5m2Storage" => RawType::F8E5M2,
        "ComplexFloatStorage" => RawType::C64,
        "LongStorage" => RawType::I64,
        "IntStorage" => RawType::I32,
        "ShortStorage" => RawType::I16,
        "CharStorage" => RawType::I8,
        "ByteStorage" => RawType::U8,
        "BoolStorage" => RawType::Bool,
        _ => return None,
    })
}

/// The number of a value in its [`Pickle`].
pub(super) type Id = u32;

/// A value of a pickle.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `None`, a float or bytes: nothing that a state dict's structure depends on.
    Other,
    /// A truth value.
    Bool(bool),
    /// An integer; the longest in use is the 80-bit magic number of old PyTorch files.
    Int(i128),
    /// A string: its bytes in the pickle.
    Str(Range<usize>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A list.
    List(Vec<Id>),
    /// A dict, with its pairs in the order they were set.
    Dict(Vec<(Id, Id)>),
    /// A recognised name.
    Global(Global),
    /// What a persistent id refers to: the tuple that describes a storage.
    Persistent(Id),
    /// A tensor: the arguments of `_rebuild_tensor_v2`.
    Tensor(Id),
}

/// The values that a pickle made.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    bytes: &'a [u8],
    values: Vec<Value>,
    /// The value that the pickle is.
    pub(super) root: Id,
    /// The number of bytes read.
    pub(super) length: usize,
}

/// Why a pickle was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PickleError {
    /// It asks for a Python object that is not needed for weights.
    Refused(String),
    /// It breaks a rule or a limit.
    Bad(String),
}

impl<'a> Pickle<'a> {
    /// Runs the pickle at the start of `bytes`.
    ///
    /// # Errors
    /// If it is not one, is cut off, goes beyond a limit, or asks for anything but a state dict.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, PickleError> {
        let mut machine = Machine::new(bytes);
        let root = machine.run().map_err(|stop| match stop {
            Stop::Refused(name) => PickleError::Refused(name),
            Stop::Bad(what) => {
                PickleError::Bad(format!("bad pickle: {what} (at byte {})", machine.reader.at))
            }
        })?;
        Ok(Self { bytes, values: machine.values, root, length: machine.reader.at })
    }

    /// The value with a number.
    pub(super) fn get(&self, id: Id) -> &Value {
        self.values.get(id as usize).unwrap_or(&Value::Other)
    }

    /// The values, each once.
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// The text of a string value.
    pub(super) fn text(&self, id: Id) -> Option<&'a str> {
        let Value::Str(range) = self.get(id) else { return None };
        std::str::from_utf8(self.bytes.get(range.clone())?).ok()
    }

    /// A non-negative integer value that fits the memory of this machine.
    pub(super) fn size(&self, id: Id) -> Option<usize> {
        let Value::Int(number) = self.get(id) else { return None };
        usize::try_from(*number).ok()
    }
}

#[cfg(test)]
mod tests;

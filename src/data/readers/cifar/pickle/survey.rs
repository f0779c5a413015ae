//! Goes through a pickle's operations before the parser does what they say.
//!
//! The parser copies a value as often as it is referred to, recurses as deep as values are nested and sets room aside for
//! every group, so that a few bytes can ask for more memory than there is. What the releases' own files need of that is
//! little, and a file that asks for more is refused.

use std::collections::HashMap;

/// CIFAR-100's training file has four operations for each of its 50,000 images.
const MOST_OPERATIONS: usize = 1 << 21;

/// It has 150 groups: lists are written in pieces of a thousand.
pub(super) const MOST_NESTING: usize = 1 << 12;

/// What the parser takes for a value besides its text or bytes.
const VALUE_BYTES: u64 = 64;

/// Repeated values may take as much as the file itself, and this.
const REPEATED_BYTES: u64 = 1 << 20;

/// What the file asks of the parser.
///
/// # Errors
/// More than a release's files do; operations that they do not have.
pub(super) fn survey(bytes: &[u8]) -> Result<(), String> {
    let most_repeated = REPEATED_BYTES + bytes.len() as u64;
    let mut survey = Survey { rest: bytes, ..Survey::default() };
    for _ in 0..MOST_OPERATIONS {
        if survey.step()? {
            return Ok(());
        }
        if survey.nesting > MOST_NESTING {
            return Err("it nests values as no file of the release does".to_owned());
        }
        if survey.repeated > most_repeated {
            return Err("it repeats values as no file of the release does".to_owned());
        }
    }
    Err("it has more values than any file of the release".to_owned())
}

/// The memory that a value takes; `None` where it is not known, since it may still grow.
type Size = Option<u64>;

#[derive(Default)]
struct Survey<'a> {
    rest: &'a [u8],
    /// The values that have a number.
    numbered: HashMap<u32, Size>,
    /// Those on top of the parser's stack, the topmost last.
    top: [Size; 3],
    /// Whether the topmost may get a number: it has none yet.
    is_new: bool,
    nesting: usize,
    repeated: u64,
}

impl<'a> Survey<'a> {
    /// Takes one operation; whether it was the last.
    fn step(&mut self) -> Result<bool, String> {
        let code = self.integer(1)? as u8;
        match code {
            b'.' => return Ok(true),
            // A version and the length of a frame may stand between a value and its number.
            0x80 => self.skip(1)?,
            0x95 => self.skip(8)?,
            b'N' | 0x88 | 0x89 => self.value(0)?,
            b'K' => self.value(1)?,
            b'M' => self.value(2)?,
            b'J' => self.value(4)?,
            b'G' => self.value(8)?,
            b'U' | b'C' | 0x8a | 0x8c => self.text(1)?,
            b'T' | b'B' | b'X' => self.text(4)?,
            0x8d | 0x8e | 0x96 => self.text(8)?,
            b'c' => self.name()?,
            b')' | b']' | b'}' => self.push(None),
            b'b' | b'e' | b'u' => self.forget(),
            b'(' | b'a' | b's' => {
                self.nesting += 1;
                self.forget();
            }
            b't' => {
                self.nesting += 1;
                (self.top, self.is_new) = ([None; 3], true);
            }
            0x85..=0x87 => self.tuple(usize::from(code - 0x84)),
            // Two texts become the name of something.
            0x93 => self.join(Some(VALUE_BYTES)),
            // A name and its arguments become what they make, which holds nothing but these.
            b'R' => self.join(self.top[2]),
            b'q' | b'r' | 0x94 => self.number(code)?,
            b'h' => self.again(1)?,
            b'j' => self.again(4)?,
            other => return Err(format!("no file of the release has the operation {other:#04x}")),
        }
        Ok(false)
    }

    fn push(&mut self, size: Size) {
        self.top = [self.top[1], self.top[2], size];
        self.is_new = true;
    }

    /// What is on top now has a number, or is not followed.
    fn forget(&mut self) {
        self.top = [None; 3];
        self.is_new = false;
    }

    /// The `count` topmost values become one.
    fn tuple(&mut self, count: usize) {
        self.nesting += 1;
        let (below, parts) = self.top.split_at(3 - count);
        let size = parts.iter().try_fold(VALUE_BYTES, |sum, part| sum.checked_add((*part)?));
        let mut top = [None; 3];
        top[count - 1..2].copy_from_slice(below);
        top[2] = size;
        (self.top, self.is_new) = (top, true);
    }

    /// The two topmost values become one.
    fn join(&mut self, size: Size) {
        (self.top, self.is_new) = ([None, self.top[0], size], true);
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let parts = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let (taken, rest) = parts.ok_or("it ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn integer(&mut self, bytes: u64) -> Result<u64, String> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn skip(&mut self, count: u64) -> Result<(), String> {
        self.take(count).map(|_| ())
    }

    /// A value that follows in `length` bytes.
    fn value(&mut self, length: u64) -> Result<(), String> {
        self.skip(length)?;
        self.push(Some(VALUE_BYTES + length));
        Ok(())
    }

    /// Text or bytes behind their length, which takes `bytes`.
    fn text(&mut self, bytes: u64) -> Result<(), String> {
        let length = self.integer(bytes)?;
        self.value(length)
    }

    /// The two lines that name something.
    fn name(&mut self) -> Result<(), String> {
        for _ in 0..2 {
            let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or("it ends too early")?;
            self.skip(end as u64 + 1)?;
        }
        self.value(0)
    }

    /// Gives the topmost value its number, once.
    fn number(&mut self, code: u8) -> Result<(), String> {
        let number = match code {
            b'q' => self.integer(1)? as u32,
            b'r' => self.integer(4)? as u32,
            _ => self.numbered.len() as u32,
        };
        if !std::mem::take(&mut self.is_new) {
            return Err("it numbers nothing, or something twice".to_owned());
        }
        match self.numbered.insert(number, self.top[2]) {
            Some(_) => Err(format!("it has two values of number {number}")),
            None => Ok(()),
        }
    }

    /// Repeats the value of a number, which takes `bytes`.
    fn again(&mut self, bytes: u64) -> Result<(), String> {
        let number = self.integer(bytes)? as u32;
        let Some(Some(size)) = self.numbered.get(&number).copied() else {
            return Err(format!("it repeats value {number}, which may grow or is not there"));
        };
        self.repeated = self.repeated.saturating_add(size);
        self.push(Some(size));
        self.is_new = false;
        Ok(())
    }
}

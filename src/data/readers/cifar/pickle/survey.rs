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

/// What is on top of the parser's stack.
#[derive(Clone, Copy, PartialEq)]
enum Top {
    /// A number, a name, text or bytes: so many.
    Leaf(u64),
    /// A value that is made of others.
    Composite,
    /// Nothing that has no number yet.
    Numbered,
}

/// What the file asks of the parser.
///
/// # Errors
/// More than a release's files do; operations that they do not have.
pub(super) fn survey(bytes: &[u8]) -> Result<(), String> {
    let mut survey = Survey { rest: bytes, values: HashMap::new(), top: Top::Numbered, nesting: 0, copied: 0 };
    for _ in 0..MOST_OPERATIONS {
        if survey.step()? {
            return Ok(());
        }
        if survey.nesting > MOST_NESTING {
            return Err("it nests values as no file of the release does".to_owned());
        }
        if survey.copied > bytes.len() as u64 {
            return Err("it repeats values as no file of the release does".to_owned());
        }
    }
    Err("it has more values than any file of the release".to_owned())
}

struct Survey<'a> {
    rest: &'a [u8],
    /// The values that have a number: their bytes, or `None` where they are made of others.
    values: HashMap<u32, Option<u64>>,
    top: Top,
    nesting: usize,
    copied: u64,
}

impl<'a> Survey<'a> {
    /// Takes one operation; whether it was the last.
    fn step(&mut self) -> Result<bool, String> {
        let code = self.take(1)?[0];
        self.top = match code {
            b'.' => return Ok(true),
            // A version and the length of a frame may stand between a value and its number.
            0x80 => self.skip(1, self.top)?,
            0x95 => self.skip(8, self.top)?,
            b'N' | 0x88 | 0x89 | 0x93 => Top::Leaf(0),
            b'K' => self.skip(1, Top::Leaf(1))?,
            b'M' => self.skip(2, Top::Leaf(2))?,
            b'J' => self.skip(4, Top::Leaf(4))?,
            b'G' => self.skip(8, Top::Leaf(8))?,
            b'U' | b'C' | 0x8a | 0x8c => self.text(1)?,
            b'T' | b'B' | b'X' => self.text(4)?,
            0x8d | 0x8e | 0x96 => self.text(8)?,
            b'c' => self.name()?,
            b')' | b']' | b'}' | b'R' => Top::Composite,
            b'b' | b'e' | b'u' => Top::Numbered,
            b'(' | b'a' | b's' => self.nest(Top::Numbered),
            b't' | 0x85..=0x87 => self.nest(Top::Composite),
            b'q' | b'r' | 0x94 => self.number(code)?,
            b'h' => self.again(1)?,
            b'j' => self.again(4)?,
            other => return Err(format!("no file of the release has the operation {other:#04x}")),
        };
        Ok(false)
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

    fn skip(&mut self, count: u64, top: Top) -> Result<Top, String> {
        self.take(count).map(|_| top)
    }

    /// Text or bytes behind their length, which takes `bytes`.
    fn text(&mut self, bytes: u64) -> Result<Top, String> {
        let length = self.integer(bytes)?;
        self.skip(length, Top::Leaf(length))
    }

    /// The two lines that name something.
    fn name(&mut self) -> Result<Top, String> {
        for _ in 0..2 {
            let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or("it ends too early")?;
            self.take(end as u64 + 1)?;
        }
        Ok(Top::Leaf(0))
    }

    fn nest(&mut self, top: Top) -> Top {
        self.nesting += 1;
        top
    }

    /// Gives the value on top its number, once.
    fn number(&mut self, code: u8) -> Result<Top, String> {
        let number = match code {
            b'q' => self.integer(1)? as u32,
            b'r' => self.integer(4)? as u32,
            _ => self.values.len() as u32,
        };
        let size = match self.top {
            Top::Leaf(size) => Some(size),
            Top::Composite => None,
            Top::Numbered => return Err("it numbers nothing, or something twice".to_owned()),
        };
        match self.values.insert(number, size) {
            Some(_) => Err(format!("it has two values of number {number}")),
            None => Ok(Top::Numbered),
        }
    }

    /// Repeats the value of a number, which takes `bytes`.
    fn again(&mut self, bytes: u64) -> Result<Top, String> {
        let number = self.integer(bytes)? as u32;
        let Some(Some(size)) = self.values.get(&number) else {
            return Err(format!("it repeats value {number}, which is made of others or is not there"));
        };
        self.copied += size;
        Ok(Top::Numbered)
    }
}

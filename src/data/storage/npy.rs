//! The header of one numpy array: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
//!
//! A strict reader of exactly what numpy writes for plain arrays. General parsers of Python literals recurse with the
//! nesting of their input and multiply shapes unchecked, which a damaged file can turn into a crash.

use std::io::{self, Read};

/// numpy pads headers to 64 bytes; even thousands of axes stay far below this.
const LONGEST_HEADER: usize = 1 << 16;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Header {
    /// `b`, `i`, `u`, `f` and so on, as numpy's type strings have it.
    pub(in crate::data) kind: char,
    /// Bytes of an element.
    pub(in crate::data) size: usize,
    pub(in crate::data) big_endian: bool,
    pub(in crate::data) fortran_order: bool,
    pub(in crate::data) shape: Vec<u64>,
    /// Where the elements begin.
    pub(in crate::data) length: u64,
}

impl Header {
    /// Reads a header; the error says what is wrong with it.
    pub(in crate::data) fn read(reader: &mut impl Read) -> Result<Self, String> {
        let cut = |error: io::Error| format!("the header cannot be read: {error}");
        let mut start = [0; 8];
        reader.read_exact(&mut start).map_err(cut)?;
        let [magic @ .., major, _minor] = start;
        if magic != *b"\x93NUMPY" {
            return Err("it is not a numpy array".into());
        }
        let mut width = [0; 4];
        let bytes = match major {
            1 => 2,
            2 | 3 => 4,
            _ => return Err(format!("version {major} of the format is unknown")),
        };
        reader.read_exact(&mut width[..bytes]).map_err(cut)?;
        let length = u32::from_le_bytes(width) as usize;
        if length > LONGEST_HEADER {
            return Err(format!("its header claims to be {length} bytes long"));
        }
        let mut text = vec![0; length];
        reader.read_exact(&mut text).map_err(cut)?;
        let text = String::from_utf8_lossy(&text);
        let fields = Cursor(text.trim()).dictionary().ok_or("its header is not that of a plain array")?;
        fields.header((8 + bytes + length) as u64)
    }
}

/// The fields that were found.
#[derive(Default)]
struct Fields {
    descr: Option<String>,
    fortran_order: Option<bool>,
    shape: Option<Vec<u64>>,
}

impl Fields {
    fn header(self, length: u64) -> Result<Header, String> {
        let descr = self.descr.ok_or("its header has no `descr`")?;
        let refuse = || format!("elements of type `{}` are not supported", descr.escape_debug());
        let mut characters = descr.chars();
        let order = characters.next().filter(|order| ['<', '>', '|', '='].contains(order)).ok_or_else(refuse)?;
        let kind = characters.next().ok_or_else(refuse)?;
        let size = characters.as_str().parse().ok().filter(|size| *size > 0).ok_or_else(refuse)?;
        Ok(Header {
            kind,
            size,
            big_endian: order == '>',
            fortran_order: self.fortran_order.ok_or("its header has no `fortran_order`")?,
            shape: self.shape.ok_or("its header has no `shape`")?,
            length,
        })
    }
}

/// What is left of the text; every method takes one thing off its front.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn dictionary(mut self) -> Option<Fields> {
        let mut fields = Fields::default();
        self.token("{")?;
        while self.token("}").is_none() {
            let key = self.string()?;
            self.token(":")?;
            match key {
                "descr" => fields.descr = Some(self.string()?.to_owned()),
                "fortran_order" => fields.fortran_order = Some(self.boolean()?),
                "shape" => fields.shape = Some(self.tuple()?),
                _ => return None,
            }
            if self.token(",").is_none() {
                self.token("}")?;
                break;
            }
        }
        self.0.is_empty().then_some(fields)
    }

    fn token(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(token)?.trim_start();
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let quote = self.0.chars().next().filter(|quote| ['\'', '"'].contains(quote))?;
        let (text, rest) = self.0.get(1..)?.split_once(quote)?;
        self.0 = rest.trim_start();
        Some(text)
    }

    fn boolean(&mut self) -> Option<bool> {
        self.token("True").map(|()| true).or_else(|| self.token("False").map(|()| false))
    }

    fn tuple(&mut self) -> Option<Vec<u64>> {
        let mut numbers = Vec::new();
        self.token("(")?;
        while self.token(")").is_none() {
            let end = self.0.find(|character: char| !character.is_ascii_digit())?;
            let (digits, rest) = self.0.split_at(end);
            numbers.push(digits.parse().ok()?);
            self.0 = rest.trim_start();
            if self.token(",").is_none() {
                self.token(")")?;
                break;
            }
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Header, String> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        Header::read(&mut bytes.as_slice())
    }

    #[test]
    fn what_numpy_writes_is_understood() {
        let header = read("{'descr': '>f8', 'fortran_order': True, 'shape': (60000, 28), }       \n").unwrap();
        let expected =
            Header { kind: 'f', size: 8, big_endian: true, fortran_order: true, shape: vec![60000, 28], length: 81 };
        assert_eq!(header, expected);
        for (tuple, shape) in [("()", vec![]), ("(3,)", vec![3]), ("(3, 4)", vec![3, 4])] {
            let header = read(&format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {tuple}}}")).unwrap();
            assert_eq!(header.shape, shape);
        }
    }

    #[test]
    fn the_header_that_another_implementation_writes_is_understood() {
        use npyz::WriterBuilder;
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(&[2, 1]).writer(&mut bytes).begin_nd();
        let mut writer = options.unwrap();
        writer.extend([1_i64, 2]).unwrap();
        writer.finish().unwrap();
        let header = Header::read(&mut bytes.as_slice()).unwrap();
        assert_eq!((header.kind, header.size, header.shape.as_slice()), ('i', 8, [2, 1].as_slice()));
        assert_eq!(header.length as usize + 16, bytes.len());
    }

    #[test]
    fn structures_nesting_and_nonsense_are_refused() {
        let deep = format!("{{'descr': {}", "[".repeat(60_000));
        for text in [
            "",
            "{",
            "{}",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': 'f', 'fortran_order': False, 'shape': ()}",
            "{'descr': '<é4', 'fortran_order': 0, 'shape': ()}",
            &deep,
        ] {
            assert!(read(text).is_err(), "{text:.80}");
        }
        assert!(Header::read(&mut b"\x93NUMPY\x02\x00\xff\xff\xff\xff".as_slice()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_makes_it_panic(text in "[-{}()'\":, a-zA-Z0-9<>|\u{e9}]{0,80}") {
            let _ = read(&text);
            let _ = read(&format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {text}}}"));
        }
    }
}

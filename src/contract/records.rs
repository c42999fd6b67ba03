//! Reads the protobuf records of a message one by one.

/// The bytes are not a valid message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The largest number that a field can have.
const NUMBER_MAX: u64 = (1 << 29) - 1;

/// A reader over the rest of a message.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// One record of a message.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The field's number.
    pub number: u32,
    /// The field's value.
    pub value: Wire<'a>,
    /// The offset in the message at which the record begins.
    pub start: usize,
    /// The offset at which it ends.
    pub end: usize,
}

/// A value in its wire format.
#[derive(Debug, Clone, Copy)]
pub enum Wire<'a> {
    /// A number, an enum or a boolean.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Text, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32,
}

impl<'a> Reader<'a> {
    /// Reads the records of this message.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next record, if there is one.
    pub fn next(&mut self) -> Result<Option<Record<'a>>, Malformed> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 || number > NUMBER_MAX {
            return Err(Malformed);
        }
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?.try_into().map_err(|_| Malformed)?;
                Wire::Fixed64(u64::from_le_bytes(bytes))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed32
            }
            // Groups belong to proto2, which no client of this contract uses.
            _ => return Err(Malformed),
        };
        let number = u32::try_from(number).map_err(|_| Malformed)?;
        Ok(Some(Record {
            number,
            value,
            start,
            end: self.at,
        }))
    }

    /// The next of packed numbers, if there is one.
    pub fn packed(&mut self) -> Result<Option<u64>, Malformed> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        self.varint().map(Some)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in 0..10 {
            let byte = *self.bytes.get(self.at).ok_or(Malformed)?;
            self.at += 1;
            // The tenth byte has room for one bit.
            if shift == 9 && byte > 1 {
                return Err(Malformed);
            }
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let bytes = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(bytes)
    }
}

impl<'a> Wire<'a> {
    /// The bytes of text or of a message.
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    /// Text.
    pub fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// A number.
    pub fn varint(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(Malformed),
        }
    }
}

/// Appends a number in the varint format.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

//! The D-Bus wire format (D-Bus specification, "Message Protocol"), as much of it as talking to systemd takes: little-endian
//! messages with strings, numbers, arrays of properties. What arrives is checked, whoever sent it.

/// A property's value, with the type that systemd wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `b`
    Switch(bool),
    /// `s`
    Text(String),
    /// `t`
    Number(u64),
    /// `au`
    Numbers(Vec<u32>),
    /// `ay`
    Bytes(Vec<u8>),
}

/// A named value.
pub type Property = (&'static str, Value);

/// Kinds of messages.
pub const CALL: u8 = 1;
pub const ANSWER: u8 = 2;
pub const ERROR: u8 = 3;
pub const SIGNAL: u8 = 4;

/// The fixed part of a header, with the length of the fields that follow.
pub const FIXED: usize = 16;
/// The specification's limit of a whole message.
const MAX: usize = 128 << 20;

/// A text that arrived and makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbled;

/// Bytes of a message being put together; alignment counts from its beginning.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Zeros up to a multiple of `to`.
    pub fn align(&mut self, to: usize) -> &mut Self {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
        self
    }

    /// `y`
    pub fn byte(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    /// `u`
    pub fn number(&mut self, number: u32) -> &mut Self {
        self.align(4).0.extend(number.to_le_bytes());
        self
    }

    /// `s` or `o`
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u32).0.extend(text.as_bytes());
        self.byte(0)
    }

    /// `g`
    pub fn signature(&mut self, text: &str) -> &mut Self {
        self.byte(text.len() as u8).0.extend(text.as_bytes());
        self.byte(0)
    }

    /// An array whose elements are aligned to `to`; its length does not count the padding before the first.
    pub fn array(&mut self, to: usize, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.number(0);
        let length_at = self.0.len() - 4;
        self.align(to);
        let start = self.0.len();
        fill(self);
        let length = (self.0.len() - start) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        self
    }

    /// `a(sv)`
    pub fn properties(&mut self, properties: &[Property]) -> &mut Self {
        self.array(8, |writer| {
            for (name, value) in properties {
                writer.align(8).text(name).value(value);
            }
        })
    }

    fn value(&mut self, value: &Value) -> &mut Self {
        match value {
            Value::Switch(on) => self.signature("b").number(u32::from(*on)),
            Value::Text(text) => self.signature("s").text(text),
            Value::Number(number) => {
                self.signature("t").align(8).0.extend(number.to_le_bytes());
                self
            }
            Value::Numbers(numbers) => self.signature("au").array(4, |writer| {
                numbers.iter().for_each(|number| {
                    writer.number(*number);
                });
            }),
            Value::Bytes(bytes) => self.signature("ay").array(1, |writer| writer.0.extend(bytes)),
        }
    }
}

/// A method call.
pub struct Call<'a> {
    /// Who is asked.
    pub destination: &'a str,
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
    /// The method.
    pub member: &'a str,
    /// The types of the body.
    pub signature: &'a str,
    /// The arguments.
    pub body: Writer,
}

impl Call<'_> {
    /// The whole message.
    pub fn message(&self, serial: u32) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.byte(b'l').byte(CALL).byte(0).byte(1).number(self.body.0.len() as u32).number(serial);
        writer.array(8, |writer| {
            let mut field = |code, kind: &str, text: &str| {
                writer.align(8).byte(code).signature(kind);
                if kind == "g" {
                    writer.signature(text)
                } else {
                    writer.text(text)
                };
            };
            field(1, "o", self.path);
            field(2, "s", self.interface);
            field(3, "s", self.member);
            field(6, "s", self.destination);
            if !self.signature.is_empty() {
                field(8, "g", self.signature);
            }
        });
        writer.align(8).0.extend(&self.body.0);
        writer.0
    }
}

/// A message that arrived.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Message {
    /// [`ANSWER`], [`ERROR`], [`SIGNAL`] or something else.
    pub kind: u8,
    /// Which call it answers.
    pub answers: Option<u32>,
    /// The signal's name.
    pub member: Option<String>,
    /// The error's name.
    pub error: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// How long a message is, by its first [`FIXED`] bytes: header with padding, body.
pub fn lengths(fixed: &[u8; FIXED]) -> Result<(usize, usize), Garbled> {
    let mut reader = Reader::new(&fixed[4..]);
    let (body, _, fields) = (reader.number()?, reader.number()?, reader.number()?);
    let header = (FIXED + fields as usize).next_multiple_of(8);
    // Everybody whom we talk to runs on this machine.
    match fixed[0] == b'l' && fixed[3] == 1 && header + (body as usize) < MAX {
        true => Ok((header, body as usize)),
        false => Err(Garbled),
    }
}

impl Message {
    /// Reads a header of the length that [`lengths`] told; the body is the caller's.
    pub fn read(header: &[u8], body: Vec<u8>) -> Result<Self, Garbled> {
        let mut message = Self { kind: *header.get(1).ok_or(Garbled)?, body, ..Self::default() };
        let mut reader = Reader::new(header);
        reader.at = FIXED - 4;
        let end = FIXED + reader.number()? as usize;
        while reader.at < end {
            reader.align(8)?;
            let code = reader.byte()?;
            match (code, reader.signature()?.as_str()) {
                (5, "u") => message.answers = Some(reader.number()?),
                (4, "s") => message.error = Some(reader.text()?),
                (3, "s") => message.member = Some(reader.text()?),
                (_, "s" | "o") => drop(reader.text()?),
                (_, "g") => drop(reader.signature()?),
                (_, "u") => drop(reader.number()?),
                _ => return Err(Garbled),
            }
        }
        Ok(message)
    }
}

/// Takes values off bytes.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn align(&mut self, to: usize) -> Result<(), Garbled> {
        self.at = self.at.next_multiple_of(to);
        if self.at <= self.bytes.len() { Ok(()) } else { Err(Garbled) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Garbled> {
        let end = self.at.checked_add(count).ok_or(Garbled)?;
        let taken = self.bytes.get(self.at..end).ok_or(Garbled)?;
        self.at = end;
        Ok(taken)
    }

    /// `y`
    pub fn byte(&mut self) -> Result<u8, Garbled> {
        Ok(self.take(1)?[0])
    }

    /// `u`
    pub fn number(&mut self) -> Result<u32, Garbled> {
        self.align(4)?;
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// `s` or `o`
    pub fn text(&mut self) -> Result<String, Garbled> {
        let length = self.number()? as usize;
        self.ended(length)
    }

    /// `g`
    pub fn signature(&mut self) -> Result<String, Garbled> {
        let length = usize::from(self.byte()?);
        self.ended(length)
    }

    fn ended(&mut self, length: usize) -> Result<String, Garbled> {
        let bytes = self.take(length)?;
        match self.byte()? {
            0 => String::from_utf8(bytes.to_vec()).map_err(|_| Garbled),
            _ => Err(Garbled),
        }
    }

    /// `v` with a string in it.
    pub fn text_in_variant(&mut self) -> Result<String, Garbled> {
        match self.signature()?.as_str() {
            "s" | "o" => self.text(),
            _ => Err(Garbled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_the_bytes_of_the_specification() {
        let mut body = Writer::default();
        body.text("a.scope");
        let call = Call {
            destination: "org.freedesktop.systemd1",
            path: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.systemd1.Manager",
            member: "GetUnit",
            signature: "s",
            body,
        };
        let bytes = call.message(7);
        assert_eq!(&bytes[..8], [b'l', 1, 0, 1, 12, 0, 0, 0]);
        assert_eq!(&bytes[8..12], [7, 0, 0, 0]);
        assert_eq!(&bytes[16..20], [1, 1, b'o', 0]);
        assert_eq!(bytes.len() % 8, 4);
        assert!(bytes.ends_with(b"\x07\0\0\0a.scope\0"));
        let (header, body) = lengths(bytes[..FIXED].try_into().unwrap()).unwrap();
        assert_eq!(header + body, bytes.len());
        let message = Message::read(&bytes[..header], bytes[header..].to_vec()).unwrap();
        assert_eq!((message.kind, message.member.as_deref()), (CALL, Some("GetUnit")));
        assert_eq!(Reader::new(&message.body).text(), Ok("a.scope".to_owned()));
    }

    #[test]
    fn properties_are_aligned() {
        let mut writer = Writer::default();
        writer.properties(&[
            ("A", Value::Number(5)),
            ("B", Value::Switch(true)),
            ("C", Value::Numbers(vec![9])),
        ]);
        let expected: &[u8] = b"\x3c\0\0\0\0\0\0\0\
            \x01\0\0\0A\0\x01t\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\
            \x01\0\0\0B\0\x01b\0\0\0\0\x01\0\0\0\
            \x01\0\0\0C\0\x02au\0\0\0\x04\0\0\0\x09\0\0\0";
        assert_eq!(writer.0, expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let good = Call {
            destination: "a.b",
            path: "/",
            interface: "a.b",
            member: "C",
            signature: "",
            body: Writer::default(),
        };
        let good = good.message(1);
        for length in 0..good.len() {
            let _ = Message::read(&good[..length], Vec::new());
        }
        for at in 0..good.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = byte;
                let _ = lengths(bad[..FIXED].try_into().unwrap());
                let _ = Message::read(&bad, Vec::new());
            }
        }
        assert_eq!(Reader::new(&[255, 255, 255, 255, 1]).text(), Err(Garbled));
        assert_eq!(Reader::new(b"\x01\0\0\0ab").text(), Err(Garbled));
        assert_eq!(lengths(&[b'B'; FIXED]), Err(Garbled));
    }
}

//! The framing of netlink (`linux/netlink.h`): messages with headers, attributes inside them, aligned to four bytes, in the
//! host's byte order. Builds into one buffer and reads from a slice; does no input or output.

use std::borrow::Cow;

use rustix::io::Errno;

pub(crate) const HEADER: usize = 16;

pub(crate) const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_DUMP_INTR: u16 = 0x10;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLM_F_REPLACE: u16 = 0x100;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_APPEND: u16 = 0x800;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;

pub(crate) const NLMSG_NOOP: u16 = 1;
pub(crate) const NLMSG_ERROR: u16 = 2;
pub(crate) const NLMSG_DONE: u16 = 3;
pub(crate) const NLMSG_OVERRUN: u16 = 4;

const NLA_F_NESTED: u16 = 1 << 15;
const NLA_TYPE_MASK: u16 = 0x3fff;
const NLMSGERR_ATTR_MSG: u16 = 1;

const fn align(length: usize) -> usize {
    (length + 3) & !3
}

/// Requests in one buffer, each with what it does in words.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    actions: Vec<Cow<'static, str>>,
}

impl Messages {
    /// Starts a message; what follows is appended to it.
    pub(crate) fn begin(&mut self, kind: u16, flags: u16, action: impl Into<Cow<'static, str>>) {
        self.starts.push(self.bytes.len());
        self.actions.push(action.into());
        self.bytes.extend_from_slice(&0u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 8]);
        self.grow();
    }

    /// The family header that follows the message's.
    pub(crate) fn header(&mut self, header: &[u8]) {
        self.bytes.extend_from_slice(header);
        self.pad();
        self.grow();
    }

    /// An attribute.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        self.attribute(kind, value, 0);
    }

    /// An attribute that is text with a terminating zero.
    pub(crate) fn put_text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, value.as_bytes(), 1);
    }

    pub(crate) fn put_u8(&mut self, kind: u16, value: u8) {
        self.put(kind, &[value]);
    }

    pub(crate) fn put_u16(&mut self, kind: u16, value: u16) {
        self.put(kind, &value.to_ne_bytes());
    }

    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// A number in network byte order, as nfnetlink has all of its.
    pub(crate) fn put_be32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    pub(crate) fn put_be64(&mut self, kind: u16, value: u64) {
        self.put(kind, &value.to_be_bytes());
    }

    /// An attribute made of attributes.
    pub(crate) fn nest(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&(kind | NLA_F_NESTED).to_ne_bytes());
        inside(self);
        self.set_length16(start);
        self.grow();
    }

    /// What has been built.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many messages there are.
    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// What message `index` does.
    pub(crate) fn action(&self, index: usize) -> &str {
        self.actions.get(index).map_or("netlink request", AsRef::as_ref)
    }

    /// Numbers the messages from `first` on, asks for an acknowledgement of message `acknowledged` (errors come unasked), and
    /// gives the bytes to send.
    pub(crate) fn seal(&mut self, first: u32, acknowledged: Option<usize>) -> &[u8] {
        for (index, &start) in self.starts.iter().enumerate() {
            let number = first.wrapping_add(u32::try_from(index).unwrap_or(u32::MAX));
            self.bytes[start + 8..start + 12].copy_from_slice(&number.to_ne_bytes());
            if acknowledged == Some(index) {
                let flags = u16::from_ne_bytes([self.bytes[start + 6], self.bytes[start + 7]]) | NLM_F_ACK;
                self.bytes[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
            }
        }
        &self.bytes
    }

    fn attribute(&mut self, kind: u16, value: &[u8], zeros: usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len() + zeros, 0);
        self.set_length16(start);
        self.pad();
        self.grow();
    }

    fn set_length16(&mut self, start: usize) {
        // An attribute's length has 16 bits. Callers split what could be longer; saturating makes the kernel refuse the rest.
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn pad(&mut self) {
        self.bytes.resize(align(self.bytes.len()), 0);
    }

    /// Writes the current length into the last message's header.
    fn grow(&mut self) {
        if let Some(&start) = self.starts.last() {
            let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
            self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        }
    }
}

/// A received message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// What follows the header.
    pub(crate) payload: &'a [u8],
}

impl<'a> Received<'a> {
    /// The messages of one datagram; ends at the first that is cut short.
    pub(crate) fn all(mut bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        std::iter::from_fn(move || {
            let header = bytes.get(..HEADER)?;
            let length = usize::try_from(u32_at(header, 0)?).ok()?;
            let payload = bytes.get(HEADER..length)?;
            bytes = bytes.get(align(length)..).unwrap_or_default();
            Some(Self {
                kind: u16_at(header, 4)?,
                flags: u16_at(header, 6)?,
                sequence: u32_at(header, 8)?,
                payload,
            })
        })
    }

    /// Of an `NLMSG_ERROR` (or the status in `NLMSG_DONE`): Ok for an acknowledgement, else the number and the kernel's text.
    pub(crate) fn status(&self) -> Result<(), (Errno, Option<String>)> {
        let code = u32_at(self.payload, 0).map_or(0, |code| code.cast_signed());
        if code >= 0 {
            return Ok(());
        }
        Err((Errno::from_raw_os_error(code.saturating_neg()), self.text()))
    }

    fn text(&self) -> Option<String> {
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return None;
        }
        // The request follows the code: its header only when capped.
        let request = if self.flags & NLM_F_CAPPED != 0 {
            HEADER
        } else {
            align(usize::try_from(u32_at(self.payload, 4)?).ok()?)
        };
        let (_, text) =
            Attributes(self.payload.get(4 + request..)?).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)?;
        Some(text_of(text))
    }
}

/// The attributes in a slice, in order; ends at the first that is cut short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & NLA_TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The first attribute of a kind.
pub(crate) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    Attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// The text of an attribute, without its terminating zero.
pub(crate) fn text_of(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

pub(crate) fn be64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read_back() {
        let mut messages = Messages::default();
        messages.begin(16, NLM_F_CREATE, "first");
        messages.header(&[9; 16]);
        messages.put_text(3, "veth0");
        messages.nest(18, |inside| {
            inside.put_u32(1, 7);
            inside.put(2, &[1, 2, 3]);
        });
        messages.begin(20, 0, "second");
        messages.header(&[1, 2]);
        assert_eq!(messages.count(), 2);
        assert_eq!(messages.action(1), "second");

        let bytes = messages.seal(41, Some(1)).to_vec();
        let read: Vec<_> = Received::all(&bytes).collect();
        assert_eq!((read[0].kind, read[0].sequence, read[0].flags), (16, 41, NLM_F_CREATE | NLM_F_REQUEST));
        assert_eq!((read[1].kind, read[1].sequence, read[1].flags), (20, 42, NLM_F_ACK | NLM_F_REQUEST));
        assert_eq!(read[1].payload, [1, 2, 0, 0]);
        let attributes: Vec<_> = Attributes(&read[0].payload[16..]).collect();
        assert_eq!(text_of(attributes[0].1), "veth0");
        assert_eq!(attributes[1].0, 18);
        assert_eq!(find(attributes[1].1, 2), Some(&[1, 2, 3][..]));
    }

    #[test]
    fn a_cut_message_ends_the_reading() {
        let mut messages = Messages::default();
        messages.begin(16, 0, "cut");
        messages.put_u32(1, 1);
        let bytes = messages.seal(1, None);
        for length in 0..bytes.len() {
            assert_eq!(Received::all(&bytes[..length]).count(), 0, "{length}");
            for received in Received::all(&bytes[..length]) {
                assert!(received.status().is_ok());
            }
        }
        assert_eq!(Attributes(&[200, 0, 1, 0, 5]).count(), 0);
        assert_eq!(Attributes(&[1, 0, 1, 0]).count(), 0);
    }

    #[test]
    fn an_error_has_its_number_and_the_kernels_words() {
        let mut bytes = (-17i32).to_ne_bytes().to_vec();
        bytes.extend_from_slice(&[0; HEADER]);
        bytes.extend_from_slice(&[12, 0, 1, 0]);
        bytes.extend_from_slice(b"busy\0\0\0\0");
        let received = Received {
            kind: NLMSG_ERROR,
            flags: NLM_F_CAPPED | NLM_F_ACK_TLVS,
            sequence: 1,
            payload: &bytes,
        };
        assert_eq!(received.status(), Err((Errno::EXIST, Some("busy".to_owned()))));
        let received = Received { payload: &[0; 20], ..received };
        assert_eq!(received.status(), Ok(()));
    }
}

//! Sets and maps of other people, read: what they hold, and whether a key is in them.

use super::decode::{Decision, decision};
use super::numbers::*;
use crate::wire::{Attributes, be32, find, text_of};

/// A set or map, as far as is needed to look into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetEntry {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Elements are the ends of intervals.
    pub intervals: bool,
    /// Lengths of the fields of a key where there are several, in bytes; each begins at a multiple of four.
    pub fields: Vec<u32>,
}

/// An element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its key; empty for what stands for all others.
    pub key: Vec<u8>,
    /// The last key, of an interval with several fields.
    pub last: Option<Vec<u8>>,
    /// An interval ends before this key.
    pub ends: bool,
    /// What a map has for it.
    pub value: Option<Vec<u8>>,
    /// What a map decides for it.
    pub decision: Option<Decision>,
}

impl SetEntry {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let attributes = payload.get(4..)?;
        let flags = find(attributes, NFTA_SET_FLAGS).and_then(be32).unwrap_or(0);
        let concat = find(attributes, NFTA_SET_DESC).and_then(|desc| find(desc, NFTA_SET_DESC_CONCAT));
        let fields = Attributes(concat.unwrap_or_default())
            .filter_map(|(_, field)| find(field, NFTA_SET_FIELD_LEN).and_then(be32))
            .collect();
        Some(Self {
            table: text_of(find(attributes, NFTA_SET_TABLE)?),
            name: text_of(find(attributes, NFTA_SET_NAME)?),
            intervals: flags & NFT_SET_INTERVAL != 0,
            fields,
        })
    }

    /// The member that stands for a key of which every byte is known.
    pub fn find<'a>(&self, members: &'a [Member], key: &[u8]) -> Option<&'a Member> {
        let found = if !self.intervals {
            members.iter().find(|member| !member.key.is_empty() && member.key == key)
        } else if self.fields.len() > 1 {
            members.iter().find(|member| self.spans(member, key))
        } else {
            // The nearest end at or before the key; where one interval ends as the next begins, the beginning counts.
            let before = members.iter().filter(|member| !member.key.is_empty() && *member.key <= *key);
            before.max_by(|a, b| a.key.cmp(&b.key).then(b.ends.cmp(&a.ends))).filter(|member| !member.ends)
        };
        found.or_else(|| members.iter().find(|member| member.key.is_empty()))
    }

    fn spans(&self, member: &Member, key: &[u8]) -> bool {
        let last = member.last.as_ref().unwrap_or(&member.key);
        let mut at = 0;
        !member.key.is_empty()
            && self.fields.iter().all(|length| {
                let length = usize::try_from(*length).unwrap_or(usize::MAX);
                let range = at..at + length;
                at += length.next_multiple_of(4);
                match (key.get(range.clone()), member.key.get(range.clone()), last.get(range)) {
                    (Some(key), Some(first), Some(last)) => (first..=last).contains(&key),
                    _ => false,
                }
            })
    }
}

/// The members in one piece of a listed set.
pub(super) fn members(payload: &[u8]) -> Vec<Member> {
    let list = payload.get(4..).and_then(|attributes| find(attributes, NFTA_SET_ELEM_LIST_ELEMENTS));
    Attributes(list.unwrap_or_default())
        .filter(|(kind, _)| *kind == NFTA_LIST_ELEM)
        .map(|(_, element)| member(element))
        .collect()
}

fn member(element: &[u8]) -> Member {
    let value = |kind| find(element, kind).and_then(|data| find(data, NFTA_DATA_VALUE)).map(<[u8]>::to_vec);
    let flags = find(element, NFTA_SET_ELEM_FLAGS).and_then(be32).unwrap_or(0);
    Member {
        key: value(NFTA_SET_ELEM_KEY).unwrap_or_default(),
        last: value(NFTA_SET_ELEM_KEY_END),
        ends: flags & NFT_SET_ELEM_INTERVAL_END != 0,
        value: value(NFTA_SET_ELEM_DATA),
        decision: find(element, NFTA_SET_ELEM_DATA).and_then(decision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(key: &[u8], last: Option<&[u8]>, ends: bool) -> Member {
        Member { key: key.to_vec(), last: last.map(<[u8]>::to_vec), ends, value: None, decision: None }
    }

    fn set(intervals: bool, fields: &[u32]) -> SetEntry {
        SetEntry { table: String::new(), name: String::new(), intervals, fields: fields.to_vec() }
    }

    #[test]
    fn intervals_are_half_open_and_may_touch() {
        let members = [
            member(&[0, 0], None, true),
            member(&[0, 10], None, false),
            member(&[0, 20], None, true),
            member(&[0, 20], None, false),
            member(&[0, 30], None, true),
        ];
        let has = |key: u8| set(true, &[]).find(&members, &[0, key]).is_some();
        let found: Vec<u8> = (0..40).filter(|key| has(*key)).collect();
        assert_eq!(found, (10..30).collect::<Vec<_>>());
    }

    #[test]
    fn fields_have_intervals_of_their_own() {
        let members = [member(&[10, 0, 0, 0, 0, 80, 0, 0], Some(&[10, 0, 0, 255, 0, 90, 0, 0]), false)];
        let has = |key: &[u8]| set(true, &[4, 2]).find(&members, key).is_some();
        assert!(has(&[10, 0, 0, 7, 0, 85, 0, 0]));
        assert!(!has(&[10, 0, 1, 7, 0, 85, 0, 0]));
        assert!(!has(&[10, 0, 0, 7, 0, 91, 0, 0]));
    }

    #[test]
    fn the_member_for_all_others_comes_last() {
        let members = [member(&[], None, false), member(&[1], None, false)];
        assert_eq!(set(false, &[]).find(&members, &[1]), Some(&members[1]));
        assert_eq!(set(false, &[]).find(&members, &[2]), Some(&members[0]));
    }
}

//! Changes to nftables that happen together or not at all, in order.

use std::borrow::Cow;

use super::data::{Data, Key, Kind, type_length, type_number};
use super::numbers::*;
use super::rule::Rule;
use crate::wire::{Messages, NLM_F_APPEND, NLM_F_CREATE};

/// Protocol family of a table, `NFPROTO_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// For requests about no table.
    Unspecified,
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl Family {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::Inet => 1,
            Self::Ipv4 => 2,
            Self::Ipv6 => 10,
        }
    }

    /// The name that `nft` has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspec",
            Self::Inet => "inet",
            Self::Ipv4 => "ip",
            Self::Ipv6 => "ip6",
        }
    }
}

/// Where in a packet's way a chain is looked at, `NF_INET_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// As it arrives.
    Prerouting,
    /// On its way to this host.
    Input,
    /// On its way through this host.
    Forward,
    /// As this host sends it.
    Output,
    /// As it leaves.
    Postrouting,
}

/// A chain that the kernel itself calls; what none of its rules decides is accepted.
#[derive(Debug, Clone, Copy)]
pub struct BaseChain<'a> {
    /// Its name.
    pub name: &'a str,
    /// `filter` or `nat`.
    pub kind: &'a str,
    /// Where it is called.
    pub hook: Hook,
    /// Chains at one hook are called from the lowest to the highest.
    pub priority: i32,
}

/// A set, or with `data` a map.
#[derive(Debug, Clone, Copy)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// Types of the key's fields.
    pub key: &'a [Kind],
    /// Types of the value's fields; None is a set.
    pub data: Option<MapData<'a>>,
}

/// What a map leads to.
#[derive(Debug, Clone, Copy)]
pub enum MapData<'a> {
    /// Values.
    Values(&'a [Kind]),
    /// Verdicts.
    Verdicts,
}

/// A member of a set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its key.
    pub key: Key,
    /// What it leads to, in a map.
    pub data: Option<Data>,
    /// A comment for people who list the set.
    pub comment: String,
}

/// An element's attributes stay far below this; a message's list of them must stay below 64 KiB.
const ELEMENTS_PER_MESSAGE: usize = 256;

/// Changes to be committed together.
#[derive(Debug)]
pub struct Transaction {
    messages: Messages,
    family: Family,
    table: String,
}

impl Transaction {
    /// A transaction about one table.
    pub fn new(family: Family, table: &str) -> Self {
        let mut messages = Messages::default();
        messages.begin(NFNL_MSG_BATCH_BEGIN, 0, "begin nftables transaction");
        messages.header(&batch_header());
        Self { messages, family, table: table.to_owned() }
    }

    /// Makes the table unless it is there.
    pub fn add_table(&mut self, comment: &str) -> &mut Self {
        self.begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, format!("add table {}", self.table));
        self.messages.put_text(NFTA_TABLE_NAME, &self.table);
        put_comment(&mut self.messages, NFTA_TABLE_USERDATA, comment);
        self
    }

    /// Removes the table with all that is in it.
    pub fn delete_table(&mut self) -> &mut Self {
        self.begin(NFT_MSG_DELTABLE, 0, format!("delete table {}", self.table));
        self.messages.put_text(NFTA_TABLE_NAME, &self.table);
        self
    }

    /// Makes a base chain.
    pub fn add_base_chain(&mut self, chain: &BaseChain<'_>) -> &mut Self {
        self.begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, format!("add chain {} {}", self.table, chain.name));
        self.messages.put_text(NFTA_CHAIN_TABLE, &self.table);
        self.messages.put_text(NFTA_CHAIN_NAME, chain.name);
        self.messages.nest(NFTA_CHAIN_HOOK, |hook| {
            hook.put_be32(
                NFTA_HOOK_HOOKNUM,
                match chain.hook {
                    Hook::Prerouting => 0,
                    Hook::Input => 1,
                    Hook::Forward => 2,
                    Hook::Output => 3,
                    Hook::Postrouting => 4,
                },
            );
            hook.put_be32(NFTA_HOOK_PRIORITY, chain.priority.cast_unsigned());
        });
        self.messages.put_text(NFTA_CHAIN_TYPE, chain.kind);
        self.messages.put_be32(NFTA_CHAIN_POLICY, 1);
        self
    }

    /// Makes a chain that rules jump to.
    pub fn add_chain(&mut self, name: &str) -> &mut Self {
        self.begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, format!("add chain {} {name}", self.table));
        self.messages.put_text(NFTA_CHAIN_TABLE, &self.table);
        self.messages.put_text(NFTA_CHAIN_NAME, name);
        self
    }

    /// Adds a rule at the end of a chain.
    pub fn add_rule(&mut self, chain: &str, rule: &Rule) -> &mut Self {
        self.rule(NLM_F_CREATE | NLM_F_APPEND, chain, rule)
    }

    /// Adds a rule at the beginning of a chain.
    pub fn insert_rule(&mut self, chain: &str, rule: &Rule) -> &mut Self {
        self.rule(NLM_F_CREATE, chain, rule)
    }

    /// Removes a rule.
    pub fn delete_rule(&mut self, chain: &str, handle: u64) -> &mut Self {
        self.begin(NFT_MSG_DELRULE, 0, format!("delete rule {handle} of {} {chain}", self.table));
        self.messages.put_text(NFTA_RULE_TABLE, &self.table);
        self.messages.put_text(NFTA_RULE_CHAIN, chain);
        self.messages.put_be64(NFTA_RULE_HANDLE, handle);
        self
    }

    /// Makes a set or map.
    pub fn add_set(&mut self, set: &Set<'_>) -> &mut Self {
        self.begin(NFT_MSG_NEWSET, NLM_F_CREATE, format!("add set {} {}", self.table, set.name));
        // Must be unique in the transaction.
        let id = u32::try_from(self.messages.count()).unwrap_or(u32::MAX);
        let messages = &mut self.messages;
        messages.put_text(NFTA_SET_TABLE, &self.table);
        messages.put_text(NFTA_SET_NAME, set.name);
        messages.put_be32(NFTA_SET_FLAGS, if set.data.is_some() { NFT_SET_MAP } else { 0 });
        messages.put_be32(NFTA_SET_KEY_TYPE, type_number(set.key));
        messages.put_be32(NFTA_SET_KEY_LEN, type_length(set.key));
        match set.data {
            None => {}
            Some(MapData::Verdicts) => messages.put_be32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT),
            Some(MapData::Values(kinds)) => {
                messages.put_be32(NFTA_SET_DATA_TYPE, type_number(kinds));
                messages.put_be32(NFTA_SET_DATA_LEN, type_length(kinds));
            }
        }
        messages.put_be32(NFTA_SET_ID, id);
        // `nft` before 1.0.7 reads the byte order of single-field keys from here; 1 is the host's, 2 the network's.
        let order = |kind: &Kind| if *kind == Kind::Ifname { 1u32 } else { 2 };
        let mut user = Vec::new();
        let mut note = |kind: u8, value: u32| {
            user.extend_from_slice(&[kind, 4]);
            user.extend_from_slice(&value.to_ne_bytes());
        };
        if let [kind] = set.key {
            note(0, order(kind));
        }
        if let Some(MapData::Values([kind])) = &set.data {
            note(1, order(kind));
        }
        if !user.is_empty() {
            messages.put(NFTA_SET_USERDATA, &user);
        }
        self
    }

    /// Adds elements; one that is there with the same data is left.
    pub fn add_elements(&mut self, set: &str, elements: &[Element]) -> &mut Self {
        self.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, elements)
    }

    /// Removes elements; one that is not there fails the transaction.
    pub fn delete_elements(&mut self, set: &str, elements: &[Element]) -> &mut Self {
        self.elements(NFT_MSG_DELSETELEM, 0, set, elements)
    }

    /// The messages with the batch closed, and which one's acknowledgement ends it; None when there is nothing to do.
    pub(super) fn finish(mut self) -> Option<(Messages, usize)> {
        let last = self.messages.count() - 1;
        if last == 0 {
            return None;
        }
        self.messages.begin(NFNL_MSG_BATCH_END, 0, "commit nftables transaction");
        self.messages.header(&batch_header());
        Some((self.messages, last))
    }

    fn rule(&mut self, flags: u16, chain: &str, rule: &Rule) -> &mut Self {
        self.begin(NFT_MSG_NEWRULE, flags, format!("add rule to {} {chain}", self.table));
        let messages = &mut self.messages;
        messages.put_text(NFTA_RULE_TABLE, &self.table);
        messages.put_text(NFTA_RULE_CHAIN, chain);
        messages.nest(NFTA_RULE_EXPRESSIONS, |list| list.header(rule.expressions.bytes()));
        if let Some(comment) = &rule.comment {
            put_comment(messages, NFTA_RULE_USERDATA, comment);
        }
        self
    }

    fn elements(&mut self, kind: u16, flags: u16, set: &str, elements: &[Element]) -> &mut Self {
        let verb = if kind == NFT_MSG_NEWSETELEM { "add elements to" } else { "delete elements from" };
        for elements in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.begin(kind, flags, format!("{verb} {} {set}", self.table));
            let messages = &mut self.messages;
            messages.put_text(NFTA_SET_ELEM_LIST_TABLE, &self.table);
            messages.put_text(NFTA_SET_ELEM_LIST_SET, set);
            messages.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
                for element in elements {
                    list.nest(NFTA_LIST_ELEM, |item| {
                        item.nest(NFTA_SET_ELEM_KEY, |key| key.put(NFTA_DATA_VALUE, element.key.bytes()));
                        if kind == NFT_MSG_NEWSETELEM {
                            if let Some(data) = &element.data {
                                data.put(item, NFTA_SET_ELEM_DATA);
                            }
                            put_comment(item, NFTA_SET_ELEM_USERDATA, &element.comment);
                        }
                    });
                }
            });
        }
        self
    }

    fn begin(&mut self, kind: u16, flags: u16, action: impl Into<Cow<'static, str>>) {
        self.messages.begin(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, action);
        // struct nfgenmsg: family, version 0, resource id 0.
        self.messages.header(&[self.family.number(), 0, 0, 0]);
    }
}

/// `struct nfgenmsg` of the messages around a transaction: the resource is the subsystem, in network byte order.
fn batch_header() -> [u8; 4] {
    let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
    [0, 0, high, low]
}

/// A comment as `nft` writes it: type 0, length, text with its terminating zero; at most 128 bytes.
fn put_comment(messages: &mut Messages, kind: u16, comment: &str) {
    if comment.is_empty() {
        return;
    }
    let mut end = comment.len().min(127);
    while !comment.is_char_boundary(end) {
        end -= 1;
    }
    let text = &comment.as_bytes()[..end];
    let mut user = vec![0, u8::try_from(text.len() + 1).unwrap_or(u8::MAX)];
    user.extend_from_slice(text);
    user.push(0);
    messages.put(kind, &user);
}

//! What nftables says there is: chains, rules, elements.

use std::borrow::Cow;

use super::data::Key;
use super::decode::{Decision, Expression, expressions};
use super::numbers::*;
use super::transaction::Family;
use crate::wire::{Attributes, Messages, be32, be64, find, text_of};

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `filter`, `nat` or `route`; empty for chains that rules jump to.
    pub kind: String,
    /// `NF_INET_*` of a base chain: 2 is forward.
    pub hook: Option<u32>,
    /// Chains at one hook are called from the lowest to the highest.
    pub priority: i32,
    /// Whether what no rule decides is dropped.
    pub policy_drop: bool,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleEntry {
    /// What it is deleted by.
    pub handle: u64,
    /// Its comment.
    pub comment: Option<String>,
    /// What it does, in order.
    pub expressions: Vec<Expression>,
}

pub(super) fn request(
    family: Family,
    kind: u16,
    flags: u16,
    action: impl Into<Cow<'static, str>>,
) -> Messages {
    let mut messages = Messages::default();
    messages.begin(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, action);
    messages.header(&[family.number(), 0, 0, 0]);
    messages
}

impl Chain {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let attributes = payload.get(4..)?;
        let hook = find(attributes, NFTA_CHAIN_HOOK);
        let of_hook = |kind| hook.and_then(|hook| find(hook, kind)).and_then(be32);
        Some(Self {
            table: text_of(find(attributes, NFTA_CHAIN_TABLE)?),
            name: text_of(find(attributes, NFTA_CHAIN_NAME)?),
            kind: find(attributes, NFTA_CHAIN_TYPE).map(text_of).unwrap_or_default(),
            hook: of_hook(NFTA_HOOK_HOOKNUM),
            priority: of_hook(NFTA_HOOK_PRIORITY).map_or(0, u32::cast_signed),
            policy_drop: find(attributes, NFTA_CHAIN_POLICY).and_then(be32) == Some(0),
        })
    }
}

impl RuleEntry {
    /// Whether no packet gets past it.
    pub fn refuses_all(&self) -> bool {
        let refuses = |expression: &Expression| match expression {
            Expression::Reject | Expression::Verdict(Decision::Drop) => true,
            Expression::XtTarget { name, .. } => matches!(name.as_str(), "REJECT" | "DROP"),
            _ => false,
        };
        let decides_nothing = |expression: &Expression| match expression {
            Expression::Aside => true,
            Expression::XtMatch { name, .. } => name == "comment",
            _ => false,
        };
        self.expressions.iter().any(refuses)
            && self.expressions.iter().all(|expression| refuses(expression) || decides_nothing(expression))
    }

    pub(super) fn read(payload: &[u8], table: &str, chain: &str) -> Option<Self> {
        let attributes = payload.get(4..)?;
        let named = |kind, name: &str| find(attributes, kind).is_some_and(|value| text_of(value) == name);
        if !named(NFTA_RULE_TABLE, table) || !named(NFTA_RULE_CHAIN, chain) {
            return None;
        }
        Some(Self {
            handle: find(attributes, NFTA_RULE_HANDLE).and_then(be64)?,
            comment: find(attributes, NFTA_RULE_USERDATA).and_then(comment),
            expressions: find(attributes, NFTA_RULE_EXPRESSIONS).map(expressions).unwrap_or_default(),
        })
    }
}

/// The text in type 0 of a rule's user data.
fn comment(mut user: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = user {
        let value = rest.get(..usize::from(*length))?;
        if *kind == 0 {
            return Some(text_of(value));
        }
        user = &rest[value.len()..];
    }
    None
}

/// The keys in one piece of a listed set.
pub(super) fn keys(payload: &[u8]) -> Vec<Key> {
    let Some(elements) =
        payload.get(4..).and_then(|attributes| find(attributes, NFTA_SET_ELEM_LIST_ELEMENTS))
    else {
        return Vec::new();
    };
    Attributes(elements)
        .filter(|(kind, _)| *kind == NFTA_LIST_ELEM)
        .filter_map(|(_, element)| find(element, NFTA_SET_ELEM_KEY))
        .filter_map(|key| find(key, NFTA_DATA_VALUE))
        .map(Key::listed)
        .collect()
}

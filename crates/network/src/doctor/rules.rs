//! The packet filter of the host as it is now, everybody's: tables, chains and rules read once, sets when a packet comes to
//! one.

use std::collections::BTreeMap;
use std::rc::Rc;

use netlink::nft::{Chain, Family, Member, Nft, RuleEntry, SetEntry};

use crate::error::Result;

/// A chain with its rules.
#[derive(Debug)]
pub(super) struct Filled {
    pub family: Family,
    pub chain: Chain,
    pub rules: Vec<RuleEntry>,
}

type Name = (&'static str, String, String);

/// Everything that decides about IP packets.
#[derive(Debug)]
pub(super) struct Rules {
    nft: Nft,
    chains: BTreeMap<Name, Rc<Filled>>,
    sets: BTreeMap<Name, SetEntry>,
    members: BTreeMap<Name, Rc<Vec<Member>>>,
}

impl Rules {
    /// Reads the calling thread's network namespace.
    pub fn read() -> Result<Self> {
        let mut nft = Nft::open()?;
        let (mut chains, mut sets) = (BTreeMap::new(), BTreeMap::new());
        for family in [Family::Inet, Family::Ipv4, Family::Ipv6] {
            for chain in nft.chains(family)? {
                let rules = nft.rules(family, &chain.table, &chain.name)?;
                let name = (family.name(), chain.table.clone(), chain.name.clone());
                chains.insert(name, Rc::new(Filled { family, chain, rules }));
            }
            for set in nft.sets(family)? {
                sets.insert((family.name(), set.table.clone(), set.name.clone()), set);
            }
        }
        Ok(Self { nft, chains, sets, members: BTreeMap::new() })
    }

    /// The chains that the kernel calls at a hook for packets of a family, in the order of calling.
    pub fn at(&self, hook: u32, ipv6: bool) -> Vec<Rc<Filled>> {
        let other = if ipv6 { Family::Ipv4 } else { Family::Ipv6 };
        let mut found: Vec<_> = self
            .chains
            .values()
            .filter(|filled| filled.chain.hook == Some(hook) && filled.family != other)
            .cloned()
            .collect();
        found.sort_by_key(|filled| filled.chain.priority);
        found
    }

    /// A chain of the same table.
    pub fn sibling(&self, of: &Filled, name: &str) -> Option<Rc<Filled>> {
        self.chains.get(&(of.family.name(), of.chain.table.clone(), name.to_owned())).cloned()
    }

    /// A set of the same table, with what is in it.
    pub fn set(&mut self, of: &Filled, name: &str) -> Option<(SetEntry, Rc<Vec<Member>>)> {
        let key = (of.family.name(), of.chain.table.clone(), name.to_owned());
        let set = self.sets.get(&key)?.clone();
        if let Some(members) = self.members.get(&key) {
            return Some((set, Rc::clone(members)));
        }
        let members = Rc::new(self.nft.members(of.family, &of.chain.table, name).ok()?);
        self.members.insert(key, Rc::clone(&members));
        Some((set, members))
    }

    /// Whether a table is there.
    pub fn has_table(&self, family: Family, table: &str) -> bool {
        self.chains.keys().any(|(of, name, _)| *of == family.name() && name == table)
    }

    /// Every chain, for what is to be said about all of them.
    pub fn all(&self) -> impl Iterator<Item = &Filled> {
        self.chains.values().map(Rc::as_ref)
    }
}

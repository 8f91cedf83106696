//! nftables without the `nft` program: tables, chains, rules, sets and maps, changed in atomic transactions. The wire format is
//! `linux/netfilter/nf_tables.h`; the expressions are the ones that `nft --debug=netlink` shows, so that `nft list` prints the
//! rules back as a person would write them.

mod data;
mod decode;
mod list;
mod members;
mod numbers;
mod rule;
mod transaction;

pub use data::{Data, Key, Kind, Verdict};
pub use decode::{Decision, Expression, Register};
pub use list::{Chain, RuleEntry};
pub use members::{Member, SetEntry};
pub use rule::{Field, Nat, Rule, Transport};
pub use transaction::{BaseChain, Element, Family, Hook, MapData, Set, Transaction};

use std::os::fd::{AsFd, BorrowedFd};

use crate::socket::Socket;
use crate::wire::{NLM_F_DUMP, be32, find};
use crate::{Error, Result};
use numbers::*;
use rustix::io::Errno;
use rustix::net::netlink;

/// A socket to the nftables of one network namespace.
#[derive(Debug)]
pub struct Nft {
    socket: Socket,
}

impl Nft {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(Some(netlink::NETFILTER))? })
    }

    /// A socket that is told of every change to any rule; wait with [`Nft::wait`].
    pub fn watch() -> Result<Self> {
        let nft = Self::open()?;
        nft.socket.join_group(NFNLGRP_NFTABLES)?;
        Ok(nft)
    }

    /// Blocks until something changed. False when notifications were lost, which is a change as well.
    pub fn wait(&mut self) -> bool {
        self.socket.wait()
    }

    /// Forgets the notifications that have arrived.
    pub fn forget(&mut self) {
        self.socket.drain();
    }

    /// Makes all changes of the transaction or none.
    pub fn commit(&mut self, transaction: Transaction) -> Result<()> {
        let Some((mut messages, last)) = transaction.finish() else { return Ok(()) };
        // An aborted transaction names its culprits; failures of the frame itself (index 0) stand for all.
        match self.socket.run(&mut messages, last)?.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    /// The number of the ruleset's version: it changes with every transaction of anybody.
    pub fn generation(&mut self) -> Result<u32> {
        let mut messages =
            list::request(Family::Unspecified, NFT_MSG_GETGEN, 0, "read the ruleset's generation");
        let found = self.socket.ask(&mut messages, false, |received| {
            find(received.payload.get(4..)?, NFTA_GEN_ID).and_then(be32)
        })?;
        found.first().copied().ok_or_else(|| Error::new("read the ruleset's generation", Errno::PROTO, None))
    }

    /// Whether a table is there.
    pub fn has_table(&mut self, family: Family, table: &str) -> Result<bool> {
        let mut messages = list::request(family, NFT_MSG_GETTABLE, 0, format!("look for table {table}"));
        messages.put_text(NFTA_TABLE_NAME, table);
        match self.socket.ask(&mut messages, false, |_| Some(())) {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Every chain of a family.
    pub fn chains(&mut self, family: Family) -> Result<Vec<Chain>> {
        let mut messages = list::request(family, NFT_MSG_GETCHAIN, NLM_F_DUMP, "list chains");
        self.socket.ask(&mut messages, true, |received| Chain::read(received.payload))
    }

    /// The rules of a chain, in order; none when there is no such chain.
    pub fn rules(&mut self, family: Family, table: &str, chain: &str) -> Result<Vec<RuleEntry>> {
        let mut messages =
            list::request(family, NFT_MSG_GETRULE, NLM_F_DUMP, format!("list rules of {table} {chain}"));
        messages.put_text(NFTA_RULE_TABLE, table);
        messages.put_text(NFTA_RULE_CHAIN, chain);
        // The kernel filters by table and chain since 4.8, but not when the chain is gone in between: compare again.
        match self.socket.ask(&mut messages, true, |received| RuleEntry::read(received.payload, table, chain))
        {
            Err(error) if error.is_missing() => Ok(Vec::new()),
            result => result,
        }
    }

    /// The keys of a set or map; ENOENT when there is none.
    pub fn keys(&mut self, family: Family, table: &str, set: &str) -> Result<Vec<Key>> {
        let mut messages =
            list::request(family, NFT_MSG_GETSETELEM, NLM_F_DUMP, format!("list elements of {table} {set}"));
        messages.put_text(NFTA_SET_ELEM_LIST_TABLE, table);
        messages.put_text(NFTA_SET_ELEM_LIST_SET, set);
        let pieces = self.socket.ask(&mut messages, true, |received| Some(list::keys(received.payload)))?;
        Ok(pieces.into_iter().flatten().collect())
    }

    /// Every set and map of a family, anonymous ones too.
    pub fn sets(&mut self, family: Family) -> Result<Vec<SetEntry>> {
        let mut messages = list::request(family, NFT_MSG_GETSET, NLM_F_DUMP, "list sets");
        self.socket.ask(&mut messages, true, |received| SetEntry::read(received.payload))
    }

    /// What a set or map holds; nothing when it is gone.
    pub fn members(&mut self, family: Family, table: &str, set: &str) -> Result<Vec<Member>> {
        let mut messages =
            list::request(family, NFT_MSG_GETSETELEM, NLM_F_DUMP, format!("list elements of {table} {set}"));
        messages.put_text(NFTA_SET_ELEM_LIST_TABLE, table);
        messages.put_text(NFTA_SET_ELEM_LIST_SET, set);
        match self.socket.ask(&mut messages, true, |received| Some(members::members(received.payload))) {
            Err(error) if error.is_missing() => Ok(Vec::new()),
            result => Ok(result?.into_iter().flatten().collect()),
        }
    }
}

impl AsFd for Nft {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

//! The engine's own nftables table: put there with the first use, kept as it should be. Somebody who flushes the host's rules
//! takes ours with them; before every change, and whenever [`Watch`] is told of one, the ruleset's version says whether anybody
//! was at it, and if so ours is compared with what it should be and put back.

mod coexist;
mod ruleset;
mod watch;

use std::sync::Arc;

use netlink::nft::{Family, Nft, Transaction};

use crate::error::{Error, Result};
use crate::home::Home;

pub(crate) use ruleset::{Elements, merge, of_binding, of_link, of_network, of_uplinks};
pub(crate) use watch::Watch;

/// The table of one engine.
#[derive(Debug)]
pub(crate) struct Firewall {
    table: String,
    home: Arc<Home>,
    nft: Option<Nft>,
    /// The ruleset's version after which nobody but us has changed anything.
    generation: Option<u32>,
    /// Whether the table is meant to be there.
    in_use: bool,
}

/// Everything that should be in the table, and which links other people's chains should let through.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) elements: Elements,
    pub(crate) bridges: Vec<String>,
}

impl Firewall {
    pub(crate) fn new(table: &str, home: Arc<Home>) -> Self {
        Self { table: table.to_owned(), home, nft: None, generation: None, in_use: false }
    }

    /// Makes the table what it should be, if it is not.
    pub(crate) fn ensure(&mut self, wanted: &dyn Fn() -> Wanted) -> Result<()> {
        let generation = self.nft()?.generation()?;
        if self.generation == Some(generation) {
            return Ok(());
        }
        let wanted = wanted();
        let mut commits = 0;
        // The first time, the table may be from before a crash, with old targets under the right keys: replaced without a look.
        if self.generation.is_none() || !self.is_as(&wanted)? {
            let transaction = ruleset::replace_table(&self.table, &wanted.elements);
            self.nft()?.commit(transaction)?;
            commits += 1;
        }
        let table = self.table.clone();
        commits += coexist::make_way(self.nft()?, &table, &wanted.bridges)?;
        // Counted, not read: what others did meanwhile must not pass for ours.
        self.generation = Some(generation.wrapping_add(commits));
        self.in_use = true;
        Ok(())
    }

    /// Puts right what somebody has changed, if the table is in use.
    pub(crate) fn look_after(&mut self, wanted: &dyn Fn() -> Wanted) -> Result<()> {
        match self.in_use {
            true => self.ensure(wanted),
            false => Ok(()),
        }
    }

    /// Adds elements. `wanted` gives everything including them: it is what the table becomes where it was not as it should be.
    pub(crate) fn add(&mut self, elements: &Elements, wanted: &dyn Fn() -> Wanted) -> Result<()> {
        if !self.is_untouched()? {
            return self.ensure(wanted);
        }
        let mut transaction = Transaction::new(Family::Inet, &self.table);
        for (set, elements) in elements {
            transaction.add_elements(set, elements);
        }
        match self.commit(transaction) {
            Ok(()) => Ok(()),
            // Something is not as we left it after all.
            Err(_) => {
                self.generation = None;
                self.ensure(wanted)
            }
        }
    }

    /// Adds a network's elements and lets its bridge through other people's chains.
    pub(crate) fn add_network(
        &mut self,
        bridge: &str,
        elements: &Elements,
        wanted: &dyn Fn() -> Wanted,
    ) -> Result<()> {
        self.add(elements, wanted)?;
        let table = self.table.clone();
        let bridges = [bridge.to_owned()];
        let commits = coexist::make_way(self.nft()?, &table, &bridges)?;
        self.count(commits);
        Ok(())
    }

    /// Removes elements; ones that are gone are no failure. `wanted` gives everything without them.
    pub(crate) fn remove(&mut self, elements: &Elements, wanted: &dyn Fn() -> Wanted) -> Result<()> {
        if !self.is_untouched()? {
            return self.ensure(wanted);
        }
        let mut transaction = Transaction::new(Family::Inet, &self.table);
        for (set, elements) in elements {
            transaction.delete_elements(set, elements);
        }
        match self.commit(transaction) {
            Ok(()) => Ok(()),
            Err(_) => {
                self.generation = None;
                self.ensure(wanted)
            }
        }
    }

    /// Removes a network's elements and the rules for its bridge in other people's chains.
    pub(crate) fn remove_network(
        &mut self,
        bridge: &str,
        elements: &Elements,
        wanted: &dyn Fn() -> Wanted,
    ) -> Result<()> {
        self.remove(elements, wanted)?;
        let table = self.table.clone();
        let commits = coexist::give_way_back(self.nft()?, &table, Some(bridge))?;
        self.count(commits);
        Ok(())
    }

    /// Notes changes of our own.
    fn count(&mut self, commits: u32) {
        self.generation = self.generation.map(|generation| generation.wrapping_add(commits));
    }

    /// Removes the table and every rule of ours elsewhere.
    pub(crate) fn clear(&mut self) -> Result<()> {
        let table = self.table.clone();
        self.generation = None;
        self.in_use = false;
        let nft = self.nft()?;
        if nft.has_table(Family::Inet, &table)? {
            let mut transaction = Transaction::new(Family::Inet, &table);
            transaction.delete_table();
            nft.commit(transaction)?;
        }
        coexist::give_way_back(nft, &table, None).map(drop)
    }

    fn is_untouched(&mut self) -> Result<bool> {
        let Some(last) = self.generation else { return Ok(false) };
        Ok(self.nft()?.generation()? == last)
    }

    /// Commits our own change and notes the version after it, unless somebody else's came in between.
    /// On a failure nothing is known.
    fn commit(&mut self, transaction: Transaction) -> Result<()> {
        let before = self.generation.take();
        let nft = self.nft()?;
        nft.commit(transaction)?;
        let after = nft.generation()?;
        self.generation = before.filter(|before| before.wrapping_add(1) == after).map(|_| after);
        Ok(())
    }

    /// Whether the table has its rules and exactly the elements it should have.
    fn is_as(&mut self, wanted: &Wanted) -> Result<bool> {
        let table = self.table.clone();
        let nft = self.nft()?;
        if !nft.has_table(Family::Inet, &table)? {
            return Ok(false);
        }
        for (chain, rules) in ruleset::rule_counts() {
            if nft.rules(Family::Inet, &table, chain)?.len() != rules {
                return Ok(false);
            }
        }
        for set in ruleset::set_names() {
            let mut have = match nft.keys(Family::Inet, &table, set) {
                Ok(keys) => keys,
                Err(error) if error.is_missing() => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let mut want: Vec<_> =
                wanted.elements.get(set).into_iter().flatten().map(|element| element.key.clone()).collect();
            have.sort();
            want.sort();
            if have != want {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn nft(&mut self) -> Result<&mut Nft> {
        match &mut self.nft {
            Some(nft) => Ok(nft),
            none => Ok(none.insert(self.home.enter(Nft::open)?.map_err(Error::from)?)),
        }
    }
}

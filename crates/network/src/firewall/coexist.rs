//! Other people's forward chains. In nftables a packet must be accepted by every base chain at a hook: a host policy of drop
//! (Docker's iptables rules, ufw, a hand-made firewall) or a last rule that refuses everything (firewalld) would cut our
//! containers off whatever our own table says. So each such chain gets two rules per bridge of ours at its beginning, known by
//! their comment; our own table still decides what gets into a bridge. Nothing else of others is touched. iptables of the old
//! kind (not backed by nftables) cannot be reached this way.

use netlink::nft::{Chain, Family, Nft, Rule, RuleEntry, Transaction, Verdict};

use crate::error::Result;

const FAMILIES: [Family; 3] = [Family::Inet, Family::Ipv4, Family::Ipv6];
const NF_INET_FORWARD: u32 = 2;

/// A chain of somebody else through which our packets must get, and do not by themselves.
fn is_obstacle(chain: &Chain, rules: &[RuleEntry], table: &str) -> bool {
    let refuses = chain.policy_drop || rules.last().is_some_and(RuleEntry::refuses_all);
    chain.hook == Some(NF_INET_FORWARD) && chain.table != table && refuses
}

fn comment(table: &str, bridge: &str) -> String {
    format!("{table}: {bridge}")
}

/// Makes way for `bridges` in every foreign forward chain that drops by policy. Adds only what is missing; with
/// how many transactions.
pub(super) fn make_way(nft: &mut Nft, table: &str, bridges: &[String]) -> Result<u32> {
    let mut commits = 0;
    for_each_obstacle(nft, table, |nft, family, chain, rules| {
        let mut transaction = Transaction::new(family, &chain.table);
        let mut missing = false;
        for bridge in bridges {
            let comment = comment(table, bridge);
            if rules.iter().any(|rule| rule.comment.as_deref() == Some(&comment)) {
                continue;
            }
            missing = true;
            // The shape that iptables reads as `-i BRIDGE -j ACCEPT` and `-o BRIDGE -j ACCEPT`.
            let accept = |rule: Rule| rule.counter().verdict(Verdict::Accept).comment(comment.clone());
            transaction.insert_rule(&chain.name, &accept(Rule::new().oifname(bridge)));
            transaction.insert_rule(&chain.name, &accept(Rule::new().iifname(bridge)));
        }
        commits += u32::from(missing);
        Ok(nft.commit(transaction)?)
    })?;
    Ok(commits)
}

/// Takes back what [`make_way`] added, for one bridge or for all of this table's engine; with how many transactions.
pub(super) fn give_way_back(nft: &mut Nft, table: &str, bridge: Option<&str>) -> Result<u32> {
    let mut commits = 0;
    let wanted = match bridge {
        Some(bridge) => comment(table, bridge),
        None => format!("{table}: "),
    };
    for family in FAMILIES {
        for chain in nft.chains(family)? {
            if chain.hook != Some(NF_INET_FORWARD) || chain.table == table {
                continue;
            }
            let mut transaction = Transaction::new(family, &chain.table);
            let mut found = false;
            for rule in nft.rules(family, &chain.table, &chain.name)? {
                let ours = rule.comment.is_some_and(|comment| match bridge {
                    Some(_) => comment == wanted,
                    None => comment.starts_with(&wanted),
                });
                if ours {
                    found = true;
                    transaction.delete_rule(&chain.name, rule.handle);
                }
            }
            nft.commit(transaction)?;
            commits += u32::from(found);
        }
    }
    Ok(commits)
}

fn for_each_obstacle(
    nft: &mut Nft,
    table: &str,
    mut each: impl FnMut(&mut Nft, Family, &Chain, &[RuleEntry]) -> Result<()>,
) -> Result<()> {
    for family in FAMILIES {
        for chain in nft.chains(family)? {
            if chain.hook != Some(NF_INET_FORWARD) {
                continue;
            }
            let rules = nft.rules(family, &chain.table, &chain.name)?;
            if is_obstacle(&chain, &rules, table) {
                each(nft, family, &chain, &rules)?;
            }
        }
    }
    Ok(())
}

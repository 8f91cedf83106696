//! Rules to a program: the architecture first, then a binary tree over the ranges of numbers. A tree, because the kernel walks
//! the filter once for every number when it is installed, and on every call that needs a look at arguments; one comparison for
//! each name in a row is seven times as slow.
//!
//! ```text
//!   load architecture ── native? ──▶ load number ─▶ tree ─▶ allow | errno | … | look at arguments
//!                     ├─ another? ─▶ load number ─▶ tree ─▶ …
//!                     └─ none of them: kill
//! ```

use crate::arch::{Abi, Machine};
use crate::assemble::{ARCHITECTURE, Assembler, Compare, Label, NUMBER};
use crate::decide::{Decision, answer, ranges};
use crate::rules::{Action, Rule, Rules};
use crate::{Error, Program};

pub(crate) fn compile(rules: &Rules, machine: Machine) -> Result<Program, Error> {
    let abis = machine.abis(&rules.architectures)?;
    let mut assembler = Assembler::default();
    // The code for the native architecture is made last, which brings it to the front.
    let mut trees = Vec::new();
    for abi in abis.iter().rev().filter(|abi| **abi != Abi::X32) {
        let ranges = ranges(rules, *abi, abis.contains(&Abi::X32))?;
        let tree = tree(&mut assembler, &ranges);
        trees.push((abi.audit(), assembler.load(NUMBER, tree)));
    }
    let mut next = assembler.answer(answer::KILL_THREAD);
    for (audit, tree) in trees {
        next = assembler.branch(Compare::Equal, audit, tree, next);
    }
    assembler.load(ARCHITECTURE, next);
    let instructions = assembler.finish();
    if instructions.len() > sys::seccomp::MAX_INSTRUCTIONS {
        let length = instructions.len();
        return Err(Error::Invalid(format!("too many rules: {length} instructions, the kernel takes 4096")));
    }
    Ok(Program { instructions, flags: flags(rules)? })
}

/// The code that finds a number's decision.
fn tree(assembler: &mut Assembler, ranges: &[(u32, Decision)]) -> Label {
    match ranges {
        [(_, decision)] => assembler.decision(decision),
        // One number that differs from those around it.
        [(_, before), (number, decision), (end, after)] if before == after && *end == number + 1 => {
            let others = assembler.decision(before);
            let this = assembler.decision(decision);
            assembler.branch(Compare::Equal, *number, this, others)
        }
        _ => {
            let (left, right) = ranges.split_at(ranges.len() / 2);
            let above = tree(assembler, right);
            let below = tree(assembler, left);
            assembler.branch(Compare::GreaterOrEqual, right[0].0, above, below)
        }
    }
}

/// Refuses what the kernel would not survive or not take, and gathers the flags.
fn flags(rules: &Rules) -> Result<u64, Error> {
    use sys::seccomp::{LOG, NEW_LISTENER, SPEC_ALLOW, TSYNC, WAIT_KILLABLE_RECV};
    let invalid = |message: String| Err(Error::Invalid(message));
    let notifying: Vec<&Rule> = rules.syscalls.iter().filter(|rule| rule.action == Action::Notify).collect();
    if rules.default_action == Action::Notify {
        return invalid("SCMP_ACT_NOTIFY cannot be used as default action".to_owned());
    }
    // The runtime itself writes after the filter is on, and would wait for an agent that it has not told yet.
    if notifying.iter().any(|rule| rule.names.iter().any(|name| name == "write")) {
        return invalid("SCMP_ACT_NOTIFY cannot be used for the write syscall".to_owned());
    }
    let listens = !notifying.is_empty();
    let mut flags = if listens { NEW_LISTENER } else { 0 };
    let Some(names) = &rules.flags else {
        // As runc: without it, kernels before 5.16 slow the whole process down.
        return Ok(flags | SPEC_ALLOW);
    };
    for name in names {
        flags |= match name.as_str() {
            // The filter is installed by a process with one thread, and the kernel refuses both at once.
            "SECCOMP_FILTER_FLAG_TSYNC" if listens => 0,
            "SECCOMP_FILTER_FLAG_TSYNC" => TSYNC,
            "SECCOMP_FILTER_FLAG_LOG" => LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => SPEC_ALLOW,
            // Says nothing without a listener; the kernel refuses it then.
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" if !listens => 0,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => WAIT_KILLABLE_RECV,
            _ => return invalid(format!("unknown flag {name:?}")),
        };
    }
    Ok(flags)
}

//! What a filter does with each call: rules by name become, for one way of calling the kernel, ranges of numbers with one
//! decision each. Where rules contradict each other the outcome is that of libseccomp as runc uses it.

use std::collections::BTreeMap;

use crate::Error;
use crate::arch::{ARM_PRIVATE, Abi, X32_BIT};
use crate::rules::{Action, Argument, Operator, Rule, Rules};

const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

/// `SECCOMP_RET_*` of linux/seccomp.h.
pub(crate) mod answer {
    pub const KILL_PROCESS: u32 = 0x8000_0000;
    pub const KILL_THREAD: u32 = 0;
    pub const TRAP: u32 = 0x0003_0000;
    pub const ERRNO: u32 = 0x0005_0000;
    pub const NOTIFY: u32 = 0x7fc0_0000;
    pub const TRACE: u32 = 0x7ff0_0000;
    pub const LOG: u32 = 0x7ffc_0000;
    pub const ALLOW: u32 = 0x7fff_0000;
}

/// What happens to a call: the answer of the first clause that holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Decision {
    pub clauses: Vec<Clause>,
    pub otherwise: u32,
}

/// An answer on conditions, all of which must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Clause {
    pub tests: Vec<Test>,
    pub answer: u32,
}

/// A condition on one argument.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Test {
    pub index: u32,
    /// Only the low half is looked at.
    pub narrow: bool,
    pub operator: Operator,
    pub value: u64,
    pub value_two: u64,
}

impl Decision {
    fn always(answer: u32) -> Self {
        Self { clauses: Vec::new(), otherwise: answer }
    }
}

/// An action as the kernel takes it.
pub(crate) fn answer(action: Action, errno: Option<u32>) -> Result<u32, Error> {
    let number = errno.unwrap_or(EPERM);
    let with_number = |answer: u32| match u16::try_from(number) {
        Ok(number) => Ok(answer | u32::from(number)),
        Err(_) => Err(Error::Invalid(format!("errnoRet {number} does not fit into 16 bits"))),
    };
    match action {
        Action::Allow => Ok(answer::ALLOW),
        Action::Log => Ok(answer::LOG),
        Action::Notify => Ok(answer::NOTIFY),
        Action::Trap => Ok(answer::TRAP),
        Action::KillThread => Ok(answer::KILL_THREAD),
        Action::KillProcess => Ok(answer::KILL_PROCESS),
        Action::Errno => with_number(answer::ERRNO),
        Action::Trace => with_number(answer::TRACE),
    }
}

/// The decisions for all numbers of one audit architecture, each valid from its number on to the next. `x32` says whether calls
/// with x32's bit, which x86_64 shares its audit architecture with, are decided by the rules too.
pub(crate) fn ranges(rules: &Rules, abi: Abi, x32: bool) -> Result<Vec<(u32, Decision)>, Error> {
    let mut ranges = ranges_of(rules, abi)?;
    if abi == Abi::X86_64 {
        if x32 {
            ranges.extend(ranges_of(rules, Abi::X32)?);
        } else {
            // A tracer cancels a call by making its number -1, which has that bit as well.
            let cancelled = ranges.last().map(|(_, decision)| (u32::MAX, decision.clone()));
            ranges.push((X32_BIT, Decision::always(answer::KILL_THREAD)));
            ranges.extend(cancelled);
        }
    }
    ranges.dedup_by(|next, previous| next.1 == previous.1);
    Ok(ranges)
}

fn ranges_of(rules: &Rules, abi: Abi) -> Result<Vec<(u32, Decision)>, Error> {
    let default = answer(rules.default_action, rules.default_errno_ret)?;
    let newest = newest_named(rules, abi);
    let otherwise = |number: u32| match newest {
        Some(newest) if number > newest => answer::ERRNO | ENOSYS,
        _ => default,
    };
    let mut ranges = BTreeMap::from([(abi.first(), Decision::always(otherwise(abi.first())))]);
    if let Some(newest) = newest {
        ranges.insert(newest + 1, Decision::always(otherwise(newest + 1)));
    }
    for (number, clauses) in clauses_by_number(rules, abi, default)? {
        let decision = match clauses.iter().find(|clause| clause.tests.is_empty()) {
            // A rule without conditions says everything, wherever it stands.
            Some(clause) => Decision::always(clause.answer),
            None => Decision { clauses, otherwise: otherwise(number) },
        };
        ranges.insert(number, decision);
        ranges.entry(number + 1).or_insert_with(|| Decision::always(otherwise(number + 1)));
    }
    Ok(ranges.into_iter().collect())
}

/// The highest number that a denying filter names. What is above did not exist for the profile's author: such calls do not
/// exist for the container either (ENOSYS), as with runc, because programs fall back on that and not on EPERM.
fn newest_named(rules: &Rules, abi: Abi) -> Option<u32> {
    // A tracer is expected to know new calls by itself.
    if matches!(rules.default_action, Action::Allow | Action::Log | Action::Trace) {
        return None;
    }
    let numbers = rules.syscalls.iter().flat_map(|rule| &rule.names).filter_map(|name| abi.number(name));
    numbers.filter(|number| abi != Abi::Arm || *number < ARM_PRIVATE).max()
}

fn clauses_by_number(rules: &Rules, abi: Abi, default: u32) -> Result<BTreeMap<u32, Vec<Clause>>, Error> {
    let mut calls: BTreeMap<u32, Vec<Clause>> = BTreeMap::new();
    for rule in &rules.syscalls {
        let answer = answer(rule.action, rule.errno_ret)?;
        if answer == default {
            continue;
        }
        for name in &rule.names {
            if let Some(number) = abi.number(name) {
                calls.entry(number).or_default().extend(clauses(rule, name, abi, answer)?);
            }
            if abi == Abi::I386
                && rule.args.is_empty()
                && let Some((number, test)) = multiplexed(name)
            {
                calls.entry(number).or_default().push(Clause { tests: vec![test], answer });
            }
        }
    }
    Ok(calls)
}

fn clauses(rule: &Rule, name: &str, abi: Abi, answer: u32) -> Result<Vec<Clause>, Error> {
    let tests = rule.args.iter().map(|argument| test(argument, name, abi)).collect::<Result<Vec<_>, _>>()?;
    let repeats =
        tests.iter().enumerate().any(|(at, test)| tests[..at].iter().any(|t| t.index == test.index));
    // Profiles written for old runtimes list alternatives for one argument in one rule.
    if repeats {
        return Ok(tests.into_iter().map(|test| Clause { tests: vec![test], answer }).collect());
    }
    Ok(vec![Clause { tests, answer }])
}

fn test(argument: &Argument, name: &str, abi: Abi) -> Result<Test, Error> {
    if argument.index > 5 {
        return Err(Error::Invalid(format!("{name} has no argument {}", argument.index)));
    }
    let narrow = abi.is_narrow() || is_narrow(name, argument.index);
    let mask = if narrow { u64::from(u32::MAX) } else { u64::MAX };
    Ok(Test {
        index: argument.index,
        narrow,
        operator: argument.op,
        value: argument.value & mask,
        value_two: argument.value_two & mask,
    })
}

/// Arguments of which the kernel reads 32 bits, whatever a 64-bit register holds above. A filter that compared all 64 would let
/// `socket(AF_ALG | 1 << 32, …)` pass as "greater than AF_VSOCK", and the kernel would make an AF_ALG socket.
fn is_narrow(name: &str, index: u32) -> bool {
    match name {
        "socket" | "socketpair" => index < 3,
        "personality" => index == 0,
        _ => false,
    }
}

/// i386 has two doors to some calls: their own number, and one number for the family with the call as first argument
/// (linux/net.h `SYS_*`, linux/ipc.h). A rule on the call holds for both; its conditions cannot, as the real arguments lie in
/// memory.
fn multiplexed(name: &str) -> Option<(u32, Test)> {
    const SOCKETCALL: u32 = 102;
    const IPC: u32 = 117;
    let socket = |call: u64| {
        let test = Test { index: 0, narrow: true, operator: Operator::Equal, value: call, value_two: 0 };
        Some((SOCKETCALL, test))
    };
    // The upper half of ipc's first argument is a version.
    let ipc = |call: u64| {
        let test =
            Test { index: 0, narrow: true, operator: Operator::MaskedEqual, value: 0xffff, value_two: call };
        Some((IPC, test))
    };
    match name {
        "socket" => socket(1),
        "bind" => socket(2),
        "connect" => socket(3),
        "listen" => socket(4),
        "accept" => socket(5),
        "getsockname" => socket(6),
        "getpeername" => socket(7),
        "socketpair" => socket(8),
        "send" => socket(9),
        "recv" => socket(10),
        "sendto" => socket(11),
        "recvfrom" => socket(12),
        "shutdown" => socket(13),
        "setsockopt" => socket(14),
        "getsockopt" => socket(15),
        "sendmsg" => socket(16),
        "recvmsg" => socket(17),
        "accept4" => socket(18),
        "recvmmsg" => socket(19),
        "sendmmsg" => socket(20),
        "semop" => ipc(1),
        "semget" => ipc(2),
        "semctl" => ipc(3),
        "semtimedop" => ipc(4),
        "msgsnd" => ipc(11),
        "msgrcv" => ipc(12),
        "msgget" => ipc(13),
        "msgctl" => ipc(14),
        "shmat" => ipc(21),
        "shmdt" => ipc(22),
        "shmget" => ipc(23),
        "shmctl" => ipc(24),
        _ => None,
    }
}

//! Programs against a direct reading of the rules: the same answer for every number, on every architecture, for arguments around
//! the values that rules name.

use std::collections::HashMap;

use proptest::prelude::*;
use sys::seccomp::unpack;

use crate::arch::{ARM_PRIVATE, Abi, Machine, X32_BIT};
use crate::decide::answer;
use crate::numbers::NUMBERS;
use crate::program::Call;
use crate::{Action, Argument, Operator, Profile, Program, Rule, Rules};

/// Runs a program as the kernel would: the answer, and how many instructions it took.
fn run(program: &Program, call: Call) -> (u32, usize) {
    program.answer(call).expect("a filter")
}

/// The longest way through a program.
fn longest(program: &Program) -> usize {
    let length = program.instructions.len();
    let mut steps = vec![0; length];
    for at in (0..length).rev() {
        let (code, yes, no, k) = unpack(program.instructions[at]);
        steps[at] = 1 + match code {
            0x06 => 0,
            0x05 => steps[at + 1 + k as usize],
            0x15 | 0x25 | 0x35 => steps[at + 1 + yes as usize].max(steps[at + 1 + no as usize]),
            _ => steps[at + 1],
        };
    }
    steps[0]
}

fn holds(argument: &Argument, name: &str, abi: Abi, call: Call) -> bool {
    let index = argument.index;
    let narrow = abi.is_narrow()
        || (matches!(name, "socket" | "socketpair") && index < 3)
        || (name == "personality" && index == 0);
    let seen = |value: u64| if narrow { value & 0xffff_ffff } else { value };
    let (real, value, two) =
        (seen(call.arguments[index as usize]), seen(argument.value), seen(argument.value_two));
    match argument.op {
        Operator::Equal => real == value,
        Operator::NotEqual => real != value,
        Operator::Less => real < value,
        Operator::LessOrEqual => real <= value,
        Operator::Greater => real > value,
        Operator::GreaterOrEqual => real >= value,
        Operator::MaskedEqual => real & value == two,
    }
}

/// The rules in a form that can be asked about single calls.
struct Oracle<'a> {
    rules: &'a Rules,
    abis: Vec<Abi>,
    /// For each way of calling, each number's rules and the name in them.
    named: HashMap<(Abi, u32), Vec<(usize, &'a str)>>,
    newest: HashMap<Abi, u32>,
    default: u32,
}

impl<'a> Oracle<'a> {
    fn new(rules: &'a Rules, machine: Machine) -> Self {
        let numbers: HashMap<&str, [u32; 5]> = NUMBERS.iter().copied().collect();
        let mut named: HashMap<_, Vec<_>> = HashMap::new();
        let mut newest = HashMap::new();
        let rows = rules.syscalls.iter().enumerate();
        for (rule, name) in rows.flat_map(|(index, rule)| rule.names.iter().map(move |name| (index, name))) {
            let columns = [Abi::X86_64, Abi::I386, Abi::X32, Abi::Aarch64, Abi::Arm];
            for (abi, number) in columns.into_iter().zip(numbers.get(name.as_str()).into_iter().flatten()) {
                let number = if abi == Abi::X32 { number | X32_BIT } else { *number };
                if number == u32::MAX {
                    continue;
                }
                named.entry((abi, number)).or_default().push((rule, name.as_str()));
                if number < 0xf_0000 || abi != Abi::Arm {
                    let newest = newest.entry(abi).or_insert(number);
                    *newest = number.max(*newest);
                }
            }
        }
        let default = answer(rules.default_action, rules.default_errno_ret).unwrap();
        Self { rules, abis: machine.abis(&rules.architectures).unwrap(), named, newest, default }
    }

    fn answer(&self, call: Call) -> u32 {
        let marked = call.number >= X32_BIT && call.audit == Abi::X86_64.audit();
        let abi = match self.abis.iter().find(|abi| abi.audit() == call.audit) {
            Some(Abi::X86_64) if marked && self.abis.contains(&Abi::X32) => Abi::X32,
            Some(Abi::X86_64) if marked && call.number != u32::MAX => return answer::KILL_THREAD,
            Some(abi) => *abi,
            None => return answer::KILL_THREAD,
        };
        // Which rules apply, and whether they ask nothing of the arguments.
        let mut hits: Vec<(usize, bool)> = Vec::new();
        for (index, name) in self.named.get(&(abi, call.number)).into_iter().flatten() {
            let arguments = &self.rules.syscalls[*index].args;
            let once =
                (0..6).all(|index| arguments.iter().filter(|argument| argument.index == index).count() < 2);
            let mut held = arguments.iter().map(|argument| holds(argument, name, abi, call));
            if if once { held.all(|held| held) } else { held.any(|held| held) } {
                hits.push((*index, arguments.is_empty()));
            }
        }
        let behind = match (abi, call.number, call.arguments[0] as u32) {
            (Abi::I386, 102, 1) => Some("socket"),
            (Abi::I386, 102, 3) => Some("connect"),
            (Abi::I386, 117, first) if first & 0xffff == 23 => Some("shmget"),
            _ => None,
        };
        if let Some(behind) = behind {
            let rules = self.rules.syscalls.iter().enumerate();
            let matching =
                rules.filter(|(_, rule)| rule.args.is_empty() && rule.names.iter().any(|n| n == behind));
            hits.extend(matching.map(|(index, _)| (index, false)));
        }
        hits.sort_by_key(|(index, _)| *index);
        let mut hits: Vec<(bool, u32)> = hits
            .into_iter()
            .map(|(index, always)| (always, self.answer_of(&self.rules.syscalls[index])))
            .collect();
        hits.retain(|(_, answer)| *answer != self.default);
        let missing = !matches!(self.rules.default_action, Action::Allow | Action::Log | Action::Trace)
            && self.newest.get(&abi).is_some_and(|newest| call.number > *newest);
        let always = hits.iter().find(|(always, _)| *always);
        match always.or(hits.first()) {
            Some((_, answer)) => *answer,
            None if missing => answer::ERRNO | 38,
            None => self.default,
        }
    }

    fn answer_of(&self, rule: &Rule) -> u32 {
        answer(rule.action, rule.errno_ret).unwrap()
    }
}

fn program(rules: &Rules, machine: Machine) -> Program {
    crate::compile::compile(rules, machine).unwrap()
}

const AUDITS: [u32; 5] = [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0x8000_0016];

fn default_rules(machine: Machine, capabilities: u64) -> Rules {
    Profile::docker_default().resolve_for(machine, capabilities, (6, 1)).unwrap()
}

/// The capabilities that Docker gives.
const DOCKER: u64 = 0xa804_25fb;

#[test]
fn dockers_profile_answers_every_number_as_its_rules_say() {
    for machine in [Machine::Amd64, Machine::Arm64] {
        for capabilities in [0, DOCKER, sys::caps::ALL] {
            let rules = default_rules(machine, capabilities);
            let program = program(&rules, machine);
            let oracle = Oracle::new(&rules, machine);
            assert!(longest(&program) <= 40, "{} steps", longest(&program));
            assert!(program.instructions.len() <= 450, "{} instructions", program.instructions.len());
            let numbers = (0..620).flat_map(|n| [n, n | X32_BIT]).chain(ARM_PRIVATE..ARM_PRIVATE + 8);
            for number in numbers.chain([X32_BIT - 1, u32::MAX - 1, u32::MAX]) {
                for audit in AUDITS {
                    for first in
                        [0, 8, 38, 39, 40, 41, 0xffff_ffff, 0x1_0000_0026, 0x1000_0000, 0x11, u64::MAX]
                    {
                        let call = Call { audit, number, arguments: [first, 0, 0, 0, 0, 0] };
                        assert_eq!(
                            run(&program, call).0,
                            oracle.answer(call),
                            "{machine:?} {capabilities:#x} {call:x?}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn dockers_profile_on_an_ordinary_container() {
    let errno = |number: u32| answer::ERRNO | number;
    let cases: &[(&str, Abi, u64, u32)] = &[
        ("read", Abi::X86_64, 0, answer::ALLOW),
        ("mount", Abi::X86_64, 0, errno(1)),
        ("io_uring_setup", Abi::X86_64, 0, errno(1)),
        ("keyctl", Abi::X86_64, 0, errno(1)),
        ("ptrace", Abi::X86_64, 0, answer::ALLOW),
        ("chroot", Abi::X86_64, 0, answer::ALLOW),
        ("arch_prctl", Abi::X86_64, 0, answer::ALLOW),
        ("clone3", Abi::X86_64, 0, errno(38)),
        ("clone", Abi::X86_64, 17, answer::ALLOW),
        ("clone", Abi::X86_64, 0x1000_0000, errno(1)),
        ("clone", Abi::I386, 0x4000_0000, errno(1)),
        ("socket", Abi::X86_64, 2, answer::ALLOW),
        ("socket", Abi::X86_64, 38, errno(1)),
        ("socket", Abi::X86_64, 39, answer::ALLOW),
        ("socket", Abi::X86_64, 40, errno(1)),
        ("socket", Abi::X86_64, 44, answer::ALLOW),
        ("socket", Abi::X86_64, 1 << 32 | 38, errno(1)),
        ("socket", Abi::I386, 38, errno(1)),
        ("socket", Abi::X32, 40, errno(1)),
        ("personality", Abi::X86_64, 0xffff_ffff, answer::ALLOW),
        ("personality", Abi::X86_64, 0x0040_0000, errno(1)),
        ("_llseek", Abi::I386, 0, answer::ALLOW),
        ("execve", Abi::X32, 0, answer::ALLOW),
        // Newer than the profile.
        ("file_getattr", Abi::X86_64, 0, errno(38)),
        ("file_getattr", Abi::I386, 0, errno(38)),
    ];
    let program = program(&default_rules(Machine::Amd64, DOCKER), Machine::Amd64);
    for (name, abi, first, want) in cases {
        let number = abi.number(name).unwrap();
        let call = Call { audit: abi.audit(), number, arguments: [*first, 0, 0, 0, 0, 0] };
        assert_eq!(run(&program, call).0, *want, "{name} {abi:?} {first:#x}");
    }
}

#[test]
fn a_call_denied_on_i386_is_denied_through_socketcall_too() {
    let deny = |name: &str| Rule {
        names: vec![name.to_owned()],
        action: Action::Errno,
        errno_ret: Some(97),
        args: Vec::new(),
    };
    let rules = Rules {
        default_action: Action::Allow,
        default_errno_ret: None,
        architectures: vec!["SCMP_ARCH_X86".to_owned()],
        flags: None,
        syscalls: vec![deny("socket"), deny("shmget")],
    };
    let program = program(&rules, Machine::Amd64);
    let ask = |number, first| {
        run(&program, Call { audit: Abi::I386.audit(), number, arguments: [first, 0, 0, 0, 0, 0] }).0
    };
    let denied = answer::ERRNO | 97;
    assert_eq!([ask(359, 2), ask(102, 1), ask(102, 2)], [denied, denied, answer::ALLOW]);
    assert_eq!([ask(117, 23), ask(117, 0x1_0017), ask(117, 21)], [denied, denied, answer::ALLOW]);
}

#[test]
fn a_profile_of_hundreds_of_conditions_still_jumps_to_the_right_places() {
    let rule = |(index, (name, _)): (usize, &(&str, [u32; 5]))| Rule {
        names: vec![(*name).to_owned()],
        action: Action::Errno,
        errno_ret: Some(index as u32),
        args: vec![Argument { index: 1, value: index as u64, value_two: 0, op: Operator::Equal }],
    };
    let rules = Rules {
        default_action: Action::Allow,
        default_errno_ret: None,
        architectures: vec![],
        flags: None,
        syscalls: NUMBERS.iter().enumerate().map(rule).collect(),
    };
    let program = program(&rules, Machine::Amd64);
    assert!(program.instructions.len() > 1500);
    let oracle = Oracle::new(&rules, Machine::Amd64);
    for number in 0..500 {
        for second in 0..NUMBERS.len() as u64 {
            let call = Call { audit: Abi::X86_64.audit(), number, arguments: [0, second, 0, 0, 0, 0] };
            assert_eq!(run(&program, call).0, oracle.answer(call), "{call:?}");
        }
    }
    let mut both = rules;
    for rule in &mut both.syscalls {
        rule.args.extend((2..6).map(|index| Argument {
            index,
            value: 7,
            value_two: 0,
            op: Operator::Greater,
        }));
    }
    let error = crate::compile::compile(&both, Machine::Amd64).unwrap_err().to_string();
    assert!(error.starts_with("invalid seccomp profile: too many rules: "), "{error}");
}

fn actions() -> impl Strategy<Value = Action> {
    prop::sample::select(vec![
        Action::Allow,
        Action::Log,
        Action::Trace,
        Action::Errno,
        Action::Trap,
        Action::KillThread,
        Action::KillProcess,
    ])
}

/// Numbers that rules compare with, and arguments close to them.
fn values() -> impl Strategy<Value = u64> {
    let half = || prop::sample::select(vec![0_u64, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]);
    prop_oneof![half(), (half(), half()).prop_map(|(upper, lower)| upper << 32 | lower)]
}

/// Few names, so that rules meet.
const NAMES: &[&str] = &[
    "read",
    "write",
    "open",
    "socket",
    "socketcall",
    "connect",
    "ipc",
    "shmget",
    "personality",
    "clone",
    "mmap",
    "mmap2",
    "execve",
    "breakpoint",
    "cacheflush",
    "newfstatat",
    "fstatat64",
    "file_setattr",
    "no_such_call",
];

fn some_rules() -> impl Strategy<Value = Rules> {
    let operators = prop::sample::select(vec![
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Equal,
        Operator::GreaterOrEqual,
        Operator::Greater,
        Operator::MaskedEqual,
    ]);
    let argument = (0_u32..3, values(), values(), operators)
        .prop_map(|(index, value, value_two, op)| Argument { index, value, value_two, op });
    let names = prop::collection::vec(prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned), 1..4);
    let rule = (names, actions(), prop::option::of(0_u32..3), prop::collection::vec(argument, 0..4))
        .prop_map(|(names, action, errno_ret, args)| Rule { names, action, errno_ret, args });
    let architectures = prop::sample::subsequence(
        vec!["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_S390X"],
        0..=5,
    );
    (actions(), prop::option::of(0_u32..3), architectures, prop::collection::vec(rule, 0..12)).prop_map(
        |(default_action, default_errno_ret, architectures, syscalls)| Rules {
            default_action,
            default_errno_ret,
            architectures: architectures.into_iter().map(str::to_owned).collect(),
            flags: None,
            syscalls,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_rules_answer_as_they_say(
        rules in some_rules(),
        arm in any::<bool>(),
        arguments in prop::collection::vec((values(), values(), values()), 12),
        others in prop::collection::vec(any::<u32>(), 8),
    ) {
        let machine = if arm { Machine::Arm64 } else { Machine::Amd64 };
        let program = program(&rules, machine);
        let oracle = Oracle::new(&rules, machine);
        let named = NUMBERS.iter().filter(|(name, _)| NAMES.contains(name)).flat_map(|(_, numbers)| numbers);
        let near = named.flat_map(|number| [number.wrapping_sub(1), *number, number.wrapping_add(1), number | X32_BIT]);
        for number in near.chain(others) {
            for audit in AUDITS {
                for (a, b, c) in &arguments {
                    let call = Call { audit, number, arguments: [*a, *b, *c, 0, 0, 0] };
                    prop_assert_eq!(run(&program, call).0, oracle.answer(call), "{:x?}", call);
                }
            }
        }
    }
}

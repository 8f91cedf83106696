//! Device rules: the list of the OCI specification ("later rules win") reduced to a default and its exceptions, which v1 takes as
//! text and v2 as an eBPF program.

use std::collections::BTreeMap;

use sys::bpf::Instruction;

use crate::{DeviceKind, DeviceRule};

const MKNOD: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 4;
const ALL: u8 = MKNOD | READ | WRITE;

/// Kind ('c' or 'b'), major, minor; `None` is every number.
type Key = (u8, Option<u32>, Option<u32>);

/// A default, and the devices for which the opposite holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    allow: bool,
    exceptions: BTreeMap<Key, u8>,
}

impl Policy {
    /// Reads the rules in order, starting from "everything allowed", which is what a new cgroup has.
    pub fn new(rules: &[DeviceRule]) -> Self {
        let mut policy = Self { allow: true, exceptions: BTreeMap::new() };
        for rule in rules {
            let access = access_bits(&rule.access);
            // A rule for all devices replaces everything before it, whatever its access says: so does the kernel's own list.
            if rule.kind == DeviceKind::All && rule.major.is_none() && rule.minor.is_none() {
                policy = Self { allow: rule.allow, exceptions: BTreeMap::new() };
                continue;
            }
            let kinds: &[u8] = match rule.kind {
                DeviceKind::All => b"bc",
                DeviceKind::Block => b"b",
                DeviceKind::Character => b"c",
            };
            for kind in kinds {
                let key = (*kind, rule.major, rule.minor);
                let bits = policy.exceptions.entry(key).or_insert(0);
                if rule.allow == policy.allow {
                    *bits &= !access;
                } else {
                    *bits |= access;
                }
                if *bits == 0 {
                    policy.exceptions.remove(&key);
                }
            }
        }
        policy
    }

    /// What v1 is told: (file, line) pairs, in order. The first pair sets the default.
    pub fn v1_commands(&self) -> Vec<(&'static str, String)> {
        let (base, opposite) = match self.allow {
            true => ("devices.allow", "devices.deny"),
            false => ("devices.deny", "devices.allow"),
        };
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        let line = |(key, bits): (&Key, &u8)| {
            let (kind, major, minor) = *key;
            (opposite, format!("{} {}:{} {}", kind as char, number(major), number(minor), access_text(*bits)))
        };
        [(base, "a".to_owned())].into_iter().chain(self.exceptions.iter().map(line)).collect()
    }

    /// The program for v2. It is called with `struct bpf_cgroup_dev_ctx` (access and kind, major, minor) and answers 1 for yes.
    pub fn v2_program(&self) -> Vec<Instruction> {
        const LOAD_WORD: u8 = 0x61;
        const MOVE32: u8 = 0xb4;
        const MOVE32_REGISTER: u8 = 0xbc;
        const AND32: u8 = 0x54;
        const SHIFT_RIGHT32: u8 = 0x74;
        const JUMP_NOT_EQUAL: u8 = 0x55;
        const EXIT: u8 = 0x95;
        let instruction = |code, destination: u8, source: u8, offset, immediate| Instruction {
            code,
            registers: destination | source << 4,
            offset,
            immediate,
        };
        // r2: kind (1 block, 2 character), r3: access, r4: major, r5: minor; r1 is the context.
        let mut program = vec![
            instruction(LOAD_WORD, 2, 1, 0, 0),
            instruction(MOVE32_REGISTER, 3, 2, 0, 0),
            instruction(AND32, 2, 0, 0, 0xffff),
            instruction(SHIFT_RIGHT32, 3, 0, 0, 16),
            instruction(LOAD_WORD, 4, 1, 4, 0),
            instruction(LOAD_WORD, 5, 1, 8, 0),
        ];
        for ((kind, major, minor), bits) in &self.exceptions {
            let mut block = vec![(2, if *kind == b'b' { 1 } else { 2 })];
            block.extend(major.map(|major| (4, major as i32)));
            block.extend(minor.map(|minor| (5, minor as i32)));
            let mut code: Vec<Instruction> = block
                .iter()
                .map(|(register, value)| instruction(JUMP_NOT_EQUAL, *register, 0, 0, *value))
                .collect();
            if *bits != ALL {
                // To be allowed all wanted bits must be in `bits`; to be denied one of them is enough.
                let mask = if self.allow { *bits } else { ALL & !*bits };
                code.push(instruction(MOVE32_REGISTER, 1, 3, 0, 0));
                code.push(instruction(AND32, 1, 0, 0, i32::from(mask)));
                let jump = if self.allow { 0x15 } else { JUMP_NOT_EQUAL };
                code.push(instruction(jump, 1, 0, 0, 0));
            }
            code.push(instruction(MOVE32, 0, 0, 0, i32::from(!self.allow)));
            code.push(instruction(EXIT, 0, 0, 0, 0));
            // Every jump leaves this block for the next.
            let length = code.len();
            for (index, one) in code.iter_mut().enumerate() {
                if one.code == JUMP_NOT_EQUAL || one.code == 0x15 {
                    one.offset = (length - index - 1) as i16;
                }
            }
            program.extend(code);
        }
        program.push(instruction(MOVE32, 0, 0, 0, i32::from(self.allow)));
        program.push(instruction(EXIT, 0, 0, 0, 0));
        program
    }
}

/// The kernel numbers them so (BPF_DEVCG_ACC_*).
fn access_bits(text: &str) -> u8 {
    // No access given means all of it.
    if text.is_empty() {
        return ALL;
    }
    let bit = |letter| match letter {
        'r' => READ,
        'w' => WRITE,
        'm' => MKNOD,
        _ => 0,
    };
    text.chars().map(bit).fold(0, |all, one| all | one)
}

fn access_text(bits: u8) -> String {
    [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, letter)| letter)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> DeviceRule {
        // "allow c 1:3 rwm"
        let fields: Vec<&str> = text.split(' ').collect();
        let (major, minor) = fields[2].split_once(':').unwrap();
        DeviceRule {
            allow: fields[0] == "allow",
            kind: match fields[1] {
                "a" => DeviceKind::All,
                "b" => DeviceKind::Block,
                _ => DeviceKind::Character,
            },
            major: major.parse().ok(),
            minor: minor.parse().ok(),
            access: fields.get(3).copied().unwrap_or_default().to_owned(),
        }
    }

    fn rules(text: &str) -> Vec<DeviceRule> {
        text.split("; ").map(rule).collect()
    }

    /// Runs the program as the kernel would.
    fn run(program: &[Instruction], kind: u8, access: u8, major: u32, minor: u32) -> bool {
        let context = [u32::from(access) << 16 | u32::from(kind), major, minor];
        let mut registers = [0_u32; 11];
        let mut at = 0;
        loop {
            let one = program[at];
            let (to, from) = ((one.registers & 15) as usize, (one.registers >> 4) as usize);
            at += 1;
            match one.code {
                0x61 => registers[to] = context[one.offset as usize / 4],
                0xb4 => registers[to] = one.immediate as u32,
                0xbc => registers[to] = registers[from],
                0x54 => registers[to] &= one.immediate as u32,
                0x74 => registers[to] >>= one.immediate,
                0x55 if registers[to] != one.immediate as u32 => at += one.offset as usize,
                0x15 if registers[to] == one.immediate as u32 => at += one.offset as usize,
                0x55 | 0x15 => {}
                0x95 => return registers[0] == 1,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn docker_list() {
        let policy = Policy::new(&rules(
            "deny a *:* rwm; allow c 1:3 rwm; allow c 1:5 rwm; allow c 136:* rwm; deny c 10:229 rwm; allow c *:* m; allow b *:* m",
        ));
        let commands: Vec<String> =
            policy.v1_commands().into_iter().map(|(file, line)| format!("{file} {line}")).collect();
        assert_eq!(
            commands,
            [
                "devices.deny a",
                "devices.allow b *:* m",
                "devices.allow c *:* m",
                "devices.allow c 1:3 rwm",
                "devices.allow c 1:5 rwm",
                "devices.allow c 136:* rwm",
            ]
        );
        let program = policy.v2_program();
        for (kind, access, major, minor, allowed) in [
            (2, READ, 1, 3, true),
            (2, READ | WRITE, 1, 3, true),
            (2, READ, 1, 4, false),
            (1, READ, 1, 3, false),
            (1, MKNOD, 8, 0, true),
            (1, MKNOD | READ, 8, 0, false),
            (2, WRITE, 136, 77, true),
            (2, READ, 10, 229, false),
        ] {
            assert_eq!(run(&program, kind, access, major, minor), allowed, "{kind} {access} {major}:{minor}");
        }
    }

    #[test]
    fn everything_but_one() {
        let policy = Policy::new(&rules("deny c 1:3 w"));
        assert_eq!(policy.v1_commands()[1], ("devices.deny", "c 1:3 w".to_owned()));
        let program = policy.v2_program();
        assert!(run(&program, 2, READ, 1, 3));
        assert!(!run(&program, 2, READ | WRITE, 1, 3));
        assert!(run(&program, 2, WRITE, 1, 5));
    }

    #[test]
    fn a_later_rule_wins() {
        let policy = Policy::new(&rules("deny a *:*; allow c 1:3 rw; deny c 1:3 w; allow a 4:4 r"));
        let program = policy.v2_program();
        assert!(run(&program, 2, READ, 1, 3));
        assert!(!run(&program, 2, WRITE, 1, 3));
        assert!(run(&program, 1, READ, 4, 4) && run(&program, 2, READ, 4, 4));
        assert_eq!(Policy::new(&rules("deny c 1:3 w; allow a *:* rwm")), Policy::new(&[]));
    }
}

//! An assembler for classic BPF that works from the last instruction to the first. Jumps go forward only, so that their targets
//! are always known, and a target's distance is a subtraction.

use std::collections::HashMap;

use sys::seccomp::instruction;

use crate::decide::{Clause, Decision, Test};
use crate::rules::Operator;

// linux/bpf_common.h
const LD_W_ABS: u16 = 0x20;
const AND_K: u16 = 0x54;
const JA: u16 = 0x05;
const RET_K: u16 = 0x06;
const JEQ_K: u16 = 0x15;
const JGT_K: u16 = 0x25;
const JGE_K: u16 = 0x35;

/// Offset of the call's number in `struct seccomp_data`.
pub(crate) const NUMBER: u32 = 0;
/// Offset of the audit architecture.
pub(crate) const ARCHITECTURE: u32 = 4;

/// Offset of the low half of an argument, on a little-endian machine.
fn low(index: u32) -> u32 {
    16 + 8 * index
}

/// A conditional jump reaches 255 instructions; some are kept for the two long jumps that may have to go between.
const REACH: usize = 250;

/// A place in the program: how many instructions there are from it to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// Comparisons of the accumulator with a constant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Compare {
    Equal,
    Greater,
    GreaterOrEqual,
}

/// A program in the making.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    /// The last instruction first.
    reversed: Vec<u64>,
    answers: HashMap<u32, Label>,
    decisions: HashMap<Decision, Label>,
}

impl Assembler {
    /// The program from its first instruction on.
    pub fn finish(mut self) -> Vec<u64> {
        self.reversed.reverse();
        self.reversed
    }

    fn here(&self) -> Label {
        Label(self.reversed.len())
    }

    fn distance(&self, to: Label) -> usize {
        self.reversed.len() - to.0
    }

    fn push(&mut self, code: u16, jump_true: usize, jump_false: usize, k: u32) -> Label {
        self.reversed.push(instruction(code, jump_true as u8, jump_false as u8, k));
        self.here()
    }

    /// Ends with an answer to the kernel.
    pub fn answer(&mut self, answer: u32) -> Label {
        match self.answers.get(&answer) {
            // A second one where it is needed costs as much room as a long jump and is one step less.
            Some(label) if self.distance(*label) < REACH / 2 => *label,
            _ => {
                let label = self.push(RET_K, 0, 0, answer);
                self.answers.insert(answer, label);
                label
            }
        }
    }

    /// Goes on at `to`, which need not be the next instruction.
    fn follow(&mut self, to: Label) -> Label {
        match self.distance(to) {
            0 => to,
            distance => self.push(JA, 0, 0, distance as u32),
        }
    }

    fn within_reach(&mut self, to: Label) -> Label {
        if self.distance(to) > REACH { self.follow(to) } else { to }
    }

    /// Compares the accumulator with `k`.
    pub fn branch(&mut self, compare: Compare, k: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        let code = match compare {
            Compare::Equal => JEQ_K,
            Compare::Greater => JGT_K,
            Compare::GreaterOrEqual => JGE_K,
        };
        let yes = self.within_reach(yes);
        let no = self.within_reach(no);
        self.push(code, self.distance(yes), self.distance(no), k)
    }

    /// Loads a word of `struct seccomp_data`.
    pub fn load(&mut self, offset: u32, then: Label) -> Label {
        self.follow(then);
        self.push(LD_W_ABS, 0, 0, offset)
    }

    /// Decides by the arguments.
    pub fn decision(&mut self, decision: &Decision) -> Label {
        if decision.clauses.is_empty() {
            return self.answer(decision.otherwise);
        }
        if let Some(label) = self.decisions.get(decision) {
            return *label;
        }
        let mut no = self.answer(decision.otherwise);
        for Clause { tests, answer } in decision.clauses.iter().rev() {
            let mut yes = self.answer(*answer);
            for test in tests.iter().rev() {
                yes = self.test(test, yes, no);
            }
            no = yes;
        }
        self.decisions.insert(decision.clone(), no);
        no
    }

    fn test(&mut self, test: &Test, yes: Label, no: Label) -> Label {
        match test.operator {
            Operator::Equal => self.masked(test, u64::MAX, test.value, yes, no),
            Operator::NotEqual => self.masked(test, u64::MAX, test.value, no, yes),
            Operator::MaskedEqual => self.masked(test, test.value, test.value_two, yes, no),
            Operator::Greater => self.ordered(test, Compare::Greater, yes, no),
            Operator::GreaterOrEqual => self.ordered(test, Compare::GreaterOrEqual, yes, no),
            Operator::Less => self.ordered(test, Compare::GreaterOrEqual, no, yes),
            Operator::LessOrEqual => self.ordered(test, Compare::Greater, no, yes),
        }
    }

    fn masked(&mut self, test: &Test, mask: u64, want: u64, yes: Label, no: Label) -> Label {
        let low_half = self.masked_half(low(test.index), mask as u32, want as u32, yes, no);
        if test.narrow {
            return low_half;
        }
        self.masked_half(low(test.index) + 4, (mask >> 32) as u32, (want >> 32) as u32, low_half, no)
    }

    fn masked_half(&mut self, offset: u32, mask: u32, want: u32, yes: Label, no: Label) -> Label {
        match mask {
            0 if want == 0 => return yes,
            0 => return no,
            _ => {}
        }
        let compared = self.branch(Compare::Equal, want, yes, no);
        let masked = match mask {
            u32::MAX => compared,
            _ => {
                self.follow(compared);
                self.push(AND_K, 0, 0, mask)
            }
        };
        self.load(offset, masked)
    }

    fn ordered(&mut self, test: &Test, compare: Compare, yes: Label, no: Label) -> Label {
        let (upper, lower) = ((test.value >> 32) as u32, test.value as u32);
        let compared = self.branch(compare, lower, yes, no);
        let low_half = self.load(low(test.index), compared);
        if test.narrow {
            return low_half;
        }
        let same = self.branch(Compare::Equal, upper, low_half, no);
        let compared = self.branch(Compare::Greater, upper, yes, same);
        self.load(low(test.index) + 4, compared)
    }
}

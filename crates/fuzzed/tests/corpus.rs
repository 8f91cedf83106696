//! Every entry over its seeds, whole and mutated: a few thousand inputs each, so that the fuzz targets can't rot and what they
//! once found stays found.

use std::path::Path;

use fuzzed::ENTRIES;

/// Inputs made from each seed; `NARU_TEST_MUTATIONS=n` makes more, and others.
const MUTATIONS: usize = 60;

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound.max(1)
    }

    /// One to four changes: bits, bytes, numbers, pieces removed, doubled or exchanged, the end cut off.
    fn mutated(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..1 + self.below(4) {
            if bytes.is_empty() {
                bytes.push(self.below(256) as u8);
            }
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(40)).min(bytes.len());
            match self.below(8) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.below(256) as u8,
                2 => bytes[at] = *b"\0\xff0{}[]\",:/.-9"[self.below(14)..].first().unwrap_or(&0),
                3 => bytes[at..end].fill(b'9'),
                4 => drop(bytes.drain(at..end)),
                5 => {
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                6 => bytes[at..end].reverse(),
                _ => bytes.truncate(at),
            }
        }
        bytes
    }
}

#[test]
fn no_seed_and_no_mutation_of_one_panics() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let more = std::env::var("NARU_TEST_MUTATIONS").ok().and_then(|number| number.parse().ok());
    let mutations: usize = more.unwrap_or(MUTATIONS);
    let mut random = Random(0x2545_f491_4f6c_dd1d ^ mutations as u64);
    for (name, entry) in ENTRIES {
        let folder = corpus.join(name);
        let mut seeds: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for path in seeds {
            let seed = std::fs::read(&path).unwrap();
            entry(&seed);
            for number in 0..mutations {
                let input = random.mutated(&seed);
                let outcome = std::panic::catch_unwind(|| entry(&input));
                assert!(
                    outcome.is_ok(),
                    "{name}: mutation {number} of {}: {}",
                    path.display(),
                    input.escape_ascii()
                );
            }
        }
    }
}

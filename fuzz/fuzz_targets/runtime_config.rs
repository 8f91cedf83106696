//! See `fuzzed::runtime_config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::runtime_config(bytes));

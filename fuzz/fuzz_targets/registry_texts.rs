//! See `fuzzed::registry_texts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::registry_texts(bytes));

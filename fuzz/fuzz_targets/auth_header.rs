//! See `fuzzed::auth_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::auth_header(bytes));

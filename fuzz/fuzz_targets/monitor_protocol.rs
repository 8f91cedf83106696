//! See `fuzzed::monitor_protocol`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::monitor_protocol(bytes));

//! See `fuzzed::seccomp_profile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::seccomp_profile(bytes));

//! See `fuzzed::image_config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzed::image_config(bytes));

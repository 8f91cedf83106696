//! How the binary is linked: at fixed addresses. A position-independent one of this size has 42,000 places to be corrected at
//! every start, which costs a page fault and a private copy for each of the 170 pages that they are on, in every client, monitor
//! and runtime. Heap, stack and mappings are at random addresses all the same.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    // Each later flag takes the place of the compiler's own `-static-pie`. Other targets bring their own start files for it.
    if target("ENV") == "gnu" && target("FEATURE").split(',').any(|feature| feature == "crt-static") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
        println!("cargo:rustc-link-arg-bins=-static");
    }
}

//! Reading Docker's profiles: conditions, both ways to list architectures, contradictions.

use seccomp::{Action, Profile, Program, Rules, compile};

fn profile(rest: &str) -> Result<Profile, seccomp::Error> {
    Profile::parse(format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO"{rest}}}"#).as_bytes())
}

fn resolve(rest: &str, capabilities: u64, kernel: (u32, u32)) -> Rules {
    profile(rest).unwrap().resolve(capabilities, kernel).unwrap()
}

/// Whether a rule with these conditions counts.
fn counts(conditions: &str, capabilities: u64, kernel: (u32, u32)) -> bool {
    let syscalls =
        format!(r#", "syscalls": [{{"names": ["read"], "action": "SCMP_ACT_ALLOW", {conditions}}}]"#);
    !resolve(&syscalls, capabilities, kernel).syscalls.is_empty()
}

#[test]
fn conditions_choose_the_rules() {
    let (native, foreign) =
        if cfg!(target_arch = "x86_64") { ("amd64", "arm64") } else { ("arm64", "amd64") };
    let admin = 1 << sys::caps::SYS_ADMIN;
    let cases = [
        (r#""includes": {}"#.to_owned(), 0, (6, 1), true),
        (r#""includes": {"caps": ["CAP_SYS_ADMIN"]}"#.to_owned(), 0, (6, 1), false),
        (r#""includes": {"caps": ["CAP_SYS_ADMIN"]}"#.to_owned(), admin, (6, 1), true),
        (r#""includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}"#.to_owned(), admin, (6, 1), false),
        (r#""includes": {"caps": ["CAP_OF_TOMORROW"]}"#.to_owned(), u64::MAX, (6, 1), false),
        (r#""excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}"#.to_owned(), admin, (6, 1), false),
        (r#""excludes": {"caps": ["CAP_SYS_ADMIN"]}"#.to_owned(), 0, (6, 1), true),
        (r#""includes": {"minKernel": "5.10"}"#.to_owned(), 0, (5, 9), false),
        (r#""includes": {"minKernel": "5.10"}"#.to_owned(), 0, (5, 10), true),
        (r#""includes": {"minKernel": "5.10"}"#.to_owned(), 0, (6, 0), true),
        (r#""excludes": {"minKernel": "5.10"}"#.to_owned(), 0, (6, 0), false),
        (format!(r#""includes": {{"arches": ["{foreign}"]}}"#), 0, (6, 1), false),
        (format!(r#""includes": {{"arches": ["{foreign}", "{native}"]}}"#), 0, (6, 1), true),
        (format!(r#""excludes": {{"arches": ["{native}"]}}"#), 0, (6, 1), false),
    ];
    for (conditions, capabilities, kernel, want) in cases {
        assert_eq!(
            counts(&conditions, capabilities, kernel),
            want,
            "{conditions} {capabilities:x} {kernel:?}"
        );
    }
}

#[test]
fn architectures_come_from_either_list() {
    assert_eq!(
        resolve(r#", "architectures": ["SCMP_ARCH_X86"]"#, 0, (6, 1)).architectures,
        ["SCMP_ARCH_X86"]
    );
    let (native, sub) = if cfg!(target_arch = "x86_64") { ("X86_64", "X86") } else { ("AARCH64", "ARM") };
    let map = format!(
        r#", "archMap": [{{"architecture": "SCMP_ARCH_S390X", "subArchitectures": ["SCMP_ARCH_S390"]}},
            {{"architecture": "SCMP_ARCH_{native}", "subArchitectures": ["SCMP_ARCH_{sub}"]}}]"#
    );
    let want = [format!("SCMP_ARCH_{native}"), format!("SCMP_ARCH_{sub}")];
    assert_eq!(resolve(&map, 0, (6, 1)).architectures, want);
}

#[test]
fn old_and_new_names() {
    let rules =
        resolve(r#", "syscalls": [{"name": "read", "action": "SCMP_ACT_ALLOW", "args": null}]"#, 0, (6, 1));
    assert_eq!(rules.syscalls[0].names, ["read"]);
    let unknown = r#", "syscalls": [{"names": ["no_such_call"], "action": "SCMP_ACT_ALLOW"}]"#;
    compile(&profile(unknown).unwrap(), 0, (6, 1)).unwrap();
    assert_eq!(Profile::parse(b"{}").unwrap().default_action, Action::Allow);
}

#[test]
fn contradictions_are_refused_with_dockers_words() {
    let read = |rest: &str| match profile(rest) {
        Ok(profile) => compile(&profile, 0, (6, 1)).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    let allow = |rest: &str| read(&format!(r#", "syscalls": [{{"action": "SCMP_ACT_ALLOW", {rest}}}]"#));
    let cases = [
        (
            read(
                r#", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]"#,
            ),
            "invalid seccomp profile: 'architectures' and 'archMap' were specified in the seccomp profile, use either \
             'architectures' or 'archMap'",
        ),
        (
            allow(r#""name": "read", "names": ["write"]"#),
            "invalid seccomp profile: 'name' and 'names' were specified in the seccomp profile, use either 'name' or \
             'names'",
        ),
        (
            allow(r#""names": ["read"], "includes": {"minKernel": "new"}"#),
            "invalid seccomp profile: invalid kernel version: \"new\"",
        ),
        (
            allow(r#""names": ["read"], "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]"#),
            "invalid seccomp profile: read has no argument 6",
        ),
        (
            read(r#", "architectures": ["SCMP_ARCH_VAX"]"#),
            "invalid seccomp profile: unknown architecture \"SCMP_ARCH_VAX\"",
        ),
        (
            read(r#", "flags": ["SECCOMP_FILTER_FLAG_NONE"]"#),
            "invalid seccomp profile: unknown flag \"SECCOMP_FILTER_FLAG_NONE\"",
        ),
        (
            read(r#", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]"#),
            "invalid seccomp profile: SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
        (
            read(r#", "defaultErrnoRet": 65536"#),
            "invalid seccomp profile: errnoRet 65536 does not fit into 16 bits",
        ),
    ];
    for (error, want) in cases {
        assert_eq!(error, want);
    }
    assert!(
        Profile::parse(b"nonsense").unwrap_err().to_string().starts_with("decoding seccomp profile failed: ")
    );
    assert!(Profile::parse(br#"{"syscalls": []}"#).is_err());
}

#[test]
fn a_program_survives_a_stored_plan() {
    let program = compile(Profile::docker_default(), 0, (6, 1)).unwrap();
    let json = serde_json::to_string(&program).unwrap();
    assert_eq!(serde_json::from_str::<Program>(&json).unwrap(), program);
    assert!(json.len() < 5000, "{} bytes", json.len());
    assert!(serde_json::from_str::<Program>(r#"{"instructions":"AAAA"}"#).is_err());
}

#[test]
fn flags_follow_the_profile() {
    use sys::seccomp::{LOG, NEW_LISTENER, SPEC_ALLOW, TSYNC, WAIT_KILLABLE_RECV};
    let flags = |rest: &str| compile(&profile(rest).unwrap(), 0, (6, 1)).unwrap().flags;
    let notify = r#", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]"#;
    let listed = r#", "flags": ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#;
    assert_eq!(flags(""), SPEC_ALLOW);
    assert_eq!(flags(r#", "flags": []"#), 0);
    assert_eq!(flags(listed), TSYNC | LOG);
    assert_eq!(flags(notify), SPEC_ALLOW | NEW_LISTENER);
    assert_eq!(flags(&format!("{listed}{notify}")), LOG | WAIT_KILLABLE_RECV | NEW_LISTENER);
}

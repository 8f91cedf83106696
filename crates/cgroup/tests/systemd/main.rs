//! Scopes asked of a service manager that the test plays: what it is asked, in which order, and what comes of its answers. With
//! systemd itself: `cargo xtask lane --only systemd`.

mod fake;
mod real;

use cgroup::*;
use fake::Fake;

fn scope(fake: &Fake) -> Scope {
    let address = format!("unix:path={},guid=1", fake.socket().display());
    let manager = Manager::system(Some(&address));
    Scope { manager, unit: "the.scope".into(), slice: "a-b.slice".into(), description: "a test".into() }
}

fn names(fake: &Fake) -> Vec<String> {
    fake.take_calls().into_iter().map(|(name, _)| name).collect()
}

/// A place for the scope's cgroup that nobody else has.
fn place(name: &str) -> String {
    format!("/naru-scope-{}-{name}.scope", std::process::id())
}

fn has(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len()).any(|window| window == text)
}

fn pids(limit: i64) -> Resources {
    Resources { pids: Some(limit), ..Resources::default() }
}

fn is_root() -> bool {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: cgroups are made as root");
        return false;
    }
    true
}

#[test]
fn from_start_to_end() {
    if !is_root() {
        return;
    }
    let fake = Fake::new(&place("whole"));
    let host = Host::detect().unwrap();
    let (group, stand_in) = Cgroup::create_in_scope(&host, &scope(&fake), &pids(77)).unwrap();
    assert_eq!(group.path(), place("whole"));
    let calls = fake.take_calls();
    let order: Vec<&str> = calls.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(order, ["Hello", "AddMatch", "Subscribe", "StartTransientUnit", "GetUnit", "Get"]);
    let start = &calls[3].1;
    for text in ["the.scope", "replace", "a-b.slice", "Delegate", "DefaultDependencies", "PIDs", "a test"] {
        assert!(has(start, text.as_bytes()), "{text}");
    }
    assert!(has(start, b"TasksMax\0\x01t\0"));
    drop(stand_in);
    // A record of it finds the manager again.
    let group: Cgroup = serde_json::from_str(&serde_json::to_string(&group).unwrap()).unwrap();
    group.apply(&pids(78)).unwrap();
    let calls = fake.take_calls();
    assert_eq!(calls.last().unwrap().0, "SetUnitProperties");
    assert!(has(&calls.last().unwrap().1, &78_u64.to_le_bytes()));
    assert_eq!(group.stats().unwrap().pids.limit, Some(78));
    group.apply(&Resources::default()).unwrap();
    assert_eq!(names(&fake), [""; 0], "nothing to tell");
    fake.change(|state| state.taken = true);
    group.remove().unwrap();
    assert!(names(&fake).ends_with(&["StopUnit".into(), "ResetFailedUnit".into()]));
    assert!(group.folders().all(|(_, folder)| !folder.exists()));
    group.remove().unwrap();
}

#[test]
fn one_that_is_left_is_stopped_first() {
    if !is_root() {
        return;
    }
    let fake = Fake::new(&place("left"));
    fake.change(|state| state.taken = true);
    let host = Host::detect().unwrap();
    let (group, _) = Cgroup::create_in_scope(&host, &scope(&fake), &Resources::default()).unwrap();
    let calls = names(&fake).join(" ");
    assert!(
        calls.contains("StartTransientUnit StopUnit ResetFailedUnit StartTransientUnit GetUnit"),
        "{calls}"
    );
    group.remove().unwrap();
}

#[test]
fn what_goes_wrong_is_told_and_nothing_is_left() {
    let fake = Fake::new(&place("wrong"));
    let host = Host { hierarchies: Vec::new(), unified: Some("/nope".into()) };
    let error = || match Cgroup::create_in_scope(&host, &scope(&fake), &Resources::default()) {
        Ok(_) => panic!("it was made"),
        Err(error) => error.to_string(),
    };
    fake.change(|state| state.result = "failed");
    assert_eq!(error(), "start the unit the.scope: the job's result is \"failed\"");
    let garbage: [&[u8]; 4] = [b"", b"l", &[b'B'; 64], &[0xff; 64]];
    for garbage in garbage {
        fake.change(|state| state.garbage = Some(garbage.to_vec()));
        assert!(error().contains("the.scope") || error().contains("systemd"), "{}", error());
    }
    let nobody = Scope { manager: Manager::user(None, "/nope".as_ref()), ..scope(&fake) };
    let error = Cgroup::create_in_scope(&host, &nobody, &Resources::default()).unwrap_err().to_string();
    assert!(error.contains("connect to /nope/bus: systemd not running on this host"), "{error}");
}

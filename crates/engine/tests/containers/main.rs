//! Containers through the engine's own methods: real monitors, real namespaces, real cgroups. Needs root and busybox-static.
//!
//! The executable plays three roles: `monitor <id>` and `init …`, as the product's binary does, and the tests. Each test is a
//! process in a network namespace of its own, with its own root folder and cgroup, and leaves nothing.

mod boot;
mod exec;
mod held;
mod life;
mod network;
mod run;
mod storage;
mod world;

use std::os::fd::AsFd;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// A test: its name and what it does.
type Test = (&'static str, fn());

macro_rules! tests {
    ($($module:ident: $($name:ident),* $(,)?;)*) => {
        const TESTS: &[Test] = &[$($((concat!(stringify!($module), "::", stringify!($name)), || world::run($module::$name)),)*)*];
    };
}

tests! {
    run: output_exit_code_and_logs_arrive, a_container_that_removes_itself_is_gone, programs_that_cannot_run,
        standard_input_and_its_end_arrive, the_first_byte_is_not_lost, clients_attach_to_a_running_container,
        a_terminal_has_its_size, many_at_once, a_hundred_leave_nothing, init_is_the_first_process;
    life: stop_kill_and_restart, pause_and_unpause, rename_and_update, events_come_in_order, waits_end,
        removal_is_refused_and_forced, lists_filter, health_checks, policies_restart, inspect_is_complete;
    held: a_start_lets_it_go, a_change_takes_its_place, several_wait, it_does_not_wait_for_ever, it_ends_with_the_engine,
        what_a_killed_monitor_leaves_is_removed, it_keeps_no_address_from_others, an_exec_waits_for_its_start_too, nothing_waits_where_it_could_be_traced;
    exec: commands_run_and_end, commands_that_cannot_run, input_reaches_a_command, a_resize_waits_for_the_start;
    network: bridge_hosts_and_ports, links_tell_of_the_other_container, links_give_names_until_they_are_removed, endpoint_settings_are_checked_at_create, shared_and_host_networks, a_start_that_fails_gives_everything_back,
        names_are_answered_on_user_networks, names_come_with_a_network_that_is_connected_later,
        ports_are_published_when_a_network_with_a_way_out_comes;
    storage: volumes_are_made_filled_and_removed, volumes_of_a_device_are_mounted_while_they_are_used,
        shared_memory_has_its_size, binds_and_tmpfs, half_made_and_half_removed_containers;
    boot: containers_outlive_a_killed_engine, exits_while_no_engine_runs, a_killed_monitor_ends_its_container, a_reboot;
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("monitor") => {
            let control = std::io::stdin().as_fd().try_clone_to_owned();
            ExitCode::from(control.map_or(1, monitor::run) as u8)
        }
        // As `docker-init -- COMMAND`.
        Some("--") => ExitCode::from(runtime::init(&arguments[1..]) as u8),
        Some("engine") => boot::hold_an_engine(&arguments[1..]),
        Some("test") => {
            let (_, test) =
                TESTS.iter().find(|(name, _)| *name == arguments[1]).expect("a test of that name");
            test();
            ExitCode::SUCCESS
        }
        _ => all(&arguments),
    }
}

/// Runs the tests that the arguments pick, each in a process of its own.
fn all(arguments: &[String]) -> ExitCode {
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let exact = arguments.iter().any(|word| word == "--exact");
    let picked = |name: &str| {
        words.is_empty()
            || words.iter().any(|word| if exact { name == *word } else { name.contains(word.as_str()) })
    };
    let chosen: Vec<&Test> = TESTS.iter().filter(|(name, _)| picked(name)).collect();
    if arguments.iter().any(|word| word == "--list") {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let mut failed = Vec::new();
    for (name, _) in &chosen {
        let begun = Instant::now();
        let executable = std::env::current_exe().expect("the name of this executable");
        let output = Command::new(executable).args(["test", name]).output().expect("start a test");
        let took = Duration::from_millis(begun.elapsed().as_millis() as u64);
        let verdict = if output.status.success() { "ok" } else { "FAILED" };
        println!("test {name} ... {verdict} ({took:?})");
        if !output.status.success() {
            println!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            failed.push(*name);
        }
    }
    println!("\ntest result: {} passed; {} failed", chosen.len() - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

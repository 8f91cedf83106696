//! A real monitor with real containers, driven over its socket as the engine does it. Needs root and /bin/busybox (static).
//!
//! This binary is its own test runner, because it is also the monitor: `monitor <id>` as arguments, the control socket as standard
//! input. Arguments without `-` select tests by a part of their name.

mod exec;
mod health;
mod held;
mod life;
mod relay;
mod streams;
mod terminal;
mod world;

use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

type Test = (&'static str, fn());

macro_rules! tests {
    ($($module:ident: $($name:ident),* $(,)?;)*) => {
        &[$($((concat!(stringify!($module), "::", stringify!($name)), $module::$name as fn()),)*)*]
    };
}

const TESTS: &[Test] = tests! {
    life:
        a_container_runs_and_ends,
        exit_codes_and_signals,
        a_program_that_is_missing,
        stop_asks_then_kills,
        stop_waits_as_long_as_it_has_to,
        the_engine_may_die_and_another_takes_over,
        without_an_engine_the_record_is_enough,
        it_is_started_again_and_again,
        on_failure_gives_up,
        a_stop_during_the_back_off_is_the_end,
        a_killed_container_stays_down,
        a_restart_that_fails_is_the_end,
        frozen_processes_wait_and_can_be_killed,
        limits_change_and_stay_changed,
        memory_shortage_is_told,
        what_the_container_inherits_is_clean,
        requests_that_make_no_sense,
        an_idle_monitor_is_small;
    streams:
        output_is_in_the_log_and_with_clients,
        input_reaches_the_process_and_ends,
        clients_come_and_go,
        much_output_arrives_whole,
        a_client_that_does_not_read_delays_nobody_s_end,
        many_processes_write_until_the_end,
        a_client_over_tcp_sees_everything;
    terminal:
        a_terminal_has_a_size_and_echoes,
        detach_keys_leave_the_container_running;
    exec:
        an_exec_session_has_streams_and_an_exit_code,
        an_exec_session_with_a_terminal,
        an_exec_session_in_the_background,
        an_exec_session_that_cannot_start,
        an_expected_exec_session_needs_no_plan,
        exec_sessions_end_with_the_container,
        a_child_that_keeps_the_streams_open_holds_nobody_up;
    held:
        a_start_lets_the_process_go,
        a_start_may_come_before_the_process_waits,
        without_a_start_nothing_is_left,
        a_process_does_not_wait_for_a_killed_monitor,
        a_process_that_was_killed_is_made_again,
        a_program_that_is_missing_is_told_at_the_start,
        an_exec_session_lets_its_process_go,
        a_process_may_end_before_its_session_is_asked_for,
        what_was_not_let_go_is_started_afresh,
        an_exec_session_that_does_not_come_leaves_nothing,
        a_process_that_the_container_stops_holds_nobody_up,
        the_container_sees_nothing_of_a_process_that_waits;
    health:
        healthy_then_unhealthy,
        a_probe_that_takes_too_long,
        a_probe_on_demand;
    relay:
        tcp_goes_both_ways_and_ends_one_way_at_a_time,
        tcp_of_slow_readers_is_not_mixed_up,
        udp_finds_its_way_back,
        relays_follow_the_container_to_another_address,
        a_port_is_held_and_given_back;
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|role| role == "monitor") {
        let Ok(control) = std::io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
        return ExitCode::from(monitor::run(control) as u8);
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = |test: &&Test| wanted.is_empty() || wanted.iter().any(|part| test.0.contains(part.as_str()));
    let tests: Vec<&Test> = TESTS.iter().filter(chosen).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let failed = run(&tests);
    world::clean_up();
    println!("\ntest result: {} passed; {} failed", tests.len() - failed.len(), failed.len());
    failed.iter().for_each(|name| println!("    {name}"));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the tests, a few at a time; returns the names of those that failed.
fn run(tests: &[&Test]) -> Vec<&'static str> {
    let queue = Mutex::new(tests.iter());
    let failed = Mutex::new(Vec::new());
    let take = || queue.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, test)) = take() {
                    let start = Instant::now();
                    let result =
                        std::thread::Builder::new().name((*name).to_owned()).spawn(*test).unwrap().join();
                    let word = if result.is_ok() { "ok" } else { "FAILED" };
                    println!("test {name} ... {word} ({} ms)", start.elapsed().as_millis());
                    if result.is_err() {
                        failed.lock().unwrap().push(*name);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

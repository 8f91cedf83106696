//! The engine's process: options become a configuration, listeners become a server, signals and idleness become an orderly end.
//!
//! ```text
//! flags, NARU_*, config.toml, daemon.json ─▶ Settings ─▶ EngineConfig ─▶ Engine ─▶ server::serve ─▶ shutdown
//! ```
//! The end: take the socket's lock, remove its name, serve what the kernel has queued, exit. Clients that come meanwhile wait
//! for the lock and start the next engine, so none is turned away.

mod listen;
mod options;
mod registries;
mod rootless;
mod settings;
mod tls;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use rustix::fs::FlockOperation;
use tokio::signal::unix::{SignalKind, signal};

use options::Options;

/// How long an engine waits for the one before it to let go of the root folder.
const HANDOVER: Duration = Duration::from_secs(15);

/// Runs an engine until it is told to stop or has nothing left to do.
pub fn run(arguments: &[OsString]) -> i32 {
    // An engine started by a command must not die with that command's terminal. Fails where we lead a group already.
    let _ = rustix::process::setsid();
    // Nor inherit that command's blocked signals: SIGTERM would never arrive.
    let _ = sys::signal::set_mask(0);
    let name = OsString::from("naru engine");
    let options = match Options::try_parse_from(std::iter::once(&name).chain(arguments)) {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return error.exit_code();
        }
    };
    match serve(options) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("naru engine: {error:#}");
            1
        }
    }
}

/// What an engine here would know about registries, for commands that speak to them themselves.
pub fn registries() -> anyhow::Result<distribution::RegistriesConfig> {
    Options::try_parse_from(["naru engine"]).context("read the engine's variables")?.registries()
}

fn serve(options: Options) -> anyhow::Result<()> {
    let settings = options.settings()?;
    log_to_stderr(&settings.log_level())?;
    let rootless = rootless::enter(settings.exec_root.as_deref())?;
    let mut config = settings.engine_config()?;
    if rootless {
        anyhow::ensure!(
            config.systemd.is_none(),
            "native.cgroupdriver=systemd is for an engine of root: without root cgroups lie below the delegated one"
        );
        rootless::configure(&mut config, settings.cgroup_parent.is_some());
    }
    let _root = lock_root(&config.root)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listening = listen::open(&settings, &config.run_dir)?;
        let engine = engine::Engine::start(config).await.context("start the engine")?;
        listen::tell_systemd();
        tracing::info!(sockets = ?listening.names, "serving");
        let leave = async {
            tokio::select! {
                name = told_to_stop() => tracing::info!(signal = name, "stopping"),
                () = engine.keep_small() => {}
                () = engine.settle_when_quiet() => {}
                () = engine.until_idle() => tracing::info!("nothing to do, leaving"),
            }
            let paths = listening.paths.clone();
            match tokio::task::spawn_blocking(move || listen::retire(&paths)).await {
                Ok(Ok(locks)) => locks,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "take the socket away");
                    Vec::new()
                }
                Err(_) => Vec::new(),
            }
        };
        let mut locks = Vec::new();
        server::serve(listening.listeners, std::sync::Arc::clone(&engine), async { locks = leave.await })
            .await
            .context("serve the Engine API")?;
        engine.shutdown().await;
        drop(locks);
        Ok(())
    })
}

/// The first SIGTERM or SIGINT. Where handlers cannot be installed the signals kill, which an engine survives too.
async fn told_to_stop() -> &'static str {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

fn log_to_stderr(level: &str) -> anyhow::Result<()> {
    let filter =
        tracing_subscriber::EnvFilter::try_new(level).with_context(|| format!("log level {level}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).init();
    Ok(())
}

/// One engine for one root folder. One that is leaving is waited for.
fn lock_root(root: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(root).with_context(|| format!("create {}", root.display()))?;
    let path: PathBuf = root.join("engine.lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.with_context(|| format!("open {}", path.display()))?;
    let start = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if start.elapsed() < HANDOVER => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => anyhow::bail!("another engine uses {}", root.display()),
            Err(error) => return Err(error).with_context(|| format!("lock {}", path.display())),
        }
    }
}

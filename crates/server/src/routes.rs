//! Every route of the Engine API, by method and path. A table: the code behind a line is in the module that it names.
//!
//! Paths are decoded before they are matched, and names of images and volumes may contain slashes, as in moby's router. What
//! moby answers to a wrong method is the same as to an unknown path.

use std::pin::Pin;
use std::sync::Arc;

use engine::Engine;
use http::Method;

use crate::error::Error;
use crate::request::Request;
use crate::response::{self, Answer};
use crate::{absent, blobs, containers, exec, image_contents, images, networks, system, volumes};

/// Answers a request whose version is already taken off `path`.
///
/// A client that goes away cancels what it reads, never what it changes: requests other than GET and HEAD run in a task of
/// their own to their end (long work inside an answer's body, such as a pull, is dropped with the body).
pub(crate) async fn route(engine: &Arc<Engine>, request: Request, path: String) -> Answer {
    if matches!(request.method, Method::GET | Method::HEAD) {
        return dispatch(engine, request, &path).await;
    }
    let engine = Arc::clone(engine);
    let task = tokio::spawn(async move { dispatch(&engine, request, &path).await });
    task.await.unwrap_or_else(|error| Err(response::broken(format!("internal error: {error}"))))
}

async fn dispatch(engine: &Arc<Engine>, request: Request, path: &str) -> Answer {
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    match request.method {
        Method::GET => get(engine, request, &segments).await,
        Method::POST => post(engine, request, &segments).await,
        Method::DELETE => delete(engine, request, &segments).await,
        Method::PUT => put(engine, request, &segments).await,
        Method::HEAD => head(engine, request, &segments).await,
        _ => Err(Error::page_not_found()),
    }
}

/// A large future in a place of its own: without, each request's would have to be moved in the room that the largest needs.
fn apart<F: Future>(future: F) -> Pin<Box<F>> {
    Box::pin(future)
}

async fn head(engine: &Arc<Engine>, request: Request, path: &[&str]) -> Answer {
    match path {
        ["_ping"] => system::ping(&request),
        ["containers", id, "archive"] => containers::archive_stat(engine, request, id).await,
        _ => Err(Error::page_not_found()),
    }
}

async fn get(engine: &Arc<Engine>, request: Request, path: &[&str]) -> Answer {
    match path {
        ["_ping"] => system::ping(&request),
        ["info"] => system::info(engine, request).await,
        ["version"] => system::version(engine).await,
        ["events"] => system::events(engine, request).await,
        ["system", "df"] => system::disk_usage(engine, request).await,

        ["containers", "json"] => containers::list(engine, request).await,
        ["containers", id, "json"] => apart(containers::inspect(engine, request, id)).await,
        ["containers", id, "top"] => containers::top(engine, request, id).await,
        ["containers", id, "logs"] => containers::logs(engine, request, id).await,
        ["containers", id, "changes"] => containers::changes(engine, id).await,
        ["containers", id, "export"] => containers::export(engine, id).await,
        ["containers", id, "stats"] => containers::stats(engine, request, id).await,
        ["containers", id, "attach", "ws"] => containers::attach_web_socket(engine, request, id).await,
        ["containers", id, "archive"] => containers::archive_get(engine, request, id).await,
        ["containers", _, "checkpoints"] => absent::checkpoints(),
        ["exec", id, "json"] => exec::inspect(engine, id).await,

        ["images", "json"] => images::list(engine, request).await,
        ["images", "search"] => apart(images::search(engine, request)).await,
        ["images", "get"] => images::save(engine, request).await,
        ["images", name @ .., "get"] => images::save_one(engine, request, &name.join("/")).await,
        ["images", name @ .., "json"] => images::inspect(engine, request, &name.join("/")).await,
        ["images", name @ .., "history"] => images::history(engine, request, &name.join("/")).await,
        ["naru", "blobs", digest] => blobs::get(engine, request, digest).await,
        ["naru", "images", "tree"] => image_contents::tree(engine).await,
        ["naru", "images", name @ .., "log"] => image_contents::log(engine, request, &name.join("/")).await,
        ["naru", "images", name @ .., "diff"] => image_contents::diff(engine, request, &name.join("/")).await,
        ["naru", "images", name @ .., "files"] => {
            image_contents::files(engine, request, &name.join("/")).await
        }
        ["naru", "images", name @ .., "file"] => image_contents::file(engine, request, &name.join("/")).await,
        ["naru", "images", name @ .., "verify"] => image_contents::verify(engine, &name.join("/")).await,
        ["naru", "networks", "doctor"] => networks::doctor(engine, request).await,
        ["distribution", name @ .., "json"] => {
            apart(images::distribution(engine, request, &name.join("/"))).await
        }

        ["networks"] | ["networks", ""] => networks::list(engine, request).await,
        ["networks", name @ ..] => networks::inspect(engine, request, &name.join("/")).await,
        ["volumes"] => volumes::list(engine, request).await,
        ["volumes", name @ ..] => volumes::inspect(engine, &name.join("/")).await,

        ["plugins"] => absent::plugins(),
        ["plugins", "privileges"] => absent::plugin(),
        ["plugins", name @ .., "json"] => absent::no_such_plugin(&name.join("/")),
        ["swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs"] => absent::swarm(),
        ["nodes" | "services" | "tasks" | "secrets" | "configs", _] | ["swarm", "unlockkey"] => {
            absent::swarm()
        }
        ["services" | "tasks", _, "logs"] => absent::swarm(),
        _ => Err(Error::page_not_found()),
    }
}

async fn post(engine: &Arc<Engine>, request: Request, path: &[&str]) -> Answer {
    match path {
        ["auth"] => apart(system::auth(engine, request)).await,
        ["commit"] => containers::commit(engine, request).await,
        ["build"] => absent::build(),
        ["build", "prune"] => absent::build_prune(),
        ["build", "cancel"] => absent::build_cancel(),
        ["session"] | ["grpc"] => absent::session(),

        ["containers", "create"] => apart(containers::create(engine, request)).await,
        ["containers", "prune"] => apart(containers::prune(engine, request)).await,
        ["containers", id, "start"] => containers::start(engine, request, id).await,
        ["containers", id, "stop"] => containers::stop(engine, request, id).await,
        ["containers", id, "restart"] => containers::restart(engine, request, id).await,
        ["containers", id, "kill"] => containers::kill(engine, request, id).await,
        ["containers", id, "pause"] => containers::pause(engine, id).await,
        ["containers", id, "unpause"] => containers::unpause(engine, id).await,
        ["containers", id, "rename"] => apart(containers::rename(engine, request, id)).await,
        ["containers", id, "update"] => apart(containers::update(engine, request, id)).await,
        ["containers", id, "resize"] => containers::resize(engine, request, id).await,
        ["containers", id, "wait"] => containers::wait(engine, request, id).await,
        ["containers", id, "attach"] => containers::attach(engine, request, id).await,
        ["containers", id, "exec"] => exec::create(engine, request, id).await,
        ["containers", _, "checkpoints"] => absent::checkpoints(),
        ["exec", id, "start"] => exec::start(engine, request, id).await,
        ["exec", id, "resize"] => exec::resize(engine, request, id).await,

        ["images", "create"] => images::create(engine, request).await,
        ["naru", "blobs", "missing"] => blobs::missing(engine, request).await,
        ["images", "load"] => images::load(engine, request).await,
        ["images", "prune"] => images::prune(engine, request).await,
        ["images", name @ .., "push"] => images::push(engine, request, &name.join("/")).await,
        ["images", name @ .., "tag"] => images::tag(engine, request, &name.join("/")).await,

        ["networks", "create"] => networks::create(engine, request).await,
        ["networks", "prune"] => networks::prune(engine, request).await,
        ["networks", id, "connect"] => apart(networks::connect(engine, request, id)).await,
        ["networks", id, "disconnect"] => apart(networks::disconnect(engine, request, id)).await,
        ["volumes", "create"] => volumes::create(engine, request).await,
        ["volumes", "prune"] => volumes::prune(engine, request).await,

        ["plugins", "pull" | "create"]
        | ["plugins", _, "enable" | "disable" | "upgrade" | "push" | "set"] => absent::plugin(),
        ["swarm", "init" | "join"] => absent::swarm_mode(),
        ["swarm", "leave"] => absent::not_in_swarm(),
        ["swarm", "update" | "unlock"] | ["services" | "secrets" | "configs", "create"] => absent::swarm(),
        ["nodes" | "services" | "secrets" | "configs", _, "update"] => absent::swarm(),
        _ => Err(Error::page_not_found()),
    }
}

async fn delete(engine: &Arc<Engine>, request: Request, path: &[&str]) -> Answer {
    match path {
        ["containers", _, "checkpoints", _] => absent::checkpoints(),
        ["containers", id @ ..] => apart(containers::remove(engine, request, &id.join("/"))).await,
        ["images", name @ ..] => images::remove(engine, request, &name.join("/")).await,
        ["networks", id] => networks::remove(engine, id).await,
        ["volumes", name @ ..] => volumes::remove(engine, request, &name.join("/")).await,
        ["plugins", name @ ..] => absent::no_such_plugin(&name.join("/")),
        ["nodes" | "services" | "secrets" | "configs", _] => absent::swarm(),
        _ => Err(Error::page_not_found()),
    }
}

async fn put(engine: &Arc<Engine>, request: Request, path: &[&str]) -> Answer {
    match path {
        ["containers", id, "archive"] => containers::archive_put(engine, request, id).await,
        ["volumes", _] => absent::swarm(),
        _ => Err(Error::page_not_found()),
    }
}

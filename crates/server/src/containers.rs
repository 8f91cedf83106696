//! `/containers/…` and `/commit`.

use std::sync::Arc;

use api::*;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{AttachOptions, Engine};
use futures_util::StreamExt;
use http::{HeaderValue, StatusCode};

use crate::error::Error;
use crate::request::Request;
use crate::response::{self, Answer, Receiver};
use crate::{hijack, shape, transfer};

pub(crate) async fn list(engine: &Arc<Engine>, request: Request) -> Answer {
    let mut containers = engine.container_list(request.query()?).await?;
    containers.iter_mut().for_each(|container| shape::container_summary(request.version, container));
    response::json(&containers)
}

pub(crate) async fn create(engine: &Arc<Engine>, mut request: Request) -> Answer {
    let query: ContainerCreateQuery = request.query()?;
    let mut body: ContainerCreateRequest = match request.json_if_any().await? {
        Some(body) => body,
        None => return Err(Error::invalid("invalid JSON: got EOF while reading request body")),
    };
    if body.config == ContainerConfig::default() {
        return Err(Error::invalid("config cannot be empty in order to create a container"));
    }
    let warnings = shape::create_request(request.version, &mut body)?;
    let name = Some(query.name.as_str()).filter(|name| !name.is_empty());
    let platform =
        Some(query.platform.as_str()).filter(|platform| !platform.is_empty() && request.at_least(41));
    let mut answer = engine.container_create(name, platform, body).await?;
    answer.warnings.get_or_insert_default().extend(warnings);
    response::json_with(StatusCode::CREATED, &answer)
}

pub(crate) async fn inspect(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let query: ContainerInspectQuery = request.query()?;
    let mut answer = engine.container_inspect(id, query.size).await?;
    shape::container_inspect(request.version, &mut answer);
    response::json(&answer)
}

pub(crate) async fn top(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let query: ContainerTopQuery = request.query()?;
    response::json(&engine.container_top(id, &query.ps_args).await?)
}

pub(crate) async fn logs(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let query: ContainerLogsQuery = request.query()?;
    if !query.stdout && !query.stderr {
        return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
    }
    let logs = engine.container_logs(id, query).await?;
    response::stream(HeaderValue::from_static(content_type(&request, logs.tty)), Receiver(logs.frames))
}

/// Of a stream: framed, or raw as with a terminal. Before 1.42 both were called raw.
pub(crate) fn content_type(request: &Request, tty: bool) -> &'static str {
    match !tty && request.at_least(42) {
        true => stream::MULTIPLEXED_STREAM,
        false => stream::RAW_STREAM,
    }
}

pub(crate) async fn changes(engine: &Arc<Engine>, id: &str) -> Answer {
    let changes = engine.container_changes(id).await?;
    // Go's nil slice: no change is null.
    response::json(&Some(changes).filter(|changes| !changes.is_empty()))
}

pub(crate) async fn export(engine: &Arc<Engine>, id: &str) -> Answer {
    let bytes = engine.container_export(id).await?;
    response::stream(response::OCTETS, response::fail_early(Receiver(bytes)).await?)
}

pub(crate) async fn stats(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let query: ContainerStatsQuery = request.query()?;
    let one_shot = query.one_shot && request.at_least(41);
    let stream = query.stream.unwrap_or(true);
    if one_shot && stream {
        return Err(Error::invalid("cannot have stream=true and one-shot=true"));
    }
    let samples = engine.container_stats(id, stream, one_shot).await?;
    response::json_lines(Receiver(samples).filter_map(async |sample| sample.ok()))
}

pub(crate) async fn start(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    // A HostConfig at start was taken until 1.23; what comes with a body and no JSON type has always been ignored.
    if !request.body.is_absent()
        && request.header("content-type").is_some_and(|kind| kind.starts_with("application/json"))
    {
        let mut request = request;
        let body: serde_json::Value = request.json().await?;
        if body.as_object().is_some_and(|body| !body.is_empty()) {
            return Err(Error::invalid(
                "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
            ));
        }
        engine.container_start(id, request.query()?).await?;
        return response::empty(StatusCode::NO_CONTENT);
    }
    engine.container_start(id, request.query()?).await?;
    response::empty(StatusCode::NO_CONTENT)
}

pub(crate) async fn stop(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    engine.container_stop(id, stop_query(&request)?).await?;
    response::empty(StatusCode::NO_CONTENT)
}

pub(crate) async fn restart(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    engine.container_restart(id, stop_query(&request)?).await?;
    response::empty(StatusCode::NO_CONTENT)
}

fn stop_query(request: &Request) -> Result<ContainerStopQuery, Error> {
    let mut query: ContainerStopQuery = request.query()?;
    if !request.at_least(42) {
        query.signal.clear();
    }
    match request.pairs.first("t").filter(|text| !text.is_empty() && text.parse::<i64>().is_err()) {
        Some(text) => Err(Error::invalid(format!("strconv.Atoi: parsing {text:?}: invalid syntax"))),
        None => Ok(query),
    }
}

pub(crate) async fn kill(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let query: ContainerKillQuery = request.query()?;
    engine.container_kill(id, &query.signal).await?;
    response::empty(StatusCode::NO_CONTENT)
}

pub(crate) async fn pause(engine: &Arc<Engine>, id: &str) -> Answer {
    engine.container_pause(id).await?;
    response::empty(StatusCode::NO_CONTENT)
}

pub(crate) async fn unpause(engine: &Arc<Engine>, id: &str) -> Answer {
    engine.container_unpause(id).await?;
    response::empty(StatusCode::NO_CONTENT)
}

pub(crate) async fn rename(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let query: ContainerRenameQuery = request.query()?;
    engine.container_rename(id, &query.name).await?;
    response::empty(StatusCode::NO_CONTENT)
}

pub(crate) async fn update(engine: &Arc<Engine>, mut request: Request, id: &str) -> Answer {
    let mut body: ContainerUpdateRequest = request.json().await?;
    shape::update_request(request.version, &mut body);
    response::json(&engine.container_update(id, body).await?)
}

pub(crate) async fn resize(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let size = size(&request)?;
    engine.container_resize(id, size).await?;
    response::empty(StatusCode::OK)
}

/// Height and width of a terminal; both must be there.
pub(crate) fn size(request: &Request) -> Result<ResizeQuery, Error> {
    let read = |name: &str, what: &str| {
        let text = request.pairs.first(name).unwrap_or_default();
        match text.parse::<u16>() {
            Ok(value) => Ok(i64::from(value)),
            Err(_) => Err(Error::invalid(format!("invalid resize {what} {text:?}: invalid syntax"))),
        }
    };
    Ok(ResizeQuery { height: read("h", "height")?, width: read("w", "width")? })
}

pub(crate) async fn wait(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let mut query: ContainerWaitQuery = request.query()?;
    if !request.at_least(30) {
        query.condition.clear();
    }
    if !matches!(query.condition.as_str(), "" | "not-running" | "next-exit" | "removed") {
        return Err(Error::invalid(format!("invalid condition: {:?}", query.condition)));
    }
    let exit = engine.container_wait(id, &query.condition).await?;
    // Headers now: the client starts the container only when it knows that its wait is registered.
    response::json_lines(futures_util::stream::once(async move {
        match exit.await {
            Ok(answer) => answer,
            Err(error) => ContainerWaitResponse {
                status_code: -1,
                error: Some(ContainerWaitExitError { message: error.message }),
            },
        }
    }))
}

pub(crate) async fn remove(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    engine.container_remove(id, request.query()?).await?;
    response::empty(StatusCode::NO_CONTENT)
}

pub(crate) async fn prune(engine: &Arc<Engine>, request: Request) -> Answer {
    let query: PruneQuery = request.query()?;
    response::json(&engine.container_prune(query.filters).await?)
}

pub(crate) async fn commit(engine: &Arc<Engine>, mut request: Request) -> Answer {
    let query: CommitQuery = request.query()?;
    let config: Option<ContainerConfig> = request.json_if_any().await?;
    response::json_with(StatusCode::CREATED, &engine.commit(query, config).await?)
}

fn attach_options(query: ContainerAttachQuery, mux: bool) -> AttachOptions {
    AttachOptions {
        logs: query.logs,
        stream: query.stream,
        stdin: query.stdin,
        stdout: query.stdout,
        stderr: query.stderr,
        detach_keys: query.detach_keys,
        mux,
    }
}

pub(crate) async fn attach(engine: &Arc<Engine>, mut request: Request, id: &str) -> Answer {
    let options = attach_options(request.query()?, true);
    let attachment = engine.container_attach(id, options).await?;
    let content_type = content_type(&request, attachment.tty);
    hijack::hijack(&mut request, content_type, |stream| attachment.run(stream))
}

pub(crate) async fn attach_web_socket(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let mut query: ContainerAttachQuery = request.query()?;
    if !request.at_least(42) {
        // Until then the parameters were ignored and everything was attached.
        (query.stdin, query.stdout, query.stderr) = (true, true, true);
    }
    let options = attach_options(query, false);
    let attachment = engine.container_attach(id, options).await?;
    hijack::web_socket(request, |stream| attachment.run(stream)).await
}

pub(crate) async fn archive_stat(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let stat = engine.container_archive_stat(id, &path(&request)?).await?;
    let mut response = response::empty(StatusCode::OK)?;
    insert_stat(&mut response, &stat)?;
    Ok(response)
}

pub(crate) async fn archive_get(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    let (stat, bytes) = engine.container_archive_get(id, &path(&request)?).await?;
    let mut response = response::stream(response::TAR, response::fail_early(Receiver(bytes)).await?)?;
    insert_stat(&mut response, &stat)?;
    Ok(response)
}

pub(crate) async fn archive_put(engine: &Arc<Engine>, request: Request, id: &str) -> Answer {
    path(&request)?;
    let query: ContainerArchiveQuery = request.query()?;
    engine.container_archive_put(id, query, transfer::pieces(&request.body)).await?;
    response::empty(StatusCode::OK)
}

fn path(request: &Request) -> Result<String, Error> {
    match request.pairs.first("path") {
        None | Some("") => Err(Error::invalid("bad parameter: 'path' cannot be empty")),
        Some(path) => Ok(path.to_owned()),
    }
}

fn insert_stat(response: &mut Response, stat: &PathStat) -> Result<(), Error> {
    let json = serde_json::to_vec(stat).map_err(|error| response::broken(error.to_string()))?;
    let value =
        HeaderValue::try_from(STANDARD.encode(json)).map_err(|error| response::broken(error.to_string()))?;
    response.headers_mut().insert("X-Docker-Container-Path-Stat", value);
    Ok(())
}

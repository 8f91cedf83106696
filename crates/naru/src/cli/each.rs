//! Verbs that take several names: all are tried, many at a time; what worked is printed in order, what failed is told at the
//! end.

use std::future::Future;

use futures_util::{StreamExt, stream};

use client::Method;

use super::{Context, Failure, Outcome, failure, output, path};

/// How many requests are on their way at once.
const AT_ONCE: usize = 50;

/// The containers that a verb without flags is for.
#[derive(clap::Args)]
#[group(skip)]
pub struct Containers {
    #[arg(required = true)]
    containers: Vec<String>,
}

impl Containers {
    /// Sends the request `action` for all of them.
    pub async fn post(&self, context: &Context, action: &str) -> Outcome {
        let client = context.client()?;
        each(&self.containers, async |name| {
            Ok(client.request(Method::POST, path::container(name, action)?).empty().await?)
        })
        .await
    }
}

/// Does `work` for every name and prints the names for which it worked.
pub async fn each<'a, F, W>(names: &'a [String], work: F) -> Outcome
where
    F: Fn(&'a str) -> W,
    W: Future<Output = anyhow::Result<()>>,
{
    each_text(names, |name| {
        let done = work(name);
        async move { done.await.map(|()| name.to_owned()) }
    })
    .await
}

/// Does `work` for every name and prints what it answers.
pub async fn each_text<'a, F, W>(names: &'a [String], work: F) -> Outcome
where
    F: Fn(&'a str) -> W,
    W: Future<Output = anyhow::Result<String>>,
{
    each_some(names, |name| {
        let done = work(name);
        async move { done.await.map(Some) }
    })
    .await
}

/// Does `work` for every name and prints what it answers, if anything.
pub async fn each_some<'a, F, W>(names: &'a [String], work: F) -> Outcome
where
    F: Fn(&'a str) -> W,
    W: Future<Output = anyhow::Result<Option<String>>>,
{
    let mut errors = Vec::new();
    let mut outcomes = stream::iter(names.iter().map(|name| work(name))).buffered(AT_ONCE);
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(Some(text)) => output::line(&text)?,
            Ok(None) => (),
            Err(error) => errors.push(failure::text(&error)),
        }
    }
    finish(errors)
}

/// Success, or a failure with all of these texts.
pub fn finish(errors: Vec<String>) -> Outcome {
    match errors.is_empty() {
        true => Ok(0),
        false => Err(Failure::new(1, errors.join("\n")).into()),
    }
}

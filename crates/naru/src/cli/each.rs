//! Verbs that take several names: all are tried, many at a time; what worked is printed in order, what failed is told at the
//! end.

use std::future::Future;

use futures_util::{StreamExt, stream};

use super::{Failure, Outcome, failure, output};

/// How many requests are on their way at once.
const AT_ONCE: usize = 50;

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

//! Verbs about the engine as a whole, one file each.

pub mod df;
pub mod events;
pub mod info;
pub mod inspect;
pub mod prune;
pub mod version;

use term::template::Template;

use super::{Context, Failure};
use crate::format::version::Client;

/// How `info` and `version` are shown.
#[derive(clap::Args)]
#[group(skip)]
pub struct FormatArgs {
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
}

impl FormatArgs {
    /// The template of that name, if one is wanted; one that does not parse exits with 64, as the stock client does.
    fn template(&self, name: &str) -> anyhow::Result<Option<Template>> {
        let text = match self.format.as_deref() {
            None | Some("") => return Ok(None),
            Some("json") => "{{json .}}",
            Some(text) => text,
        };
        let template = Template::parse(name, text);
        template
            .map(Some)
            .map_err(|error| Failure::new(64, format!("template parsing error: {error}")).into())
    }
}

/// Who we are. `api_version` is what is spoken with the engine, if it answers.
fn client(context: &Context, api_version: Option<api::ApiVersion>) -> Client {
    Client {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api_version: api_version.unwrap_or(api::ApiVersion::MAX).to_string(),
        default_api_version: api::ApiVersion::MAX.to_string(),
        context: context.globals().settings.context_name(context.config()),
    }
}

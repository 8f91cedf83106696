//! Flags that `pull` and `push` have in common, and the name they make of what was typed.

use image::Reference;

use super::{Failure, output};

/// Flags.
#[derive(clap::Args)]
#[group(skip)]
pub struct Transfer {
    #[arg(required = true)]
    name: String,
    /// Suppress verbose output
    #[arg(short, long)]
    pub quiet: bool,
    /// Skip image signing and verification
    #[arg(long, hide = true)]
    disable_content_trust: bool,
}

impl Transfer {
    /// The reference; its tag is left out only where all of them are meant.
    pub fn reference(&self, all_tags: bool) -> anyhow::Result<Reference> {
        let reference = Reference::parse(&self.name)?;
        let name_only = reference.tag.is_none() && reference.digest.is_none();
        if all_tags && !name_only {
            return Err(Failure::new(1, "tag can't be used with --all-tags/-a").into());
        }
        if all_tags || !name_only {
            return Ok(reference);
        }
        if !self.quiet {
            output::line(&format!("Using default tag: {}", image::DEFAULT_TAG))?;
        }
        Ok(reference.with_default_tag())
    }
}

//! `system dial-stdio`: standard input and output are a connection to the engine. The other end of `ssh://` hosts.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Context, Outcome};

/// No flags.
#[derive(clap::Args)]
pub struct Args {}

/// Copies until the engine closes the connection; the end of standard input closes the sending direction alone.
pub async fn run(context: &Context, _: Args) -> Outcome {
    let (mut from_engine, mut to_engine) = tokio::io::split(context.client()?.raw().await?);
    let send = async {
        tokio::io::copy(&mut tokio::io::stdin(), &mut to_engine).await?;
        to_engine.shutdown().await?;
        std::future::pending::<anyhow::Result<()>>().await
    };
    let receive = async {
        let mut out = tokio::io::stdout();
        let mut buffer = vec![0; 32 << 10];
        loop {
            let count = from_engine.read(&mut buffer).await?;
            if count == 0 {
                return anyhow::Ok(());
            }
            out.write_all(&buffer[..count]).await?;
            out.flush().await?;
        }
    };
    tokio::select! {
        outcome = receive => outcome?,
        outcome = send => outcome?,
    }
    Ok(0)
}

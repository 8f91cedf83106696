//! `login`: checks credentials with a registry and keeps them where Docker's client does.

use std::io::Read;

use api::{AuthConfig, SystemAuthResponse};
use client::Method;
use distribution::Auth;
use distribution::credentials::{Credentials, HUB_KEY, hostname};

use super::super::{Context, Failure, Outcome, failure, output, registry_auth};
use super::prompt;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    server: Option<String>,
    /// Password or Personal Access Token (PAT)
    #[arg(short, long)]
    password: Option<String>,
    /// Take the Password or Personal Access Token (PAT) from stdin
    #[arg(long)]
    password_stdin: bool,
    /// Username
    #[arg(short, long)]
    username: Option<String>,
}

/// Logs in: with what is given, else with what is known, else with what the user types.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let server = server_address(args.server.as_deref().unwrap_or_default());
    let (user, password) = given(&args)?;
    let mut credentials = registry_auth::credentials(context)?;
    if user.is_empty() && password.is_empty() {
        let known = credentials.lookup(&server)?;
        if !known.username.is_empty() || !known.identity_token.is_empty() {
            match with_known(context, &known).await {
                Ok(()) => return Ok(0),
                Err(error) => {
                    output::warn(&format!("Login did not succeed, error: {}", failure::text(&error)));
                }
            }
        }
    }
    let (user, password) = complete(user, password, &server)?;
    let auth = Auth { username: user, password, server_address: server, ..Auth::default() };
    let (auth, status) = check(context, auth).await?;
    keep(&mut credentials, &auth)?;
    output::line(&status)?;
    Ok(0)
}

fn server_address(server: &str) -> String {
    match hostname(server) {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB_KEY.to_owned(),
        host => host.to_owned(),
    }
}

/// User name and password of the command line.
fn given(args: &Args) -> anyhow::Result<(String, String)> {
    let user = args.username.clone().unwrap_or_default().trim().to_owned();
    if args.password.is_some() {
        if args.password_stdin {
            let text = "conflicting options: cannot specify both --password and --password-stdin";
            return Err(Failure::new(1, text).into());
        }
        output::warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    if !args.password_stdin {
        return Ok((user, args.password.clone().unwrap_or_default()));
    }
    if user.is_empty() {
        return Err(Failure::new(1, "the --password-stdin option requires --username to be set").into());
    }
    let mut password = String::new();
    std::io::stdin().lock().read_to_string(&mut password)?;
    let password = password.strip_suffix('\n').unwrap_or(&password);
    Ok((user, password.strip_suffix('\r').unwrap_or(password).to_owned()))
}

/// Asks for what is missing.
fn complete(user: String, password: String, server: &str) -> anyhow::Result<(String, String)> {
    if !user.is_empty() && !password.is_empty() {
        return Ok((user, password));
    }
    if !term::tty::is_terminal(std::io::stdin()) {
        return Err(
            Failure::new(1, "Error: Cannot perform an interactive login from a non TTY device").into()
        );
    }
    if server == HUB_KEY {
        output::print(
            "Log in with your Docker ID or email address to push and pull images from Docker Hub. If you don't have a Docker ID, head over to https://hub.docker.com/ to create one.\n\n",
        )?;
    }
    let user = if user.is_empty() { prompt::line("Username: ")? } else { user };
    if user.is_empty() {
        return Err(Failure::new(1, "Error: Non-null Username Required").into());
    }
    let password = if password.is_empty() { prompt::secret("Password: ")? } else { password };
    if password.is_empty() {
        return Err(Failure::new(1, "Error: Password Required").into());
    }
    Ok((user, password))
}

async fn with_known(context: &Context, known: &Auth) -> anyhow::Result<()> {
    output::print("Authenticating with existing credentials...")?;
    if !known.username.is_empty() {
        output::print(&format!(" [Username: {}]", known.username))?;
    }
    output::print("\n")?;
    output::print(
        "\n Info -> To login with a different account, run 'naru logout' followed by 'naru login'\n\n",
    )?;
    let (_, status) = check(context, known.clone()).await?;
    output::print(&format!("\n{status}\n"))
}

/// The registry's word on credentials, through the engine. A token that it hands out replaces the password.
async fn check(context: &Context, mut auth: Auth) -> anyhow::Result<(Auth, String)> {
    let body = AuthConfig {
        username: auth.username.clone(),
        password: auth.password.clone(),
        server_address: auth.server_address.clone(),
        identity_token: auth.identity_token.clone(),
        registry_token: auth.registry_token.clone(),
        ..AuthConfig::default()
    };
    let request = context.client()?.request(Method::POST, "/auth").json_body(&body);
    let answer: SystemAuthResponse = request.json().await?;
    if !answer.identity_token.is_empty() {
        auth.password.clear();
        auth.identity_token = answer.identity_token;
    }
    Ok((auth, answer.status))
}

fn keep(credentials: &mut Credentials, auth: &Auth) -> anyhow::Result<()> {
    credentials.store(auth).map_err(|error| {
        Failure::new(1, format!("Error saving credentials: {}", failure::text(&error.into())))
    })?;
    if credentials.is_plain_text(&auth.server_address) {
        output::warn(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n",
            credentials.path().display()
        ));
    }
    Ok(())
}

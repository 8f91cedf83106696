//! `network doctor`: who can reach each published port, and which rule, switch or route decides.

use api::{NetworkDiagnosis, PortClient, PortDiagnosis};
use client::Method;

use super::super::image::contents::{FormatArgs, Shape};
use super::super::{Context, Outcome};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Follow a client with this address as well
    #[arg(long)]
    from: Option<String>,
    #[command(flatten)]
    shape: FormatArgs,
}

/// Shows what was found out; exits with 1 if there is a problem.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let shape = Shape::parse(args.shape.format.as_deref())?;
    let mut request = context.client()?.request(Method::GET, "/naru/networks/doctor");
    if let Some(from) = &args.from {
        request = request.query("from", from);
    }
    let diagnosis: NetworkDiagnosis = request.json().await?;
    shape.print(std::slice::from_ref(&diagnosis), |all| all.iter().map(text).collect())?;
    Ok(diagnosis.findings.iter().any(|finding| finding.level == "problem").into())
}

fn text(diagnosis: &NetworkDiagnosis) -> String {
    let mut out = String::new();
    for finding in &diagnosis.findings {
        out.push_str(&format!("{}: {}\n", finding.level, finding.text));
        if !finding.advice.is_empty() {
            out.push_str(&format!("    {}\n", finding.advice));
        }
    }
    if diagnosis.ports.is_empty() {
        out.push_str("no container publishes a port\n");
    }
    for port in &diagnosis.ports {
        out.push_str(&heading(port));
        port.clients.iter().for_each(|client| out.push_str(&line(client)));
    }
    out
}

fn heading(port: &PortDiagnosis) -> String {
    let PortDiagnosis { host_ip, host_port, container_port, container, network, .. } = port;
    let host = if host_ip.contains(':') { format!("[{host_ip}]") } else { host_ip.clone() };
    match host_port.as_str() {
        "" => format!("{container} {container_port}, routed, network {network}\n"),
        number => format!("{container} {host}:{number} -> {container_port}, network {network}\n"),
    }
}

fn line(client: &PortClient) -> String {
    let PortClient { who, to, reached, how, decided_by, advice, .. } = client;
    let mut out = format!("  {reached:<8}{who} by {to}");
    if !how.is_empty() {
        out.push_str(&format!(", {how}"));
    }
    out.push('\n');
    for more in [decided_by, advice].into_iter().filter(|more| !more.is_empty()) {
        out.push_str(&format!("          {more}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnosis_in_words() {
        let json = r#"{"Findings":[{"Level":"warning","Text":"it rains","Advice":"take an umbrella"}],"Ports":[{
            "Container":"web","Network":"bridge","HostIp":"::","HostPort":"8080","ContainerPort":"80/tcp","Clients":[
            {"Who":"this host","To":"::1","Reached":"yes","How":"relayed"},
            {"Who":"other hosts by eth0","To":"2001:db8::1","Reached":"no","DecidedBy":"a rule","Advice":"change it"}]}]}"#;
        assert_eq!(
            text(&serde_json::from_str(json).unwrap()),
            "warning: it rains\n    take an umbrella\n\
             web [::]:8080 -> 80/tcp, network bridge\n\
             \x20 yes     this host by ::1, relayed\n\
             \x20 no      other hosts by eth0 by 2001:db8::1\n\
             \x20         a rule\n\
             \x20         change it\n"
        );
        assert_eq!(text(&NetworkDiagnosis::default()), "no container publishes a port\n");
    }
}

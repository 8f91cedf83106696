//! Which requests go through a proxy, by the rules of Go's `httpproxy`: what users have in `HTTPS_PROXY` and `NO_PROXY` was
//! written for Docker.
//!
//! `NO_PROXY` is a list of `*`, networks (`10.0.0.0/8`), addresses, domains (`example.com` with its subdomains, `.example.com` and
//! `*.example.com` without itself), each but networks perhaps with a port. Loopback is always reached directly. Source: the
//! documentation of `golang.org/x/net/http/httpproxy`.

use std::net::IpAddr;

use ::http::{HeaderValue, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::network::Network;

/// The proxies of an engine.
#[derive(Debug, Default)]
pub(crate) struct ProxyRules {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exempt: Exempt,
}

/// One proxy.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub kind: ProxyKind,
    /// Scheme, host and port, without the user.
    pub uri: Uri,
    /// User name and password.
    pub user: Option<(String, String)>,
}

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    Http,
    /// HTTP over TLS, also towards the proxy.
    Https,
    Socks5,
}

#[derive(Debug, Default)]
struct Exempt {
    all: bool,
    networks: Vec<Network>,
    addresses: Vec<(IpAddr, Option<u16>)>,
    domains: Vec<Domain>,
}

#[derive(Debug)]
struct Domain {
    /// With a dot in front.
    suffix: String,
    /// The name itself too, not only what is below it.
    itself: bool,
    port: Option<u16>,
}

impl ProxyRules {
    pub fn new(config: &crate::Proxies) -> Self {
        let proxy = |text: &Option<String>| {
            let text = text.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
            let proxy = Proxy::parse(text);
            if proxy.is_none() {
                tracing::warn!("a proxy setting is no URL of a proxy, and has no effect");
            }
            proxy
        };
        ProxyRules {
            http: proxy(&config.http),
            https: proxy(&config.https),
            exempt: Exempt::parse(config.no_proxy.as_deref().unwrap_or_default()),
        }
    }

    /// The proxy for a request; `None` where it goes straight to its host.
    pub fn find(&self, uri: &Uri) -> Option<&Proxy> {
        let (proxy, default_port) = match uri.scheme_str() {
            Some("http") => (self.http.as_ref()?, 80),
            _ => (self.https.as_ref()?, 443),
        };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let is_exempt = self.exempt.covers(host, uri.port_u16().unwrap_or(default_port));
        (!is_exempt).then_some(proxy)
    }

    /// The proxies that want TLS themselves.
    pub fn over_tls(&self) -> impl Iterator<Item = &Proxy> {
        let all = [&self.http, &self.https].into_iter().flatten();
        all.filter(|proxy| proxy.kind == ProxyKind::Https)
    }
}

impl Proxy {
    /// A URL, or `host:port` of an HTTP proxy.
    fn parse(text: &str) -> Option<Proxy> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let (scheme, rest) = text.split_once("://")?;
        let (kind, scheme, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyKind::Http, "http", 80),
            "https" => (ProxyKind::Https, "https", 443),
            "socks5" | "socks5h" => (ProxyKind::Socks5, "http", 1080),
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let host = host.trim_end_matches(':');
        let has_port = host.rsplit_once(':').is_some_and(|(before, port)| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && (!before.contains(':') || before.ends_with(']'))
        });
        let host = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        let uri: Uri = format!("{scheme}://{host}").parse().ok()?;
        uri.host().filter(|host| !host.is_empty())?;
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (decode(name), decode(password))
        });
        Some(Proxy { kind, uri, user })
    }

    /// For `Proxy-Authorization`.
    pub fn basic(&self) -> Option<HeaderValue> {
        let (name, password) = self.user.as_ref()?;
        let pair = STANDARD.encode(format!("{name}:{password}"));
        let mut value = HeaderValue::try_from(format!("Basic {pair}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Exempt {
    fn parse(text: &str) -> Exempt {
        let mut exempt = Exempt::default();
        for entry in text.split(',') {
            let entry = entry.trim().to_ascii_lowercase();
            if entry.is_empty() {
                continue;
            }
            if entry == "*" {
                return Exempt { all: true, ..Exempt::default() };
            }
            if let Some(network) = Network::parse(&entry) {
                exempt.networks.push(network);
                continue;
            }
            let (host, port) = split_port(&entry);
            if host.is_empty() {
                continue;
            }
            if let Ok(address) = host.parse() {
                exempt.addresses.push((address, port));
                continue;
            }
            let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
            let itself = !host.starts_with('.');
            let suffix = if itself { format!(".{host}") } else { host.to_owned() };
            exempt.domains.push(Domain { suffix, itself, port });
        }
        exempt
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let right = |wanted: Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        if self.all || host == "localhost" {
            return true;
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            return address.is_loopback()
                || self.networks.iter().any(|network| network.contains(address))
                || self.addresses.iter().any(|(own, wanted)| *own == address && right(*wanted));
        }
        self.domains.iter().any(|domain| {
            let below = host.ends_with(&domain.suffix) && host.len() > domain.suffix.len();
            (below || (domain.itself && host == domain.suffix[1..])) && right(domain.port)
        })
    }
}

/// `host`, `host:port`, `[address]:port`, `address` with colons of its own.
fn split_port(text: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.parse::<u16>().is_ok() => (host, port.parse().ok()),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Proxies;

    fn rules(no_proxy: &str) -> ProxyRules {
        ProxyRules::new(&Proxies {
            http: Some("plain.example:3128".to_owned()),
            https: Some("https://me:p%40ss@secure.example".to_owned()),
            no_proxy: Some(no_proxy.to_owned()),
        })
    }

    #[test]
    fn every_form_of_no_proxy() {
        let check = |no_proxy: &str, url: &str, direct: bool| {
            let found = rules(no_proxy);
            assert_eq!(found.find(&url.parse().unwrap()).is_none(), direct, "{no_proxy} {url}");
        };
        check("", "https://example.com/v2/", false);
        for loopback in ["https://localhost/", "http://127.8.8.8:5000/", "https://[::1]:5000/"] {
            check("", loopback, true);
        }
        check("*", "https://example.com/", true);
        check("other, * ,x", "https://example.com/", true);
        // A name, and what is below it.
        for (url, direct) in [
            ("https://example.com/", true),
            ("https://EXAMPLE.com./", true),
            ("https://sub.example.com:5000/", true),
            ("https://notexample.com/", false),
            ("https://example.com.evil/", false),
        ] {
            check(" Example.com ", url, direct);
        }
        for below in [".example.com", "*.example.com"] {
            check(below, "https://sub.example.com/", true);
            check(below, "https://example.com/", false);
        }
        check("example.com:5000", "https://example.com:5000/", true);
        check("example.com:5000", "https://example.com/", false);
        check("example.com:443", "https://example.com/", true);
        check("example.com:80", "http://example.com/", true);
        // Addresses and networks.
        check("10.0.0.0/8", "https://10.1.2.3:5000/", true);
        check("10.0.0.0/8", "https://11.1.2.3/", false);
        check("10.0.0.0/8", "https://ten.example/", false);
        check("192.168.1.1", "https://192.168.1.1:5000/", true);
        check("192.168.1.1:80", "https://192.168.1.1/", false);
        check("192.168.1.1:80", "http://192.168.1.1/", true);
        check("fd00::/8", "https://[fd00::1]/", true);
        check("fd00::1", "https://[fd00::1]:5000/", true);
        check("[fd00::1]:5000", "https://[fd00::1]:5000/", true);
        check("[fd00::1]:5000", "https://[fd00::1]/", false);
        check(":80,,  ,", "http://example.com/", false);
    }

    #[test]
    fn a_proxy_for_each_scheme() {
        let rules = rules("");
        let plain = rules.find(&"http://r.example/".parse().unwrap()).unwrap();
        assert_eq!(
            (plain.kind, plain.uri.to_string().as_str()),
            (ProxyKind::Http, "http://plain.example:3128/")
        );
        assert_eq!(plain.basic(), None);
        let secure = rules.find(&"https://r.example/".parse().unwrap()).unwrap();
        assert_eq!(
            (secure.kind, secure.uri.to_string().as_str()),
            (ProxyKind::Https, "https://secure.example:443/")
        );
        assert_eq!(secure.user, Some(("me".to_owned(), "p@ss".to_owned())));
        assert_eq!(rules.over_tls().count(), 1);

        let parse = |text: &str| Proxy::parse(text).map(|proxy| (proxy.kind, proxy.uri.to_string()));
        assert_eq!(
            parse("socks5h://s.example"),
            Some((ProxyKind::Socks5, "http://s.example:1080/".to_owned()))
        );
        assert_eq!(parse("http://[::1]:3128/x"), Some((ProxyKind::Http, "http://[::1]:3128/".to_owned())));
        assert_eq!(parse("http://[::1]"), Some((ProxyKind::Http, "http://[::1]:80/".to_owned())));
        assert_eq!(parse("ftp://x"), None);
        assert_eq!(parse("http://"), None);
        let one = Proxies { http: Some("x:1".to_owned()), ..Proxies::default() };
        assert!(
            ProxyRules::new(&one).find(&"https://r.example/".parse().unwrap()).is_none(),
            "HTTP's is not HTTPS'"
        );
    }
}

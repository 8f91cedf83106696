//! The parsers of texts that come from outside, as functions that say no more than whether a text made sense. For fuzzers and the
//! test below: whatever stands in a file or a variable, none of them panics.

use std::path::Path;

use ::http::Uri;
use image::Reference;

use crate::aws::EcrRegistry;
use crate::endpoint::{hosts_toml, registries_conf::Rules};
use crate::proxy::ProxyRules;
use crate::{Proxies, aws, url};

/// A `hosts.toml`.
pub fn hosts(text: &str) -> bool {
    hosts_toml::parse(text, Path::new("/certs.d/registry.example")).is_ok()
}

/// A `registries.conf`, asked about a few names.
pub fn registries(text: &str) -> bool {
    let mut rules = Rules::default();
    if rules.add(text).is_err() {
        return false;
    }
    for name in ["alpine", "me/app:1", "a.b.example:5000/x/y", "localhost/z"] {
        let Ok(reference) = Reference::parse(name) else { continue };
        if let Some(rule) = rules.find(&reference) {
            let _ = (rule.mirrors(&reference), rule.location(&reference));
        }
    }
    true
}

/// AWS's shared files, as one and as the other.
pub fn aws_files(text: &str) -> bool {
    aws::reads_profiles(text)
}

/// A registry's name: is it one of ECR's?
pub fn ecr_name(text: &str) -> bool {
    EcrRegistry::parse(text).is_some()
}

/// `HTTPS_PROXY` or `NO_PROXY`.
pub fn proxy(text: &str) -> bool {
    let config = Proxies {
        http: Some(text.to_owned()),
        https: Some("http://proxy.example".to_owned()),
        no_proxy: Some(text.to_owned()),
    };
    let rules = ProxyRules::new(&config);
    let uris = ["https://registry.example/v2/", "http://[fd00::1]:5000/"].map(Uri::from_static);
    uris.iter().any(|uri| rules.find(uri).is_some())
}

/// A `Location` header.
pub fn location(text: &str) -> bool {
    url::join(&Uri::from_static("https://registry.example:5000/v2/a/blobs/uploads/?x=y"), text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: [&str; 8] = [
        "server = \"https://r.example\"\n[host.\"https://m.example/x\"]\ncapabilities=[\"pull\"]\nclient=[[\"a\",\"b\"]]\n\
         dial_timeout=\"1.5s\"\nheader={a=[\"b\"],c=\"d\"}\n",
        "[[registry]]\nprefix='*.b.example'\nlocation='x.example/y'\n[[registry.mirror]]\nlocation='z:5000/w'\n",
        "[[registry]]\nlocation='docker.io'\nblocked=true\n[[registry]]\nprefix='docker.io/library'\nlocation='q/r'\n",
        "[default]\naws_access_key_id = A # c\n[profile x]\nrole_arn=y\n s3=\n[sso-session z]\nsso_region=w\n",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com:5000",
        "https://me:p%40ss@[::1]:3128/x",
        "*.example.com:80,10.0.0.0/8,[fd00::1]:5000,.x,*",
        "//cdn.example/a b?c=d#e",
    ];

    /// Numbers that look random, the same each time.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self, below: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % below.max(1) as u64) as usize
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic() {
        let all = [hosts, registries, aws_files, ecr_name, proxy, location];
        let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
        for seed in SEEDS {
            assert!(all.iter().any(|parser| parser(seed)), "a seed that nobody understands: {seed}");
            for _ in 0..1500 {
                let mut chars: Vec<char> = seed.chars().collect();
                for _ in 0..=numbers.next(4) {
                    let at = numbers.next(chars.len());
                    match numbers.next(4) {
                        0 => drop(chars.drain(at..(at + 3).min(chars.len()))),
                        1 => chars.insert(
                            at,
                            ['ß', '\0', '"', '[', ']', ':', '/', '.', '*', '%'][numbers.next(10)],
                        ),
                        2 => chars.truncate(at),
                        _ => chars.extend_from_within(at..),
                    }
                }
                let text: String = chars.into_iter().collect();
                for parser in all {
                    parser(&text);
                }
            }
        }
    }
}

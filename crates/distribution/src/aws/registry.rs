//! ECR's host names, and the API endpoint that belongs to each.
//!
//! ```text
//! ACCOUNT.dkr.ecr[-fips].REGION.amazonaws.com[.cn]      ─▶ api.ecr.REGION.…       (FIPS: ecr-fips.REGION.…)
//! ACCOUNT.dkr-ecr[-fips].REGION.on.aws                  ─▶ ecr[-fips].REGION.api.aws
//! public.ecr.aws, ecr-public.aws.com                    ─▶ api.ecr-public.us-east-1.amazonaws.com
//! ```
//! Source: Amazon ECR User Guide, "Registry endpoints", and the AWS General Reference, "Amazon ECR endpoints".

/// Domain of the registries, domain of the API, and whether names are of the dual-stack kind.
const PARTITIONS: &[(&str, &str, bool)] = &[
    ("amazonaws.com", "amazonaws.com", false),
    ("amazonaws.com.cn", "amazonaws.com.cn", false),
    ("on.aws", "api.aws", true),
    ("on.amazonwebservices.com.cn", "api.amazonwebservices.com.cn", true),
    ("c2s.ic.gov", "c2s.ic.gov", false),
    ("sc2s.sgov.gov", "sc2s.sgov.gov", false),
    ("cloud.adc-e.uk", "cloud.adc-e.uk", false),
    ("csp.hci.ic.gov", "csp.hci.ic.gov", false),
];

/// A registry of ECR, recognised by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrRegistry {
    /// `host[:port]` without the port: the key under which its password is kept.
    pub(super) host: String,
    pub(super) region: String,
    pub(super) api: String,
    public: bool,
}

impl EcrRegistry {
    /// `None` for every other registry. A port does not matter.
    pub fn parse(registry: &str) -> Option<Self> {
        let host = match registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => registry,
        };
        let host = host.to_ascii_lowercase();
        if matches!(host.as_str(), "public.ecr.aws" | "ecr-public.aws.com") {
            let api = "https://api.ecr-public.us-east-1.amazonaws.com".to_owned();
            return Some(Self { host, region: "us-east-1".to_owned(), api, public: true });
        }
        PARTITIONS.iter().find_map(|partition| private(&host, *partition))
    }

    /// Whether everybody may pull from it without an account.
    pub fn is_public(&self) -> bool {
        self.public
    }
}

fn private(host: &str, (domain, api_domain, dual_stack): (&str, &str, bool)) -> Option<EcrRegistry> {
    let rest = host.strip_suffix(domain)?.strip_suffix('.')?;
    let (account, rest) = rest.split_once('.')?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let rest = rest.strip_prefix(if dual_stack { "dkr-ecr" } else { "dkr.ecr" })?;
    let (fips, rest) = match rest.strip_prefix("-fips") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let region = rest.strip_prefix('.')?;
    let is_region = region.contains('-')
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_account || !is_region {
        return None;
    }
    let service = match (dual_stack, fips) {
        (false, false) => "api.ecr",
        (true, false) => "ecr",
        (_, true) => "ecr-fips",
    };
    let api = format!("https://{service}.{region}.{api_domain}");
    Some(EcrRegistry { host: host.to_owned(), region: region.to_owned(), api, public: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_their_endpoints() {
        let check = |name: &str, want: Option<(&str, &str)>| {
            let found = EcrRegistry::parse(name);
            let found = found.as_ref().map(|ecr| (ecr.region.as_str(), ecr.api.as_str()));
            assert_eq!(found, want, "{name}");
        };
        let account = "123456789012";
        for (rest, region, api) in [
            ("dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "https://api.ecr.eu-west-1.amazonaws.com"),
            (
                "dkr.ecr.cn-north-1.amazonaws.com.cn",
                "cn-north-1",
                "https://api.ecr.cn-north-1.amazonaws.com.cn",
            ),
            (
                "dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "us-gov-west-1",
                "https://ecr-fips.us-gov-west-1.amazonaws.com",
            ),
            ("dkr-ecr.us-east-2.on.aws", "us-east-2", "https://ecr.us-east-2.api.aws"),
            ("dkr-ecr-fips.us-east-2.on.aws", "us-east-2", "https://ecr-fips.us-east-2.api.aws"),
            (
                "dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
                "cn-north-1",
                "https://ecr.cn-north-1.api.amazonwebservices.com.cn",
            ),
            ("dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", "https://api.ecr.us-iso-east-1.c2s.ic.gov"),
        ] {
            check(&format!("{account}.{rest}"), Some((region, api)));
            check(&format!("{account}.{rest}:443"), Some((region, api)));
        }
        check("public.ecr.aws", Some(("us-east-1", "https://api.ecr-public.us-east-1.amazonaws.com")));
        for other in [
            "docker.io",
            "amazonaws.com",
            "dkr.ecr.eu-west-1.amazonaws.com",
            "12345.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.eu-west-1.evil.example/amazonaws.com",
            "123456789012.dkr.ecr.a.b-c.amazonaws.com",
            "x.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.s3.eu-west-1.amazonaws.com",
        ] {
            check(other, None);
        }
    }
}

//! Changes to a configuration in Dockerfile words, as `docker commit --change` and `docker import --change` take them.
//!
//! Only instructions that touch nothing but the configuration; anything else is refused in Docker's words. No variables are
//! expanded here: there is no build whose variables they could be.

use crate::config::{ContainerConfig, Empty, Healthcheck};

/// Why a change can't be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("{0} is not a valid change command")]
    Instruction(String),
    #[error("{0} requires at least one argument")]
    Missing(&'static str),
    #[error("{instruction} {text:?}: {why}")]
    Argument { instruction: &'static str, text: String, why: &'static str },
}

impl ContainerConfig {
    /// Applies one instruction, such as `ENV a=b` or `CMD ["sh"]`.
    pub fn apply_change(&mut self, change: &str) -> Result<(), ChangeError> {
        let change = change.trim();
        let (word, rest) = change.split_once(char::is_whitespace).unwrap_or((change, ""));
        let rest = rest.trim();
        let name = word.to_ascii_uppercase();
        let known = [
            "CMD",
            "ENTRYPOINT",
            "ENV",
            "EXPOSE",
            "HEALTHCHECK",
            "LABEL",
            "ONBUILD",
            "STOPSIGNAL",
            "USER",
            "VOLUME",
            "WORKDIR",
        ];
        let Some(instruction) = known.into_iter().find(|known| *known == name) else {
            return Err(ChangeError::Instruction(word.to_owned()));
        };
        if rest.is_empty() {
            return Err(ChangeError::Missing(instruction));
        }
        match instruction {
            "CMD" => self.cmd = Some(command(rest)),
            "ENTRYPOINT" => {
                self.entrypoint = Some(command(rest));
                // A command of the old entrypoint makes no sense to the new one.
                self.cmd = None;
            }
            "ENV" => {
                let env = self.env.get_or_insert_default();
                for (key, value) in pairs(instruction, rest)? {
                    env.retain(|known| known.split('=').next() != Some(key.as_str()));
                    env.push(format!("{key}={value}"));
                }
            }
            "LABEL" => self.labels.get_or_insert_default().extend(pairs(instruction, rest)?),
            "EXPOSE" => {
                for port in split_words(rest) {
                    let ports = self.exposed_ports.get_or_insert_default();
                    expose(&port, |port| _ = ports.insert(port, Empty))
                        .map_err(|why| ChangeError::Argument { instruction, text: port.clone(), why })?;
                }
            }
            "VOLUME" => {
                let paths = json_words(rest).unwrap_or_else(|| split_words(rest));
                self.volumes.get_or_insert_default().extend(paths.into_iter().map(|path| (path, Empty)));
            }
            "USER" => self.user = unquote(rest),
            "STOPSIGNAL" => self.stop_signal = unquote(rest),
            "WORKDIR" => {
                let path = unquote(rest);
                self.working_dir = match path.starts_with('/') {
                    true => path,
                    false => format!("{}/{path}", self.working_dir.trim_end_matches('/')),
                };
            }
            "ONBUILD" => self.on_build.get_or_insert_default().push(rest.to_owned()),
            _ => {
                let health = healthcheck(rest);
                let bad = |why| ChangeError::Argument { instruction, text: rest.to_owned(), why };
                self.healthcheck = Some(health.map_err(bad)?);
            }
        }
        Ok(())
    }
}

/// JSON array, or a line for the shell.
fn command(text: &str) -> Vec<String> {
    json_words(text).unwrap_or_else(|| ["/bin/sh", "-c", text].map(str::to_owned).to_vec())
}

fn json_words(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// `key=value …` with quotes, or the old form `key value with spaces`.
fn pairs(instruction: &'static str, text: &str) -> Result<Vec<(String, String)>, ChangeError> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if value.trim().is_empty() {
            let why = "must have two arguments";
            return Err(ChangeError::Argument { instruction, text: text.to_owned(), why });
        }
        return Ok(vec![(unquote(key), unquote(value.trim()))]);
    }
    let pair = |word: String| {
        let bad = |why| ChangeError::Argument { instruction, text: word.clone(), why };
        let (key, value) = word.split_once('=').ok_or_else(|| bad("syntax error: no equals sign"))?;
        match key {
            "" => Err(bad("names can not be blank")),
            key => Ok((key.to_owned(), value.to_owned())),
        }
    };
    split_words(text).into_iter().map(pair).collect()
}

/// Splits at white space outside quotes, quotes and backslashes removed.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn unquote(text: &str) -> String {
    split_words(text).join(" ")
}

/// `80`, `80/udp`, `8000-8010/tcp`.
fn expose(text: &str, mut add: impl FnMut(String)) -> Result<(), &'static str> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err("invalid protocol");
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| text.parse::<u16>().map_err(|_| "invalid port");
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err("invalid port range");
    }
    (first..=last).for_each(|port| add(format!("{port}/{protocol}")));
    Ok(())
}

fn healthcheck(text: &str) -> Result<Healthcheck, &'static str> {
    let mut health = Healthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        rest = after.trim_start();
        let (name, value) = option.split_once('=').ok_or("missing a value for a flag")?;
        match name {
            "interval" => health.interval = duration(value)?,
            "timeout" => health.timeout = duration(value)?,
            "start-period" => health.start_period = duration(value)?,
            "start-interval" => health.start_interval = duration(value)?,
            "retries" => health.retries = value.parse().map_err(|_| "invalid number of retries")?,
            _ => return Err("unknown flag"),
        }
    }
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim();
    health.test = Some(match kind.to_ascii_uppercase().as_str() {
        "NONE" => vec!["NONE".to_owned()],
        "CMD" if command.is_empty() => return Err("missing command after HEALTHCHECK CMD"),
        "CMD" => match json_words(command) {
            Some(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        _ => return Err("unknown type"),
    });
    Ok(health)
}

/// Go's duration syntax (`1m30s`, `1.5h`, `200ms`), in nanoseconds; Docker takes nothing between zero and a millisecond.
fn duration(text: &str) -> Result<i64, &'static str> {
    const BAD: &str = "invalid duration";
    let mut rest = text;
    let mut total = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(BAD)?;
        let number: f64 = rest[..digits].parse().map_err(|_| BAD)?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return Err(BAD),
            };
        rest = &rest[unit..];
    }
    if text.is_empty() || !(total == 0.0 || (1e6..9e18).contains(&total)) {
        return Err(BAD);
    }
    Ok(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(changes: &[&str]) -> ContainerConfig {
        let mut config = ContainerConfig::default();
        for change in changes {
            config.apply_change(change).unwrap();
        }
        config
    }

    #[test]
    fn instructions_change_what_they_name() {
        let config = apply(&[
            "ENV a=1 b=\"two words\" c=x\\ y",
            "env a old form",
            "CMD [\"sh\", \"-c\"]",
            "EXPOSE 80 53/udp 8000-8001",
            "LABEL k=v",
            "VOLUME /a /b",
            "VOLUME [\"/c d\"]",
            "WORKDIR /srv",
            "WORKDIR app",
            "USER 1000:1000",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN true",
            "HEALTHCHECK --interval=1m30s --retries=2 CMD curl -f localhost",
        ]);
        assert_eq!(config.env.unwrap(), ["b=two words", "c=x y", "a=old form"]);
        assert_eq!(config.cmd.unwrap(), ["sh", "-c"]);
        let ports: Vec<_> = config.exposed_ports.unwrap().into_keys().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"]);
        assert_eq!(config.volumes.unwrap().into_keys().collect::<Vec<_>>(), ["/a", "/b", "/c d"]);
        assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/srv/app", "1000:1000"));
        let health = config.healthcheck.unwrap();
        assert_eq!((health.interval, health.retries), (90_000_000_000, 2));
        assert_eq!(health.test.unwrap(), ["CMD-SHELL", "curl -f localhost"]);
        assert_eq!(apply(&["CMD a", "ENTRYPOINT x"]).cmd, None);
        assert_eq!(apply(&["CMD echo hi"]).cmd.unwrap(), ["/bin/sh", "-c", "echo hi"]);
    }

    #[test]
    fn what_is_no_change_is_refused() {
        let refuse = |change: &str| ContainerConfig::default().apply_change(change).unwrap_err().to_string();
        assert_eq!(refuse("RUN true"), "RUN is not a valid change command");
        assert_eq!(refuse("ENV"), "ENV requires at least one argument");
        assert_eq!(refuse("ENV a"), "ENV \"a\": must have two arguments");
        assert_eq!(refuse("EXPOSE x"), "EXPOSE \"x\": invalid port");
        assert_eq!(
            refuse("HEALTHCHECK --interval=1 CMD x"),
            "HEALTHCHECK \"--interval=1 CMD x\": invalid duration"
        );
    }
}

//! Errors for whoever started us: a line on standard error, and in the file of `--log`, where containerd, Docker and Podman look
//! for it. Both formats are those of Go's logrus, which is what they parse.

use std::io::Write;

/// Where errors go.
#[derive(Clone)]
pub struct Log {
    path: Option<String>,
    json: bool,
}

impl Log {
    /// Standard error only.
    pub fn standard() -> Self {
        Self { path: None, json: false }
    }

    /// Also to this file.
    pub fn write_to(&mut self, path: &str) {
        self.path = Some(path.to_owned()).filter(|path| !path.is_empty());
    }

    /// As JSON.
    pub fn as_json(&mut self) {
        self.json = true;
    }

    /// Writes an error.
    pub fn error(&self, message: &str) {
        self.write("error", message);
    }

    /// Writes a warning.
    pub fn warning(&self, message: &str) {
        self.write("warning", message);
    }

    fn write(&self, level: &str, message: &str) {
        let line = self.line(level, message);
        let Some(path) = &self.path else {
            // Nowhere is left to complain to.
            let _ = std::io::stderr().write_all(line.as_bytes());
            return;
        };
        eprintln!("{message}");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
            eprintln!("write {path}: {error}");
        }
    }

    fn line(&self, level: &str, message: &str) -> String {
        let now = jiff::Timestamp::now();
        let time = now.strftime("%Y-%m-%dT%H:%M:%SZ");
        if self.json {
            let time = time.to_string();
            let line = serde_json::json!({ "level": level, "msg": message, "time": time });
            return format!("{line}\n");
        }
        format!("time=\"{time}\" level={level} msg={message:?}\n")
    }
}

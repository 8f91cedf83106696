//! The options of `ps` that choose columns (ps(1) of procps); which processes are shown is not for them to say. Pure.

use super::column::{self, Column};
use crate::error::{Error, Result};

/// Options that change what is selected, sorted or indented: nothing here.
const IGNORED_LONG: [&str; 8] =
    ["sort", "forest", "headers", "no-headers", "cols", "columns", "width", "cumulative"];

/// The columns of a format named by letters.
const DEFAULT: &str = "pid,tname,time,ucmd";
const FULL: &str = "uid_name=UID,pid,ppid,c,stime,tname,time,cmd";
const EXTRA_FULL: &str = "uid_name=UID,pid,ppid,c,sz,rss,psr,stime,tname,time,cmd";
const LONG: &str = "f,s,uid,pid,ppid,c,pri,ni,addr,sz,wchan,tname,time,ucmd";
const LONG_FULL: &str = "f,s,uid_name=UID,pid,ppid,c,pri,ni,addr,sz,wchan,stime,tname,time,cmd";
const JOBS: &str = "pid,pgid,sid,tname,time,ucmd";
const BSD: &str = "pid,tname,stat,bsdtime,args";
const BSD_USER: &str = "user,pid,pcpu,pmem,vsz,rss,tname,stat,bsdstart,bsdtime,args";
const BSD_LONG: &str = "f,uid,pid,ppid,pri,ni,vsz,rss,wchan,stat,tname,bsdtime,args";
const BSD_JOBS: &str = "ppid,pid,pgid,sid,tname,tpgid,stat,uid,bsdtime,args";

#[derive(Default)]
struct Letters {
    full: bool,
    extra: bool,
    long: bool,
    jobs: bool,
    bsd: bool,
    bsd_user: bool,
    bsd_long: bool,
    bsd_jobs: bool,
    /// `-o` and its like, in order.
    lists: Vec<String>,
}

/// The columns for `ps` with these arguments.
pub(super) fn parse(text: &str) -> Result<Vec<Column>> {
    let mut letters = Letters::default();
    let mut words = text.split_ascii_whitespace();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) =
                long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            match name {
                "format" => letters.list(value.or_else(|| words.next()))?,
                name if IGNORED_LONG.contains(&name) => {}
                _ => return Err(unknown(word)),
            }
            continue;
        }
        let (dash, mut rest) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
        while let Some(letter) = rest.chars().next() {
            rest = &rest[letter.len_utf8()..];
            if letter == 'o' || (letter == 'O' && dash) {
                let value = if rest.is_empty() { words.next() } else { Some(rest) };
                letters.list(value)?;
                break;
            }
            if !letters.letter(dash, letter) {
                return Err(unknown(word));
            }
        }
    }
    let columns = letters.columns()?;
    match columns.iter().any(|column| column.title == "PID") {
        true => Ok(columns),
        false => Err(Error::internal("Couldn't find PID field in ps output")),
    }
}

fn unknown(word: &str) -> Error {
    Error::invalid(format!("ps: unsupported option {word:?}"))
}

impl Letters {
    fn list(&mut self, value: Option<&str>) -> Result<()> {
        let value = value.filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| Error::invalid("ps: error: format specification must follow -o"))?;
        self.lists.push(value.to_owned());
        Ok(())
    }

    fn letter(&mut self, dash: bool, letter: char) -> bool {
        match (dash, letter) {
            (true, 'f') => self.full = true,
            (true, 'F') => (self.full, self.extra) = (true, true),
            (true, 'l') => self.long = true,
            (true, 'j') => self.jobs = true,
            (true, 'e' | 'A' | 'a' | 'd' | 'N' | 'w' | 'H' | 'c' | 'y' | 'x') => {}
            // `-aux` is what everybody means by it.
            (_, 'u') => (self.bsd, self.bsd_user) = (true, true),
            (false, 'l') => (self.bsd, self.bsd_long) = (true, true),
            (false, 'j') => (self.bsd, self.bsd_jobs) = (true, true),
            (false, 'a' | 'x' | 'g' | 'r' | 'T') => self.bsd = true,
            (false, 'e' | 'f' | 'w' | 'c' | 'n' | 'h' | 'S' | 'k') => self.bsd = true,
            _ => return false,
        }
        true
    }

    fn columns(&self) -> Result<Vec<Column>> {
        if !self.lists.is_empty() {
            return self
                .lists
                .iter()
                .map(|list| column::list(list))
                .collect::<Result<Vec<_>>>()
                .map(|all| all.concat());
        }
        let list = match () {
            () if self.bsd_user => BSD_USER,
            () if self.bsd_long => BSD_LONG,
            () if self.bsd_jobs => BSD_JOBS,
            () if self.full && self.long => LONG_FULL,
            () if self.extra => EXTRA_FULL,
            () if self.full => FULL,
            () if self.long => LONG,
            () if self.jobs => JOBS,
            () if self.bsd => BSD,
            () => DEFAULT,
        };
        column::list(list)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn options_choose_columns_as_in_ps() {
        let check = |args: &str, titles: &str| {
            let columns = parse(args).unwrap();
            let found: Vec<&str> = columns.iter().map(|column| column.title.as_str()).collect();
            assert_eq!(found.join(" "), titles, "{args}");
        };
        check("-ef", "UID PID PPID C STIME TTY TIME CMD");
        check("-e", "PID TTY TIME CMD");
        check("aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND");
        check("-aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND");
        check("ax", "PID TTY STAT TIME COMMAND");
        check("-eo pid,comm", "PID COMMAND");
        check("-o pid -o user=WHO,cmd", "PID WHO CMD");
        check("-opid,args", "PID COMMAND");
        check("--format=pid,%mem", "PID %MEM");
        check("axo pid,vsz --sort=-vsz", "PID VSZ");
        check("-l", "F S UID PID PPID C PRI NI ADDR SZ WCHAN TTY TIME CMD");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let refuse = |args: &str| parse(args).map(|_| ()).unwrap_err().message;
        assert_eq!(refuse("-o comm"), "Couldn't find PID field in ps output");
        assert_eq!(refuse("-o"), "ps: error: format specification must follow -o");
        assert_eq!(
            refuse("-o pid,nonsense"),
            "ps: error: unknown user-defined format specifier \"nonsense\""
        );
        assert_eq!(refuse("--nonsense"), "ps: unsupported option \"--nonsense\"");
        assert_eq!(refuse("-o pid=comm,cmd=PID"), "specifying \"cmd=PID\" is not allowed");
    }
}
